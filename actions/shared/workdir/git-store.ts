import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHUNK_BYTES, CheckedContent, digestLine, digestsIn } from './checked-content.ts';
import { ARCHIVE_CONFIG, ended, Git, GitError } from './git.ts';
import type { ContentFacts, Entry, Remain, Stored, StoreSecrets, WorkdirStore } from './store.ts';
import { noSuchKey, segmentsOf, storeFailed, storeInvalid } from './store-errors.ts';

/**
 * A repository per lake, in it a branch per cycle, `2020-05-22T0000Z`, in it a file per container and beside it its
 * `.sha256`. A branch has one commit, without parents: an archive that is removed or replaced is in no history and goes
 * with the server's next `git gc`. Its message lists sizes and times, so that a listing moves no archive.
 *
 * Whoever changes a branch puts a new commit in place of the one that it read, and begins again if that one was replaced
 * meanwhile. Other containers' archives are never fetched for it: the new tree names them by their ids.
 */

const DIGEST_SUFFIX = '.sha256';
const ATTEMPTS_TO_CHANGE = 20;
const ATTEMPTS_UNCHANGED = 3;
const ATTEMPTS_TO_READ = 3;
/** Mode and type of a file in a tree. */
const FILE = '100644 blob';
/** Placeholder of the URL. */
const LAKE = '{lake}';

/** @param url `git+file:PATH/{lake}.git` or `git+ssh://USER@HOST:PORT/PATH/{lake}.git` */
export function openGitStore(url: string, secrets: StoreSecrets): WorkdirStore {
  const file = /^git\+file:(.*)$/.exec(url)?.[1];
  const remote = file === undefined ? url.slice('git+'.length) : resolve(file);
  if (remote.split(LAKE).length !== 2) throw storeInvalid('workdir_store git+…: must have {lake} once in its path');
  if (file === undefined) {
    const { password, hostname } = URL.canParse(remote) ? new URL(remote) : { password: '', hostname: '' };
    if (password !== '' || /\s/.test(remote) || !/^[A-Za-z0-9]/.test(hostname)) {
      throw storeInvalid('workdir_store git+ssh: must be git+ssh://USER@HOST:PORT/PATH/{lake}.git, without a password');
    }
  }
  return new GitStore(url, remote, file !== undefined, secrets);
}

class GitStore implements WorkdirStore {
  readonly name: string;
  readonly #remote: string;
  readonly #isLocal: boolean;
  readonly #secrets: StoreSecrets;

  constructor(name: string, remote: string, isLocal: boolean, secrets: StoreSecrets) {
    this.name = name;
    this.#remote = remote;
    this.#isLocal = isLocal;
    this.#secrets = secrets;
  }

