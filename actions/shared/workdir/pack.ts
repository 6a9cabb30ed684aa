import { createWriteStream } from 'node:fs';
import { lstat, opendir, readlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import { create } from 'tar';
import { ActionError } from '../result.ts';
import { CHUNK_BYTES, CheckedContent } from './checked-content.ts';
import type { ContentFacts } from './store.ts';

/**
 * Packs a folder into a `.tar.gz` file, as FLARE's scripts do: everything lies under the container's name in it. Owners
 * are left out, as another machine has others. What could not be extracted again is not packed in the first place.
 * @throws ActionError `WORKDIR_UNPACKABLE` naming the file that can't be packed
 */
export async function pack(folder: string, container: string, into: string): Promise<ContentFacts> {
  const paths = await pathsOf(folder);
  const archive = create({ cwd: folder, prefix: container, portable: true, strict: true, noDirRecurse: true }, paths);
  const measured = new CheckedContent(into, { sha256: [] });
  const file = createWriteStream(into, { flags: 'wx', mode: 0o600, highWaterMark: CHUNK_BYTES });
  const tar = new PassThrough({ highWaterMark: CHUNK_BYTES });
  archive.on('error', (error) => tar.destroy(error as Error));
  archive.pipe(tar);
  // The fastest level: the default one takes three times as long to save a tenth of the size, kept for two weeks.
  const gzip = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: CHUNK_BYTES });
  try {
    await pipeline(tar, gzip, measured, file);
  } catch (error) {
    if (error instanceof ActionError) throw error;
    const { code, path = folder } = error as NodeJS.ErrnoException;
    throw unpackable(path, `it can't be read or written (${code ?? (error as Error).message})`);
  }
  return { size: file.bytesWritten, sha256: measured.sha256 };
}

/** Everything in a folder, itself first, in the same order every time. */
async function pathsOf(folder: string): Promise<string[]> {
  const paths: string[] = [];
  const walk = async (inside: string): Promise<void> => {
    paths.push(inside);
    const names: string[] = [];
    for await (const { name } of await opendir(join(folder, inside))) names.push(name);
    for (const name of names.sort()) {
      const path = inside === '.' ? name : `${inside}/${name}`;
      if (name.includes('\\')) throw unpackable(join(folder, path), 'its name has a backslash');
      const found = await lstat(join(folder, path));
      if (found.isDirectory()) await walk(path);
      else if (found.isFile()) paths.push(path);
      else if (found.isSymbolicLink()) {
        const target = await readlink(join(folder, path));
        if (!staysInside(path, target)) throw unpackable(join(folder, path), `it is a link to ${target}, outside`);
        paths.push(path);
      } else throw unpackable(join(folder, path), 'it is neither a file, a folder nor a link');
    }
  };
  await walk('.').catch((error: NodeJS.ErrnoException) => {
    throw error.syscall ? unpackable(error.path ?? folder, `it can't be read (${error.code})`) : error;
  });
  return paths;
}

/**
 * Whether a symbolic link leads to a place in the folder that its path begins in. `..` counts only in front: after the
 * name of another link it would lead elsewhere than it reads.
 * @param path of the link, relative and without `..`; no part of it may be a link itself
 */
export function staysInside(path: string, target: string): boolean {
  if (target === '' || posix.isAbsolute(target) || target.includes('\0')) return false;
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const upwards = parts.findIndex((part) => part !== '..');
  const ups = upwards === -1 ? parts.length : upwards;
  return !parts.slice(ups).includes('..') && ups < path.split('/').length;
}

function unpackable(path: string, problem: string): ActionError {
  return new ActionError('WORKDIR_UNPACKABLE', `${path} can't be packed: ${problem}.`, { path });
}
