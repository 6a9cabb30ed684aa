import { once } from 'node:events';
import { mkdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type ReadEntry, Unpack } from 'tar';
import { ActionError } from '../result.ts';
import { ARCHIVE_LIMITS, type ArchiveLimits, staysInside } from './archive-rules.ts';
import { CHUNK_BYTES } from './checked-content.ts';

/** The first bytes of gzip data (RFC 1952): `tar` would unpack them too, past our limits. */
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

/**
 * Extracts a `.tar.gz` into an empty folder. Whatever an archive of ours would not hold is refused, not mended: absolute
 * paths and `..`, links that leave, entries written through links, devices and FIFOs, more than the limits.
 * After an error the folder is the caller's to remove; nothing outside of it was written.
 * @param key how errors call the archive
 * @throws ActionError `ARCHIVE_REFUSED` naming the entry, or what `content` fails with
 */
export async function extract(
  content: Readable,
  key: string,
  into: string,
  limits: ArchiveLimits = ARCHIVE_LIMITS,
): Promise<void> {
  const entries = new Entries(limits.entries);
  let failure: Error | undefined;
  let isEnded = false;
  const unpack = new Unpack({
    cwd: into,
    strict: true,
    preserveOwner: false,
    zstd: false,
    filter: (path, entry) => {
      try {
        return !failure && entries.take(path, entry as ReadEntry);
      } catch (error) {
        failure = error as Error;
        return false;
      }
    },
  });
  unpack.on('ignoredEntry', ({ path, type }: ReadEntry) => {
    if (type !== 'SymbolicLink')
      failure ??= new Problem(`its entry ${shown(path)} is of a kind that is not taken (${type})`);
  });
  unpack.on('eof', () => {
    isEnded = true;
  });
  unpack.on('error', (error: Error) => {
    failure ??= error;
  });
  const closed = new Promise<void>((resolve) => {
    unpack.on('close', resolve);
  });

  let bytes = 0;
  try {
    await pipeline(content, createGunzip({ chunkSize: CHUNK_BYTES }), async (tar: AsyncIterable<Buffer>) => {
      for await (const chunk of tar) {
        if (bytes === 0 && chunk.subarray(0, 2).equals(GZIP_MAGIC)) failure = new Problem('it is compressed twice');
        bytes += chunk.length;
        if (bytes > limits.bytes) failure ??= new Problem(`it unpacks to more than ${limits.bytes} bytes`);
        if (failure) throw failure;
        if (!unpack.write(chunk) && !failure) await drained(unpack);
      }
    });
  } catch (error) {
    // `pipeline` may tell of its own end instead of what ended it.
    failure ??= error as Error;
  }
  // What was begun has to come to its end before the folder can be removed.
  unpack.end();
  await closed;
  try {
    if (failure) throw failure;
    if (!isEnded) throw new Problem('its tar data end early');
    // Links come last: nothing can have been written through them.
    for (const [path, target] of entries.links) {
      await mkdir(dirname(join(into, path)), { recursive: true });
      await symlink(target, join(into, path));
    }
  } catch (error) {
    throw refusal(error as Error, key);
  }
}

/** Resolves when more can be written, or writing has failed. */
async function drained(unpack: Unpack): Promise<void> {
  await once(unpack, 'drain').catch(() => {});
}

/** What is wrong with an archive, to be told with its name. */
class Problem extends Error {}

function refusal(error: Error, key: string): Error {
  if (error instanceof ActionError) return error;
  const { code = '', tarCode } = error as Error & { code?: string; tarCode?: string };
  let problem: string;
  if (error instanceof Problem) problem = error.message;
  else if (code === 'Z_BUF_ERROR') problem = 'its gzip data end early';
  else if (code.startsWith('Z_')) problem = 'its gzip data are damaged';
  else if (tarCode === 'TAR_BAD_ARCHIVE' || tarCode === 'TAR_ENTRY_INVALID') {
    problem = 'its tar data are damaged or end early';
  } else return new ActionError('WORKDIR_UNWRITABLE', `${key} can't be extracted (${code || error.message}).`, { key });
  return new ActionError('ARCHIVE_REFUSED', `the archive ${key} is refused: ${problem}.`, { key });
}

/** Looks at entries one after the other, as they stand in the archive. */
class Entries {
  readonly #limit: number;
  /** What is at each path; folders that are only implied by what lies in them too. */
  readonly #kinds = new Map<string, 'folder' | 'file' | 'link'>();
  /** Symbolic links and their targets. */
  readonly links = new Map<string, string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns whether it is to be written now; a symbolic link is kept in `links` */
  take(path: string, entry: ReadEntry): boolean {
    const refuse = (problem: string): never => {
      throw new Problem(`its entry ${shown(path)} ${problem}`);
    };
    const parts = partsOf(path);
    if (!parts) return refuse('has a path that leaves the archive');
    const place = parts.join('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = parts.slice(0, depth).join('/');
      const kind = this.#kinds.get(parent);
      if (kind === 'link' || kind === 'file') refuse(`lies in ${shown(parent)}, which is no folder`);
      this.#kinds.set(parent, 'folder');
    }
    const kind = kindOf(entry.type);
    if (!kind) return refuse(`is a ${entry.type}, not a file, folder or link`);
    const there = this.#kinds.get(place);
    if (there && (there !== 'folder' || kind !== 'folder')) refuse('is there twice');
    if (place !== '') this.#kinds.set(place, kind);
    else if (kind !== 'folder') refuse('is no folder');
    if (this.#kinds.size > this.#limit) throw new Problem(`it holds more than ${this.#limit} entries`);

    // Set-user-ID bits and the like are nobody's business here.
    entry.mode = (entry.mode ?? 0o600) & 0o777;
    const target = entry.linkpath ?? '';
    if (entry.type === 'Link' && this.#kinds.get(partsOf(target)?.join('/') ?? '') !== 'file') {
      refuse(`is a hard link to ${shown(target)}, which is no file of the archive`);
    }
    if (kind !== 'link') return true;
    if (!staysInside(place, target)) refuse(`is a link to ${shown(target)}, outside of the archive`);
    this.links.set(place, target);
    return false;
  }
}

function kindOf(type: string): 'folder' | 'file' | 'link' | undefined {
  if (type === 'Directory') return 'folder';
  // A hard link is its file.
  if (type === 'File' || type === 'OldFile' || type === 'Link') return 'file';
  return type === 'SymbolicLink' ? 'link' : undefined;
}

/** The names in a relative path, or undefined if it is absolute, leaves its folder, or is none. */
function partsOf(path: string): string[] | undefined {
  if (path === '' || path.startsWith('/') || /[\0\\]/.test(path)) return undefined;
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts.includes('..') ? undefined : parts;
}

function shown(path: string): string {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
}