  async put(key: string, content: Readable, facts: ContentFacts): Promise<void> {
    const { lake, branch, file } = placeOf(key);
    await this.#in(lake, async (git) => {
      if (this.#isMissing(git)) await makeRepository(git);
      const [archive, digest] = await importBlobs(git, key, content, facts);
      await this.#change(git, branch, (files) => {
        files.set(file, { kind: FILE, id: archive!, size: facts.size, publishedAt: Date.now() });
        files.set(file + DIGEST_SUFFIX, { kind: FILE, id: digest!, size: 0, publishedAt: 0 });
      });
    });
  }

  async get(key: string): Promise<Stored> {
    const { lake, branch, file } = placeOf(key);
    const git = await this.#open(lake);
    try {
      const files = (await this.#read(git, branch))?.files;
      const found = files?.get(file);
      if (!found) throw noSuchKey(this.name, key);
      const digest = files!.get(file + DIGEST_SUFFIX);
      const blobs = [found.id, ...(digest ? [digest.id] : [])];
      await this.#bring(git, branch, blobs);
      const sha256 = digest ? digestsIn(await git.run('cat-file', ['blob', digest.id])) : [];
      const size = Number(await git.run('cat-file', ['-s', found.id]));
      const checked = new CheckedContent(key, { sha256 });
      const child = git.start('cat-file', ['blob', found.id]);
      child.stdin.end();
      Promise.all([pipeline(child.stdout, checked), ended(child, 'cat-file')])
        .catch((error: Error) => checked.destroy(error))
        .finally(() => void git.close());
      return { size, content: checked };
    } catch (error) {
      await git.close();
      throw this.#told(error);
    }
  }

  async exists(key: string): Promise<boolean> {
    const { lake, branch, file } = placeOf(key);
    return this.#in(lake, async (git) => (await this.#read(git, branch))?.files.has(file) ?? false);
  }

  async lakes(): Promise<string[]> {
    if (!this.#isLocal) throw storeInvalid(`${this.name} can't list its lakes; name them: lakes`);
    const [before, after] = basename(this.#remote).split(LAKE) as [string, string];
    const folder = dirname(this.#remote);
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw storeFailed(this.name, `${error.syscall} ${error.code}`);
    });
    return names
      .filter((name) => name.startsWith(before) && name.endsWith(after))
      .map((name) => name.slice(before.length, name.length - after.length))
      .sort();
  }

  async list(prefix: string): Promise<Entry[]> {
    const lake = prefix.slice(0, Math.max(0, prefix.indexOf('/')));
    if (lake === '') throw storeInvalid(`${this.name} is listed lake by lake`);
    return this.#in(lake, async (git) => {
      if (this.#isMissing(git) || (await git.run('ls-remote', ['store', 'refs/heads/*'])) === '') return [];
      await git.run('fetch', ['--quiet', '--depth=1', '--filter=blob:none', 'store', '+refs/heads/*:refs/heads/*']);
      const branches = (await git.run('for-each-ref', ['--format=%(refname)', 'refs/heads/']))
        .split('\n')
        .filter(Boolean);
      const entries: Entry[] = [];
      for (const branch of branches) {
        for (const [file, { size, publishedAt }] of (await filesOf(git, branch)).entries()) {
          const key = keyOf(lake, file);
          if (key?.startsWith(prefix)) entries.push({ key, size, publishedAt });
        }
      }
      return entries.sort((a, b) => (a.key < b.key ? -1 : 1));
    });
  }

  async remove(key: string): Promise<void> {
    const { lake, branch, file } = placeOf(key);
    await this.#in(lake, (git) =>
      this.#change(git, branch, (files) => {
        files.delete(file);
        files.delete(file + DIGEST_SUFFIX);
      }),
    );
  }

  /** A push that did not end leaves nothing but objects without a name, which `git gc` removes. */
  async remains(): Promise<Remain[]> {
    return [];
  }

  async #open(lake: string): Promise<Git> {
    return Git.open(this.#remote.replace(LAKE, lake), this.#secrets).catch((error) => {
      throw this.#told(error);
    });
  }

  async #in<T>(lake: string, work: (git: Git) => Promise<T>): Promise<T> {
    const git = await this.#open(lake);
    try {
      return await work(git);
    } catch (error) {
      throw this.#told(error);
    } finally {
      await git.close();
    }
  }

  /** A repository on this machine is made by the first put. */
  #isMissing({ remote }: Git): boolean {
    return this.#isLocal && !existsSync(join(remote, 'HEAD'));
  }

  /** What is in a branch; undefined if there is none. Archives stay where they are, if the server allows that. */
  async #read(git: Git, branch: string): Promise<{ commit: string; files: Files } | undefined> {
    if (this.#isMissing(git)) return undefined;
    const ref = `refs/heads/${branch}`;
    for (let attempt = 1; ; attempt++) {
      try {
        await git.run('fetch', ['--quiet', '--depth=1', '--filter=blob:none', 'store', `+${ref}:${ref}`]);
        break;
      } catch (error) {
        // Asked only now, as every question is a login: it fails too unless just the branch is missing.
        if (error instanceof GitError && (await git.run('ls-remote', ['store', ref])) === '') return undefined;
        // Else the branch may have appeared between fetch and question.
        if (!(error instanceof GitError) || attempt === ATTEMPTS_TO_READ) throw error;
      }
    }
    const commit = (await git.run('rev-parse', [ref])).trim();
    return { commit, files: await filesOf(git, ref) };
  }

  /** Makes blobs of a branch be here: by their ids, or, from a server that does not give them so, with the whole branch. */
  async #bring(git: Git, branch: string, blobs: readonly string[]): Promise<void> {
    const ref = `refs/heads/${branch}`;
    const objects = (await git.run('rev-list', ['--objects', '--missing=print', ref])).split('\n');
    const missing = blobs.filter((blob) => objects.includes(`?${blob}`));
    if (missing.length === 0) return;
    await git.run('fetch', ['--quiet', '--no-filter', 'store', ...missing]).catch(async (error) => {
      if (!(error instanceof GitError)) throw error;
      await git.run('fetch', ['--quiet', '--depth=1', '--no-filter', '--refetch', 'store', `+${ref}:${ref}`]);
    });
  }

  /** Replaces a branch's commit by one with other files, or removes it with its last. */
  async #change(git: Git, branch: string, edit: (files: Files) => void): Promise<void> {
    const ref = `refs/heads/${branch}`;
    let last: { commit: string | undefined; refusal: GitError; times: number } | undefined;
    for (let attempt = 1; ; attempt++) {
      const read = await this.#read(git, branch);
      // A lost race is told from a refusal not by git's words, but by the branch: if it stays what it was, nobody won.
      const times = last && last.commit === read?.commit ? last.times + 1 : 1;
      if (last && (times > ATTEMPTS_UNCHANGED || attempt > ATTEMPTS_TO_CHANGE)) throw last.refusal;
      const files: Files = new Map(read?.files);
      edit(files);
      if (!read && files.size === 0) return;
      const source = files.size === 0 ? '' : await commit(git, branch, files);
      const lease = `--force-with-lease=${ref}:${read?.commit ?? ''}`;
      try {
        await git.run('push', ['--quiet', lease, 'store', `${source}:${ref}`]);
        return;
      } catch (error) {
        if (!(error instanceof GitError)) throw error;
        last = { commit: read?.commit, refusal: error, times };
        await sleep(Math.random() * 200 * attempt);
      }
    }
  }

  #told(error: unknown): unknown {
    return error instanceof GitError ? storeFailed(this.name, error.message) : error;
  }
}

