import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { couchdbIn, type Host, openwhiskOn, startHost } from '../embedded/openwhisk/host.ts';
import { describeWith } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** The requests whose answers of a real controller are recorded, and the program that holds another API's against them. */
const compare = resolve('../shared/openwhisk/compare');

/** The key of every Apache OpenWhisk standalone's `guest`, which the recorded requests use. */
const guestKey =
  '23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP';

/** The recorded answers show it, as part of the `Host` header. */
const port = 3299;

const otherRuntimes = 'lists or needs a runtime that this host does not offer';
const countsJava = 'one action fewer, as the Java action could not be created';
const olderNode = 'nodejs:18 is not offered, so the versions that follow are one behind';
const key = "the caller's authorization is kept away from actions";
const concurrent =
  "an action may allow several activations in one process, where the site does not ask for OpenWhisk's own limits";
const pages = 'a page for people who run Apache OpenWhisk itself';

/** Every answer that differs, and why it stays so. */
const stays: Readonly<Record<string, string>> = {
  'info-auth: GET /': otherRuntimes,
  'info-auth: GET /api/v1/api-docs': pages,
  'info-auth: GET /api-docs': pages,
  'info-auth: GET /metrics': pages,
  'info-auth: GET /api/v1/namespaces/_/limits': concurrent,
  'info-auth: GET /api/v1/namespaces/guest/limits': concurrent,
  'actions-create: change kind': otherRuntimes,
  'actions-create: overwrite=yes': olderNode,
  'actions-create: overwrite=TRUE': olderNode,
  'actions-create: overwrite=1': olderNode,
  'actions-create: kind python:3': otherRuntimes,
  'actions-create: kind python:default': otherRuntimes,
  'actions-create: java without main': otherRuntimes,
  'actions-create: java with main': otherRuntimes,
  'actions-create-errors: unknown kind': otherRuntimes,
  'actions-create-errors: unknown kind family': otherRuntimes,
  'actions-create-errors: unknown kind family:default': otherRuntimes,
  'actions-create-errors: kind nodejs without version': otherRuntimes,
  'actions-create-errors: empty kind': otherRuntimes,
  'actions-create-errors: limits: conc 2': concurrent,
  'actions-get-list-delete: get java': otherRuntimes,
  'actions-get-list-delete: list': countsJava,
  'actions-get-list-delete: list trailing slash': countsJava,
  'actions-get-list-delete: limit=0': countsJava,
  'actions-get-list-delete: limit=200': countsJava,
  'actions-get-list-delete: count=true': countsJava,
  'actions-get-list-delete: count=true skip=3': countsJava,
  'actions-get-list-delete: count=true limit=2': countsJava,
  'rules: activation of action by rule guest/r3': key,
  'rules: activation of action by rule guest/r1': key,
  'rules: list action by rule activation docs=true': key,
};

