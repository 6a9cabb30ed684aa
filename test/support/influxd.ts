import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { program } from './programs.ts';

export interface Influxd {
  readonly url: string;
  readonly token: string;
  readonly org: string;
  readonly bucket: string;
  /** Ends the process and removes its folder. */
  stop(): Promise<void>;
}

/** Starts a real InfluxDB 2 (`influxd` on `PATH`) on a free loopback port, set up with a token, an organization and a bucket. */
export async function startInfluxd(): Promise<Influxd> {
  const binary = program('influxd');
  if (!binary) throw new Error('influxd is not on PATH');
  const folder = await mkdtemp(join(tmpdir(), 'fogwhisk-influxd-'));
  const paths = [
    '--bolt-path',
    join(folder, 'bolt'),
    '--sqlite-path',
    join(folder, 'sqlite'),
    '--engine-path',
    join(folder, 'engine'),
  ];
  const child = spawn(binary, ['--http-bind-address', '127.0.0.1:0', '--reporting-disabled', ...paths], {
    cwd: folder, // influxd reads configuration files where it is started
    env: { ZONEINFO: join(dirname(binary), 'zoneinfo.zip') },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const exited = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGINT');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const url = `http://127.0.0.1:${await listeningPort(createInterface({ input: child.stdout }))}`;
    const settings = { token: 'test-token', org: 'influxdata', bucket: 'measure' };
    const body = JSON.stringify({ username: 'test', password: 'test-password', ...settings });
    const response = await fetch(`${url}/api/v2/setup`, { method: 'POST', body });
    if (!response.ok) throw new Error(`influxd can't be set up: ${response.status} ${await response.text()}`);
    return { url, ...settings, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listeningPort(lines: AsyncIterable<string>): Promise<string> {
  for await (const line of lines) {
    const port = line.includes('Listening') && /\bport=(\d+)/.exec(line)?.[1];
    if (port) return port;
  }
  throw new Error('influxd ended before it listened');
}
