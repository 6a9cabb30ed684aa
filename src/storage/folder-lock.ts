import { createHash } from 'node:crypto';
import { mkdir, rm, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { FogwhiskError } from '../core/errors.ts';

/** The longest path of a Unix domain socket (sun_path), its final NUL not counted. */
const MAX_SOCKET_PATH = 103;

/**
 * Holds a folder for this process until released or dead: a Unix domain socket in it, which a second process can ask
 * who we are, and which is known to be left over when nobody answers (no pid that another process may have by now).
 * @throws FogwhiskError `DATA_FOLDER_HELD`, `DATA_FOLDER_UNUSABLE`
 */
export async function lockFolder(folder: string): Promise<{ release(): Promise<void> }> {
  const path = socketPath(resolve(folder));
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    let server = await listenOn(path);
    if (!server) {
      const holder = await askHolder(path);
      if (holder !== undefined) throw new FogwhiskError('DATA_FOLDER_HELD', { folder, pid: holder });
      await unlink(path);
      server = await listenOn(path);
      if (!server) throw new FogwhiskError('DATA_FOLDER_HELD', { folder, pid: (await askHolder(path)) ?? 'unknown' });
    }
    const held = server;
    return {
      release: () =>
        new Promise((done) => {
          held.close(() => void rm(path, { force: true }).then(done));
        }),
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (
      code === 'EACCES' ||
      code === 'EROFS' ||
      code === 'ENOTDIR' ||
      code === 'EEXIST' ||
      code === 'EPERM' ||
      code === 'ENOSPC'
    ) {
      throw new FogwhiskError('DATA_FOLDER_UNUSABLE', { folder, reason: code }, { cause: error });
    }
    throw error;
  }
}

function socketPath(folder: string): string {
  const path = join(folder, 'lock');
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path;
  return join(tmpdir(), `fogwhisk-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}`);
}

function listenOn(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.on('error', () => {}).end(String(process.pid)));
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(path, () => resolve(server));
  });
}

/** The pid of the process behind the socket; undefined if there is none. */
function askHolder(path: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let pid = '';
    const socket = connect(path);
    socket.on('data', (data) => {
      pid += data.toString();
    });
    socket.on('end', () => resolve(pid));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
  });
}
