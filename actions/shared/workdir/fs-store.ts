import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CHUNK_BYTES, CheckedContent, digestLine, digestsIn } from './checked-content.ts';
import type { ContentFacts, Entry, Remain, Stored, WorkdirStore } from './store.ts';
import { noSuchKey, segmentsOf, storeFailed, storeInvalid } from './store-errors.ts';

/**
 * Archives as files of a folder, and beside each its `.sha256`. That file keeps a line for every archive that was
 * published under the name, the newest last: the line is there before its archive appears, so whoever opens the archive
 * finds its digest, also between two puts of the same name and after a crash.
 */

const DIGEST_SUFFIX = '.sha256';
/** What a put writes before it publishes. */
const UNPUBLISHED = /^\..+\.part$/;

/** @param url `fs:FOLDER` */
export function openFsStore(url: string): WorkdirStore {
  const folder = url.slice('fs:'.length);
  if (folder === '') throw storeInvalid('workdir_store fs: names no folder');
  return new FsStore(resolve(folder));
}

class FsStore implements WorkdirStore {
  readonly name: string;
  readonly #root: string;

  constructor(root: string) {
    this.name = `fs:${root}`;
    this.#root = root;
  }

  async put(key: string, content: Readable, facts: ContentFacts): Promise<void> {
    const path = this.#path(key);
    const folder = dirname(path);
    const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.part`);
    await this.#attempt(async () => {
      await mkdir(folder, { recursive: true });
      try {
        const file = await open(temporary, 'wx', 0o640);
        await pipeline(
          content,
          new CheckedContent(key, { size: facts.size, sha256: [facts.sha256] }),
          // The stream closes the file; `flush` syncs it to the disk before.
          file.createWriteStream({ highWaterMark: CHUNK_BYTES, flush: true }),
        );
        await appendDigest(path, facts.sha256);
        await rename(temporary, path);
        // A removal at the same moment may have taken the line with it.
        if (!(await digestsBeside(path)).includes(facts.sha256)) await appendDigest(path, facts.sha256);
        await syncFolder(folder);
      } finally {
        await rm(temporary, { force: true });
      }
    });
  }

  async get(key: string): Promise<Stored> {
    const path = this.#path(key);
    return this.#attempt(async () => {
      const file = await open(path).catch(absent);
      if (!file) throw noSuchKey(this.name, key);
      const sha256 = await digestsBeside(path);
      const { size } = await file.stat();
      return { size, content: stream(file, new CheckedContent(key, { sha256 })) };
    });
  }

  async exists(key: string): Promise<boolean> {
    const path = this.#path(key);
    return this.#attempt(async () => (await stat(path).catch(absent)) !== undefined);
  }

  async lakes(): Promise<string[]> {
    const found = await this.#attempt(async () => readdir(this.#root, { withFileTypes: true }).catch(absent));
    return (found ?? [])
      .filter((each) => each.isDirectory())
      .map(({ name }) => name)
      .sort();
  }

  async list(prefix: string): Promise<Entry[]> {
    const entries: Entry[] = [];
    const lake = prefix.slice(0, prefix.indexOf('/') + 1);
    for (const { key, path } of await this.#files(lake)) {
      if (!key.startsWith(prefix) || key.endsWith(DIGEST_SUFFIX) || UNPUBLISHED.test(basename(path))) continue;
      const found = await stat(path).catch(absent);
      if (found) entries.push({ key, size: found.size, publishedAt: found.mtimeMs });
    }
    return entries;
  }

  async remove(key: string): Promise<void> {
    const path = this.#path(key);
    // In this order a crash leaves a digest without archive, which nobody takes for an archive.
    await this.#attempt(async () => {
      await rm(path, { force: true });
      await rm(path + DIGEST_SUFFIX, { force: true });
    });
  }

  async remains(before: number): Promise<Remain[]> {
    const remains: Remain[] = [];
    for (const { key, path } of await this.#files('')) {
      const found = UNPUBLISHED.test(basename(path)) ? await stat(path).catch(absent) : undefined;
      if (found && found.mtimeMs < before) {
        remains.push({ name: key, size: found.size, remove: () => this.#attempt(() => rm(path, { force: true })) });
      }
    }
    return remains;
  }

  #path(key: string): string {
    return join(this.#root, ...segmentsOf(key));
  }

  async #files(lake: string): Promise<Array<{ key: string; path: string }>> {
    const found = await this.#attempt(async () =>
      readdir(join(this.#root, lake), { recursive: true, withFileTypes: true }).catch(absent),
    );
    return (found ?? [])
      .filter((each) => each.isFile())
      .map((each) => join(each.parentPath, each.name))
      .map((path) => ({ path, key: relative(this.#root, path).replaceAll(sep, '/') }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Tells errors of the file system as those of the store. */
  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const { syscall, code } = error as NodeJS.ErrnoException;
      throw syscall ? storeFailed(this.name, `${syscall} ${code}`) : error;
    }
  }
}

function stream(file: FileHandle, checked: CheckedContent): CheckedContent {
  const source = file.createReadStream({ highWaterMark: CHUNK_BYTES });
  // `pipeline` hands an error of either to the other, and closes the file when the reader gives up.
  pipeline(source, checked).catch(() => {});
  return checked;
}

async function appendDigest(path: string, sha256: string): Promise<void> {
  const file = await open(path + DIGEST_SUFFIX, 'a', 0o640);
  try {
    await file.write(digestLine(sha256, basename(path)));
    await file.sync();
  } finally {
    await file.close();
  }
}

async function digestsBeside(path: string): Promise<string[]> {
  return digestsIn((await readFile(path + DIGEST_SUFFIX, 'utf8').catch(absent)) ?? '');
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @throws unless the error says that there is no such file */
function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
