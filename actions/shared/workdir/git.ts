import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SCRATCH_PREFIX } from './scratch.ts';
import type { StoreSecrets } from './store.ts';
import { storeInvalid } from './store-errors.ts';

/** How git ended, where that is not with 0. `reason` is what it said. */
export class GitError extends Error {
  readonly reason: string;

  constructor(subcommand: string, reason: string) {
    super(`git ${subcommand}: ${reason}`);
    this.reason = reason;
  }
}

/**
 * Archives are compressed already, so git neither compresses them again nor looks for deltas between them; then it also
 * streams them, where otherwise it would hold them in memory. Packs are kept as they come.
 */
export const ARCHIVE_CONFIG = `[core]
bigFileThreshold = 1m
compression = 0
[pack]
compression = 0
[fetch]
unpackLimit = 1
[receive]
unpackLimit = 1
[fastimport]
unpackLimit = 1
[uploadpack]
allowFilter = true
allowAnySHA1InWant = true
`;

/** A bare repository for the length of one operation, and the git program in it, by argv. */
export class Git {
  readonly folder: string;
  /** The repository that it is about, `store` to git; objects of it may be missing here. */
  readonly remote: string;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(folder: string, remote: string, env: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.remote = remote;
    this.#env = env;
  }

  /** @throws GitError */
  static async open(remote: string, secrets: StoreSecrets): Promise<Git> {
    const folder = await mkdtemp(join(tmpdir(), SCRATCH_PREFIX));
    try {
      const git = new Git(folder, remote, {
        PATH: process.env.PATH,
        HOME: folder,
        LC_ALL: 'C',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_TERMINAL_PROMPT: '0',
        // Fixed text: whatever is configured stands in the file, which no shell reads.
        GIT_SSH_COMMAND: 'ssh -F ssh_config',
        GIT_AUTHOR_NAME: 'fogwhisk',
        GIT_AUTHOR_EMAIL: 'fogwhisk@localhost',
        GIT_COMMITTER_NAME: 'fogwhisk',
        GIT_COMMITTER_EMAIL: 'fogwhisk@localhost',
      });
      await git.run('init', ['--quiet', '--bare', '--template=', '.']);
      await appendFile(
        join(folder, 'config'),
        `${ARCHIVE_CONFIG}[remote "store"]\nurl = ${configText(remote)}\npromisor = true\n`,
      );
      await writeFile(join(folder, 'ssh_config'), sshConfig(secrets), { mode: 0o600 });
      return git;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * @returns what git writes on standard output
   * @throws GitError
   */
  async run(subcommand: string, args: readonly string[], input = ''): Promise<string> {
    const child = this.start(subcommand, args);
    child.stdin.on('error', () => {}); // it may end without reading its input
    child.stdin.end(input);
    const [output] = await Promise.all([text(child.stdout), ended(child, subcommand)]);
    return output;
  }

  /** For large input and output; its end is told by `ended`. */
  start(subcommand: string, args: readonly string[]): ChildProcessWithoutNullStreams {
    return spawn('git', [subcommand, ...args], { cwd: this.folder, env: this.#env });
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** @throws GitError unless the program ends with 0 */
export async function ended(child: ChildProcessWithoutNullStreams, subcommand: string): Promise<void> {
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    if (said.length < 4_000) said += data;
  });
  const code = await new Promise<number | string | null>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'failed'));
    child.once('close', (status, signal) => resolve(status ?? signal));
  });
  if (code === 0) return;
  // What went wrong stands first; then come advice, and what follows from it.
  const first = said.split('\n').find((line) => line !== '' && !/^(?:To|warning:) /.test(line));
  throw new GitError(
    subcommand,
    code === 'ENOENT' ? 'the program git is not on PATH' : (first ?? `ended with ${code}`),
  );
}

/** The server's key must be known; nothing is ever asked. */
function sshConfig({ sshKeyFile, knownHostsFile }: StoreSecrets): string {
  const lines = [
    'BatchMode yes',
    'StrictHostKeyChecking yes',
    'UpdateHostKeys no',
    'ConnectTimeout 10',
    'ServerAliveInterval 15',
  ];
  if (sshKeyFile) lines.push(`IdentityFile ${quoted(sshKeyFile)}`, 'IdentitiesOnly yes');
  if (knownHostsFile) {
    lines.push(`UserKnownHostsFile ${quoted(knownHostsFile)}`, 'GlobalKnownHostsFile /dev/null');
  }
  return `${lines.join('\n')}\n`;
}

/** A value as git-config(1) takes it. */
function configText(value: string): string {
  return `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
}

/** A path as ssh_config(5) takes it: in quotes, without its tokens. */
function quoted(path: string): string {
  if (!isAbsolute(path) || /["\n\r\\$]/.test(path)) {
    throw storeInvalid(`${JSON.stringify(path)} must be an absolute path without quotes, backslashes and $`);
  }
  return `"${path.replaceAll('%', '%%')}"`;
}