interface BranchFile {
  /** `100644 blob`, or what else somebody put there. */
  readonly kind: string;
  readonly id: string;
  readonly size: number;
  /** Epoch ms. */
  readonly publishedAt: number;
}

/** The files of a branch by their names. */
type Files = Map<string, BranchFile>;

const STAMP = /^(\d{4})(\d\d)(\d\d)(?:T(\d{4})Z)?$/;

/** Where a key is: the lake's repository, the branch that its file's stamp says, and the file. */
function placeOf(key: string): { lake: string; branch: string; file: string } {
  const [lake, folder, file] = segmentsOf(key) as [string, string, string | undefined];
  const stamp = file?.slice(lake.length + 1).split('_')[0] ?? '';
  const [, year, month, day, time = '0000'] = STAMP.exec(stamp) ?? [];
  if (!file || !year || keyOf(lake, file) !== key) {
    throw storeInvalid(`${key} is no key of a cycle: LAKE/${folder}/LAKE_YYYYMMDD_${folder}_…`);
  }
  return { lake, branch: `${year}-${month}-${day}T${time}Z`, file };
}

/** The key of a file in a lake's repository; its folder is the container, which stands in the file's name. */
function keyOf(lake: string, file: string): string | undefined {
  const [, folder] = /^[^_]+_[^_]+_([^_.]+)[_.]/.exec(file) ?? [];
  return folder && file.startsWith(`${lake}_`) && !file.endsWith(DIGEST_SUFFIX)
    ? `${lake}/${folder}/${file}`
    : undefined;
}

