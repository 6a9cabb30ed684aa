import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { Store } from '../../../src/embedded/influxdb/store.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const ROOT = join(import.meta.dirname, '../../..');
const WRITERS = 4;
const LINES = 500;
/** Times repeat after this many points of a writer, so that later points overwrite. */
const TIMES = 1_500;

/** A program that runs the server in the folder given as its argument and prints the port; made to be killed. */
async function buildProgram(): Promise<string> {
  const folder = await temporaryFolder();
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules')); // DuckDB can't be bundled
  const contents = `
    import pino from 'pino';
    import { startInfluxdb } from './src/embedded/influxdb/server.ts';
    const options = { port: 0, dataDir: process.argv[2], token: 't', org: 'o', buckets: ['b'], setting: 'port' };
    console.log((await startInfluxdb({ ...options, log: pino({ level: 'silent' }) })).port);`;
  const outfile = join(folder, 'influxdb.mjs');
  const stdin = { contents, resolveDir: ROOT, loader: 'ts' } as const;
  await build({
    stdin,
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  });
  return outfile;
}

test('everything that was answered 204 is there after kill -9', async () => {
  const program = await buildProgram();
  const dataDir = await temporaryFolder();
  /** Writer and time → the value that was answered, and the later one that may be there. */
  const answered = new Map<string, number>();
  const sent = new Map<string, number>();
  let value = 0;
  for (const killAfter of [1, 30, 90, 45]) {
    const child = spawn(process.execPath, [program, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const [port] = (await once(child.stdout, 'data')) as [Buffer];
    const exited = once(child, 'exit');
    let answers = 0;
    const writeUntilKilled = async (writer: number) => {
      for (;;) {
        const points = Array.from({ length: LINES }, () => ({ key: `${writer} ${value % TIMES}`, value: value++ }));
        for (const point of points) sent.set(point.key, point.value);
        const body = points.map(({ key, value }) => `m,writer=${key.replace(' ', ` f=${value} `)}`).join('\n');
        const url = `http://127.0.0.1:${Number(port)}/api/v2/write?org=o&bucket=b`;
        const response = await fetch(url, { method: 'POST', headers: { authorization: 'Token t' }, body });
        expect(response.status).toBe(204);
        for (const point of points) answered.set(point.key, point.value);
        if (++answers === killAfter) child.kill('SIGKILL');
      }
    };
    // Each writer ends when its connection does.
    const writers = await Promise.allSettled(Array.from({ length: WRITERS }, (_, writer) => writeUntilKilled(writer)));
    for (const writer of writers) expect(writer).toMatchObject({ reason: expect.any(TypeError) });
    await exited;

    const store = await Store.open({ dataDir, log: pino({ level: 'silent' }) });
    const stored = new Map<string, number>();
    for (const series of store.series(store.bucketByName('b')!.id)) {
      const { columns, rowCount } = await store.query(await store.pointsSql('float', [series.id], 0n, 10_000n));
      for (let row = 0; row < rowCount; row++) {
        const key = `${series.tags.get('writer')} ${columns[1]![row]}`;
        expect(stored.has(key), key).toBe(false);
        stored.set(key, columns[2]![row] as number);
      }
    }
    await store.close();
    for (const [key, value] of answered) expect([value, sent.get(key)], key).toContain(stored.get(key));
    // What was sent and not answered may be there or not; from here on it is known.
    sent.clear();
    for (const [key, value] of stored) answered.set(key, value);
  }
}, 180_000);
