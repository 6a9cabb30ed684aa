import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../support/free-port.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { authKey, Client, couchdbIn, hostForTest, openwhiskOn, startHost } from './host.ts';

const echo = 'function main(a){ return a }';

test('a restart keeps entities and activations', async () => {
  const folder = await temporaryFolder();
  const first = await startHost(folder);
  await first.client.action('a', echo, { parameters: [{ key: 'p', value: 1 }] });
  await first.client.put('triggers/t', {});
  await first.client.put('rules/r', { trigger: '/_/t', action: '/_/a' });
  const record = await first.client.record('a', { x: 1 });
  await first.close();

  const second = await startHost(folder);
  onTestFinished(() => second.close());
  const { client } = second;
  expect((await client.result('a', { x: 2 })).json).toEqual({ p: 1, x: 2 });
  expect((await client.get(`activations/${record.activationId}`)).json).toEqual(record);
  expect((await client.post('triggers/t', {})).status).toBe(202);
  const names = (await client.get('activations')).json.map(({ name }: { name: string }) => name);
  expect(names.at(-1)).toBe('a');
});

test('two hosts on one CouchDB: what is changed through one is run new by the other within 2 s', async () => {
  const one = await hostForTest();
  const other = await openwhiskOn(one.couchdb.url, await temporaryFolder());
  onTestFinished(() => other.close());
  const client = new Client(other.url, authKey);
  await one.client.action('a', 'function main(){ return { v: 1 } }');
  const code = async () => (await client.get('actions/a')).json.exec?.code;
  await expect.poll(code, { interval: 20, timeout: 2_000 }).toContain('v: 1');
  expect((await client.result('a')).json).toEqual({ v: 1 });
  await one.client.action('a', 'function main(){ return { v: 2 } }');
  await expect.poll(code, { interval: 20, timeout: 2_000 }).toContain('v: 2');
  expect((await client.result('a')).json).toEqual({ v: 2 });
  await one.client.delete('actions/a');
  await expect.poll(async () => (await client.result('a')).status, { interval: 20, timeout: 2_000 }).toBe(404);
});

test('two hosts that change one entity at once: one wins, the other gets 409 and can go on', async () => {
  const one = await hostForTest();
  const other = await openwhiskOn(one.couchdb.url, await temporaryFolder());
  onTestFinished(() => other.close());
  const client = new Client(other.url, authKey);
  const statuses = new Set<number>();
  for (let round = 0; round < 20 && !statuses.has(409); round++) {
    const answers = await Promise.all([
      one.client.put('triggers/t?overwrite=true', {}),
      client.put('triggers/t?overwrite=true', {}),
    ]);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    for (const { status, json } of answers) {
      statuses.add(status);
      if (status === 409) expect(json.error).toBe('Concurrent modification to resource detected.');
    }
  }
  expect(statuses).toEqual(new Set([200, 409]));
  expect((await one.client.put('triggers/t?overwrite=true', {})).status).toBe(200);
});

test('without CouchDB a host goes on, and starts; changes are refused until it is back', async () => {
  const folder = await temporaryFolder();
  const port = await freePort();
  const couchdb = await couchdbIn(join(folder, 'couchdb'), port);
  const first = await openwhiskOn(couchdb.url, join(folder, 'openwhisk'));
  const client = new Client(first.url, authKey);
  await client.action('a', 'function main(){ return { v: 1 } }');
  await client.put('triggers/t', {});
  await client.put('rules/r', { trigger: '/_/t', action: '/_/a' });
  await couchdb.close();
  expect((await client.result('a')).json).toEqual({ v: 1 });
  expect((await client.post('triggers/t', {})).status).toBe(202);
  expect((await client.put('triggers/t2', {})).status).toBe(503);
  await first.close();

  const second = await openwhiskOn(couchdb.url, join(folder, 'openwhisk'));
  onTestFinished(() => second.close());
  const again = new Client(second.url, authKey);
  expect((await again.result('a')).json).toEqual({ v: 1 });
  expect((await again.post('triggers/t', {})).status).toBe(202);

  const back = await couchdbIn(join(folder, 'couchdb'), port);
  onTestFinished(() => back.close());
  await expect.poll(async () => (await again.put('triggers/t2', {})).status, { interval: 50 }).toBe(200);
});