describeWith(['python3', 'curl'], 'against the recorded answers of Apache OpenWhisk', () => {
  if (!existsSync(compare)) {
    console.warn(`skipped: ${compare} is not there`);
    return void describe.skip('compare is absent');
  }

  // Some of its cases wait a fixed time for what must have happened then.
  test('at least 96 % are equal, and every one that is not is known', { timeout: 600_000, retry: 1 }, async () => {
    const folder = await temporaryFolder();
    const couchdb = await couchdbIn(join(folder, 'couchdb'));
    const openwhisk = await withoutPython(folder, () =>
      openwhiskOn(couchdb.url, join(folder, 'openwhisk'), { port, authKey: guestKey, namespaces: {} }),
    );
    onTestFinished(async () => {
      await openwhisk.close();
      await couchdb.close();
    });
    const report = join(folder, 'differences.jsonl');
    const child = spawn(compare, [openwhisk.url, '--json', report], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await new Promise((resolve) => child.once('close', resolve));

    const [, equal, total] = /^all +(\d+) of +(\d+) equal$/m.exec(output) ?? [];
    console.info(`OpenWhisk's answers: ${equal} of ${total} equal`);
    expect(Number(total)).toBe(858);
    const differing = (await readFile(report, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { topic: string; request: string });
    expect(differing.map(({ topic, request }) => `${topic}: ${request}`).sort()).toEqual(Object.keys(stays).sort());
    expect(Number(equal) / Number(total)).toBeGreaterThanOrEqual(0.96);
  });
});

/** The recorded controller had no `python:3`: an action of that name, made by one topic, would stand in the way of others. */
async function withoutPython<T>(folder: string, start: () => Promise<T>): Promise<T> {
  const path = process.env.PATH ?? '';
  const bin = join(folder, 'bin');
  await mkdir(bin);
  for (const program of ['sh', 'sleep']) {
    const found = path
      .split(delimiter)
      .map((entry) => join(entry, program))
      .find((file) => existsSync(file));
    if (found) await symlink(found, join(bin, program));
  }
  process.env.PATH = bin;
  try {
    return await start();
  } finally {
    process.env.PATH = path;
  }
}

describeWith(['podman', 'tar', 'ldd'], 'blackbox actions in real containers', () => {
  const image = 'localhost/fogwhisk-test:1';
  const server = `
    const end = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX';
    require('node:http').createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request.setEncoding('utf8')) body += chunk;
      const { value } = JSON.parse(body);
      if (request.url === '/init') return response.end('OK');
      if (value.greedy) for (const kept = []; ; ) kept.push(Buffer.alloc(4e6, 1));
      if (value.exit) process.exit(3);
      console.log('out');
      console.error('err');
      console.log(end);
      console.error(end);
      response.end(JSON.stringify({ value, pid: process.pid, secret: process.env.FOGWHISK_TEST_SECRET ?? null }));
    }).listen(8080);`;
  const run = promisify(execFile);
  // Of this image only: other tests have containers of their own.
  const containers = async () =>
    (await run('podman', ['ps', '--all', '--quiet', '--filter', `ancestor=${image}`])).stdout;

  let host: Host;
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fogwhisk-test-'));
    await writeFile(join(folder, 'server.cjs'), server);
    const libraries = (await run('ldd', [process.execPath])).stdout.match(/\/\S+(?= \()/g)!;
    const files = [process.execPath, ...libraries].map((file) => file.slice(1));
    const archive = join(folder, 'root.tar');
    await run('tar', ['-chf', archive, '-C', folder, 'server.cjs', '-C', '/', ...files]);
    const command = `CMD ${JSON.stringify([process.execPath, '/server.cjs'])}`;
    await run('podman', ['import', '--quiet', '--change', command, archive, image]);
    process.env.FOGWHISK_TEST_SECRET = 'not for actions';
    // Podman's default is more than a machine may allow that is a container itself.
    process.env.CONTAINERS_CONF = join(folder, 'containers.conf');
    await writeFile(
      process.env.CONTAINERS_CONF,
      '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n',
    );
    host = await startHost(folder, { containers: 'podman' });
  }, 60_000);
  afterAll(async () => {
    delete process.env.FOGWHISK_TEST_SECRET;
    delete process.env.CONTAINERS_CONF;
    await host.close();
    await rm(host.folder, { recursive: true, force: true });
    // Podman takes a moment to forget containers that have ended.
    await vi.waitFor(() => run('podman', ['rmi', '--force', image]), { timeout: 30_000, interval: 500 });
  }, 60_000);

  const create = (name: string, of: string) =>
    host.client.put(`actions/${name}?overwrite=true`, {
      exec: { kind: 'blackbox', image: of },
      limits: { memory: 128 },
    });

  test('one container serves an action again and again, with its logs', async () => {
    await create('contained', image);
    const { response, logs } = await host.client.record('contained', { a: 'é' });
    expect(response.result).toEqual({ value: { a: 'é' }, pid: 1, secret: null });
    expect(logs.map((line: string) => line.slice(31)).sort()).toEqual(['stderr: err', 'stdout: out']);
    const started = performance.now();
    expect((await host.client.record('contained', {})).response.result.value).toEqual({});
    console.info(`a warm call of a container: ${Math.round(performance.now() - started)} ms`);
  });

  test('more memory than the limit ends the container, and so does leaving; both are said', async () => {
    await create('ends', image);
    expect((await host.client.result('ends', { greedy: true })).json).toEqual({
      error: 'The action exhausted its memory and was aborted.',
    });
    expect((await host.client.result('ends', { exit: true })).json).toEqual({
      error: 'The action did not produce a valid response and exited unexpectedly.',
    });
  });

  test('an image that is not there', async () => {
    await create('absent', 'localhost/fogwhisk-absent:1');
    const { response, logs } = await host.client.record('absent');
    expect(response.result).toEqual({
      error: "Failed to pull or run container image 'localhost/fogwhisk-absent:1'. See logs for details.",
    });
    expect(logs.join()).toContain('fogwhisk-absent');
  });

  test('none is left when the host is closed', async () => {
    const before = await containers();
    const other = await startHost(await temporaryFolder(), { containers: 'podman' });
    await other.client.put('actions/a', { exec: { kind: 'blackbox', image } });
    expect((await other.client.result('a', { a: 1 })).json.value).toEqual({ a: 1 });
    expect(await containers()).not.toBe(before);
    await other.close();
    await expect.poll(containers, { interval: 100 }).toBe(before);
  });
});