/** Makes the remote repository, beside and renamed: several may do so at the same moment, and one of them wins. */
async function makeRepository(git: Git): Promise<void> {
  await mkdir(dirname(git.remote), { recursive: true });
  const made = await mkdtemp(join(dirname(git.remote), '.new-'));
  await git.run('init', ['--quiet', '--bare', '--template=', made]);
  await appendFile(join(made, 'config'), ARCHIVE_CONFIG);
  await rename(made, git.remote).catch(async (error: NodeJS.ErrnoException) => {
    await rm(made, { recursive: true });
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
}

/** Brings an archive and its `.sha256` into the repository, streaming, and returns their ids. */
async function importBlobs(
  git: Git,
  key: string,
  content: Readable,
  { size, sha256 }: ContentFacts,
): Promise<string[]> {
  const child = git.start('fast-import', ['--quiet', '--export-marks=marks']);
  const digest = digestLine(sha256, key);
  const write = async (): Promise<void> => {
    const checked = new CheckedContent(key, { size, sha256: [sha256] });
    const framed = async function* () {
      yield `blob\nmark :1\ndata ${size}\n`;
      yield* checked;
      yield `\nblob\nmark :2\ndata ${digest.length}\n${digest}\ndone\n`;
    };
    const input = new PassThrough({ highWaterMark: CHUNK_BYTES });
    await Promise.all([pipeline(content, checked), pipeline(framed, input, child.stdin)]);
  };
  await finish(child, write());
  const marks = await readFile(join(git.folder, 'marks'), 'utf8');
  return [...marks.matchAll(/^:\d+ ([0-9a-f]+)$/gm)].map(([, id]) => id!);
}

/** Waits for both; git's end is a consequence of the content's error, and EPIPE one of git's. */
async function finish(child: ChildProcessWithoutNullStreams, written: Promise<void>): Promise<void> {
  const input = written.catch((error) => {
    child.kill();
    throw error;
  });
  const ends = await Promise.allSettled([input, ended(child, 'fast-import')]);
  const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as NodeJS.ErrnoException] : []));
  if (errors.length > 0) throw errors.find(({ code }) => code !== 'EPIPE') ?? errors[0];
}

const FILE_LINE = /^(\d+) (\d+) (\S+)$/gm;

/** The files of a commit, with sizes and times from its message; what somebody else committed has that commit's time. */
async function filesOf(git: Git, commitish: string): Promise<Files> {
  const [seconds = '', message = ''] = split(await git.run('log', ['-1', '--format=%ct%n%B', commitish]));
  const told = new Map(
    [...message.matchAll(FILE_LINE)].map(([, size, time, file]) => [
      file,
      { size: Number(size), publishedAt: Number(time) },
    ]),
  );
  const files: Files = new Map();
  for (const line of (await git.run('ls-tree', ['-z', commitish])).split('\0')) {
    const [, kind, id, file] = /^(\d+ \w+) ([0-9a-f]+)\t(.*)$/s.exec(line) ?? [];
    if (!kind || !id || !file) continue;
    files.set(file, { kind, id, ...(told.get(file) ?? { size: 0, publishedAt: Number(seconds) * 1000 }) });
  }
  return files;
}

function split(text: string): [string, string] {
  const at = text.indexOf('\n');
  return [text.slice(0, at), text.slice(at + 1)];
}

/** A commit without parents, though the objects of most of its files are on the server only. */
async function commit(git: Git, branch: string, files: Files): Promise<string> {
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  const tree = sorted.map(([file, { kind, id }]) => `${kind} ${id}\t${file}\0`).join('');
  const message = sorted
    .filter(([file]) => /^\S+$/.test(file) && !file.endsWith(DIGEST_SUFFIX))
    .map(([file, { size, publishedAt }]) => `${size} ${publishedAt} ${file}\n`)
    .join('');
  const id = (await git.run('mktree', ['-z', '--missing'], tree)).trim();
  return (
    await git.run('commit-tree', [id], `Working directories of ${branch}\n\nbytes, epoch ms, file:\n${message}`)
  ).trim();
}
