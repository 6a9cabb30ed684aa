import { createWriteStream } from 'node:fs';
import { lstat, opendir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import { Pack } from 'tar';
import { ActionError } from '../result.ts';
import { ARCHIVE_LIMITS, staysInside } from './archive-rules.ts';
import { CHUNK_BYTES, CheckedContent } from './checked-content.ts';
import type { ContentFacts } from './store.ts';

/**
 * Packs a folder into a `.tar.gz` file, as FLARE's scripts do: everything lies under the container's name in it. Owners
 * are left out, as another machine has others. What could not be extracted again is not packed in the first place.
 * @throws ActionError `WORKDIR_UNPACKABLE` naming the file that can't be packed
 */
export async function pack(folder: string, container: string, into: string): Promise<ContentFacts> {
  const paths = await pathsOf(folder);
  const archive = new Pack({
    cwd: folder,
    prefix: container,
    portable: true,
    strict: true,
    noDirRecurse: true,
    // by default 16 MB of each of four files at once
    maxReadSize: CHUNK_BYTES,
  });
  for (const path of paths) archive.add(path);
  archive.end();
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
  let bytes = 0;
  const walk = async (inside: string): Promise<void> => {
    paths.push(inside);
    const names: string[] = [];
    for await (const { name } of await opendir(join(folder, inside))) names.push(name);
    for (const name of names.sort()) {
      const path = inside === '.' ? name : `${inside}/${name}`;
      if (name.includes('\\')) throw unpackable(join(folder, path), 'its name has a backslash');
      const found = await lstat(join(folder, path));
      if (found.isDirectory()) await walk(path);
      else if (found.isFile()) {
        bytes += found.size;
        paths.push(path);
      } else if (found.isSymbolicLink()) {
        const target = await readlink(join(folder, path));
        if (!staysInside(path, target)) throw unpackable(join(folder, path), `it is a link to ${target}, outside`);
        paths.push(path);
      } else throw unpackable(join(folder, path), 'it is neither a file, a folder nor a link');
    }
  };
  await walk('.').catch((error: NodeJS.ErrnoException) => {
    throw error.syscall ? unpackable(error.path ?? folder, `it can't be read (${error.code})`) : error;
  });
  if (paths.length > ARCHIVE_LIMITS.entries) throw unpackable(folder, `it holds ${paths.length} entries`);
  // Each entry has at least a header and is filled up to a block, both of 512 bytes.
  if (bytes + paths.length * 1_024 > ARCHIVE_LIMITS.bytes) throw unpackable(folder, `it holds ${bytes} bytes`);
  return paths;
}

function unpackable(path: string, problem: string): ActionError {
  return new ActionError('WORKDIR_UNPACKABLE', `${path} can't be packed: ${problem}.`, { path });
}
