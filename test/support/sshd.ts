import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';
import { program } from './programs.ts';

const run = promisify(execFile);

export interface Sshd {
  /** `ssh://USER@127.0.0.1:PORT` */
  readonly url: string;
  /** A private key that logs in. */
  readonly keyFile: string;
  /** The server's key, as ssh knows it. */
  readonly knownHostsFile: string;
  stop(): Promise<void>;
}

/** Starts an OpenSSH server of its own on a free loopback port, for this user and one key. */
export async function startSshd(): Promise<Sshd> {
  const folder = await mkdtemp(join(tmpdir(), 'fogwhisk sshd-')); // a space, as paths may have
  const path = (name: string) => join(folder, name);
  for (const name of ['host', 'user']) await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path(name)]);
  const port = await freePort();
  await writeFile(path('known_hosts'), `[127.0.0.1]:${port} ${await readFile(path('host.pub'), 'utf8')}`);
  const options = [
    `ListenAddress=127.0.0.1:${port}`,
    `HostKey="${path('host')}"`,
    `AuthorizedKeysFile="${path('user.pub')}"`,
    'PidFile=none',
    'UsePAM=no',
    'StrictModes=no',
    'PasswordAuthentication=no',
    'PermitRootLogin=prohibit-password',
    'MaxStartups=100',
    // as Debian's own configuration, which lets git's protocol 2 not through
    'AcceptEnv=LANG LC_*',
  ];
  // Where sshd started as root keeps its unprivileged part.
  if (userInfo().uid === 0) await mkdir('/run/sshd', { recursive: true });
  const child = spawn(program('sshd')!, ['-D', '-e', '-f', '/dev/null', ...options.flatMap((each) => ['-o', each])], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    said += data;
  });
  const exited = once(child, 'exit');
  const stop = async () => {
    child.kill();
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  for (let isUp = false; !isUp; ) {
    if (child.exitCode !== null) throw new Error(`sshd ended:\n${said}`);
    isUp = await listens(port);
    if (!isUp) await sleep(20);
  }
  return {
    url: `ssh://${userInfo().username}@127.0.0.1:${port}`,
    keyFile: path('user'),
    knownHostsFile: path('known_hosts'),
    stop,
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
