import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';
import { program } from './programs.ts';

export interface Versitygw {
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Buckets are folders in it, objects their files. */
  readonly folder: string;
  stop(): Promise<void>;
}

/** Starts a real S3 server (`versitygw` on `PATH`) over a folder with these buckets, on a free loopback port. */
export async function startVersitygw(buckets: readonly string[]): Promise<Versitygw> {
  const folder = await mkdtemp(join(tmpdir(), 'fogwhisk-versitygw-'));
  for (const bucket of buckets) await mkdir(join(folder, bucket));
  const [accessKeyId, secretAccessKey] = ['test-access', 'test-secret-planted'];
  const port = await freePort();
  const child = spawn(program('versitygw')!, ['--port', `127.0.0.1:${port}`, 'posix', folder], {
    env: { ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const output of [child.stdout, child.stderr]) {
    output.on('data', (data: Buffer) => {
      said = (said + data).slice(-10_000);
    });
  }
  const exited = once(child, 'exit');
  const stop = async () => {
    child.kill();
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  while (
    !(await fetch(url).then(
      () => true,
      () => false,
    ))
  ) {
    if (child.exitCode !== null) throw new Error(`versitygw ended:\n${said}`);
    await sleep(20);
  }
  return { url, accessKeyId, secretAccessKey, folder, stop };
}