test('close ends the runtimes, and their folders are gone', async () => {
  const folder = await temporaryFolder();
  const host = await startHost(folder);
  await host.client.action('a', 'function main(){ return { pid: process.pid, folder: process.cwd() } }');
  const { pid, folder: own } = (await host.client.result('a')).json;
  expect(own).toContain(folder);
  await host.close();
  expect(isAlive(pid)).toBe(false);
  expect(await readdir(join(folder, 'openwhisk', 'runtimes'))).toEqual([]);
});

test('close answers and records what it cut short', async () => {
  const folder = await temporaryFolder();
  const host = await startHost(folder);
  await host.client.action('wait', 'function main(){ return new Promise((resolve) => setTimeout(resolve, 60_000)) }');
  expect((await host.client.post('actions/wait', {})).status).toBe(202);
  const started = performance.now();
  await host.openwhisk.close();
  expect(performance.now() - started).toBeLessThan(20_000);
  await host.couchdb.close();
  const again = await startHost(folder);
  onTestFinished(() => again.close());
  const [record] = (await again.client.get('activations?name=wait&docs=true')).json;
  expect(record.response.success).toBe(false);
});

test('kill -9 of the host ends its runtimes, also one that loops for ever and one that has children', async () => {
  const host = await hostProcess();
  const looping =
    'const {spawn} = require("child_process"); const c = spawn("sleep", ["600"]); console.error("pids", process.pid, c.pid); for (;;);';
  await host.client.action('loop', looping);
  await host.client.action('idle', 'function main(){ return { pid: process.pid } }');
  const { pid } = (await host.client.result('idle')).json;
  await host.client.post('actions/loop', {});
  const loopPids = async () => (await descendants(host.process.pid!)).filter((other) => other !== pid);
  await expect.poll(async () => (await loopPids()).length, { interval: 20 }).toBeGreaterThanOrEqual(2);
  const pids = [pid, ...(await loopPids())];
  host.process.kill('SIGKILL');
  await expect.poll(() => pids.filter(isAlive), { interval: 20 }).toEqual([]);
});

/** A host in a process of its own, from a bundle of the sources. */
async function hostProcess(): Promise<{ process: ChildProcess; client: Client }> {
  const folder = await temporaryFolder();
  const source = resolve('src/embedded/openwhisk');
  cpSync(join(source, 'runtimes'), join(folder, 'runtimes'), { recursive: true });
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  await build({
    stdin: {
      contents: `
        import { pino } from 'pino';
        import { startOpenwhisk } from ${JSON.stringify(join(source, 'server.ts'))};
        const log = pino({ level: 'silent' });
        const options = JSON.parse(process.argv[2]);
        const host = await startOpenwhisk({ ...options, port: 0, log, setting: 's' });
        console.log(host.url);`,
      resolveDir: resolve('.'),
    },
    outfile: join(folder, 'host.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
  const couchdb = await couchdbIn(join(folder, 'couchdb'));
  onTestFinished(() => couchdb.close());
  const options = {
    dataDir: join(folder, 'data'),
    authKey,
    couchdb: { url: couchdb.url, username: 'admin', password: 'secret' },
  };
  const child = spawn(process.execPath, [join(folder, 'host.mjs'), JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  for await (const url of createInterface({ input: child.stdout! }))
    return { process: child, client: new Client(url, authKey) };
  throw new Error('the host ended before it was ready');
}

/** The processes that a process has started, and theirs, without its shell that waits for its end. */
async function descendants(root: number): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      const [, command, rest] = /\((.*)\) (.*)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))!;
      const parent = Number(rest!.split(' ')[1]);
      if (command !== 'sh' && (parent === root || found.includes(parent))) found.push(pid);
    } catch {
      // it has ended
    }
  }
  return found;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
