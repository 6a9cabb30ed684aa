import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { buildAction, loadAction, type Main } from '../support/action-bundle.ts';
import { couchdb, documentsOf } from '../support/couchdb.ts';
import { FakeProvider } from '../support/fake-provider.ts';
import { freePort } from '../support/free-port.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** A step of a FLARE workflow as OpenWhisk runs it, on a folder as the store, with a stand-in for the provider. */

const program = (name: string) => [resolve('test/fixtures/flare', name)];
const log = vi.fn<(...words: unknown[]) => boolean>(() => true);

let main: Main;
let provider: FakeProvider;
let state: Awaited<ReturnType<typeof couchdb>>;
let store: string;
let runs: string;

beforeEach(async () => {
  [main, provider, state, store] = await Promise.all([
    loadAction('flare'),
    FakeProvider.start(),
    couchdb(),
    temporaryFolder(),
  ]);
  runs = join(store, 'runs.txt');
  provider.parameters = {
    state_couchdb: state,
    workdir_store: `fs:${join(store, 'workdirs')}`,
    influx_token: 'influx-secret',
  };
  log.mockClear();
  for (const stream of [process.stdout, process.stderr]) {
    const spy = vi.spyOn(stream, 'write').mockImplementation(log);
    onTestFinished(() => spy.mockRestore());
  }
});

const cycle = (date = '2020-05-22') => ({ lake: 'fcre', date, timezone: 'America/New_York', period: 'P1D' });
const step = (container: string, extra: Record<string, unknown> = {}, openwhisk: Record<string, unknown> = {}) => ({
  lake: 'fcre',
  container_name: container,
  cycle: cycle(),
  program: program('step.sh'),
  config: { runs, openwhisk },
  ...extra,
});
let firings = 0;
const fire = (params: Record<string, unknown>, batchId = `batch-${++firings}`) =>
  main({ ...params, ...provider.firing(batchId) });
const next = (name: string) => ({
  'next-trigger': { name: `${name}-ready-fcre`, container_name: 'flare-next', type: 'noaa' },
});
const ran = async () => (await readFile(runs, 'utf8').catch(() => '')).split('\n').filter(Boolean);
const keyOf = (container: string, stamp = '20200522') =>
  `fcre/${container}/fcre_${stamp}_${container}_workingdirectory.tar.gz`;
const listed = (container: string, stamp?: string) =>
  execFileSync('tar', ['tzf', join(store, 'workdirs', keyOf(container, stamp))], { encoding: 'utf8' })
    .trim()
    .split('\n');
const content = (container: string, name: string, stamp?: string) =>
  execFileSync('tar', ['xzOf', join(store, 'workdirs', keyOf(container, stamp)), `${container}/${name}`], {
    encoding: 'utf8',
  });
const stateOf = async (container: string) =>
  (await documentsOf(state, 'flare')).find(({ step }) => step === container) as Record<string, unknown>;

describe('a step', () => {
  test('is pull, program, push, and what comes next', async () => {
    await fire(step('flare-download-noaa'));
    const result = await fire(
      step('flare-process-noaa', {}, { 'container-dependencies': 'flare-download-noaa', ...next('noaa') }),
      'b',
    );
    expect(result).toMatchObject({
      ok: true,
      ret: 'success',
      cycle: '2020-05-22',
      step: 'flare-process-noaa',
      archive: { key: keyOf('flare-process-noaa'), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      next: 'noaa-ready-fcre',
    });
    expect(provider.receipts.at(-1)).toMatchObject({
      batchId: 'b',
      stored: 'all',
      next: [
        {
          trigger: 'noaa-ready-fcre',
          key: expect.any(String),
          payload: { lake: 'fcre', container_name: 'flare-next', type: 'noaa', cycle: cycle() },
        },
      ],
    });
    expect(
      listed('flare-process-noaa')
        .filter((name) => !name.endsWith('/'))
        .sort(),
    ).toEqual(['flare-config.yml', 'inputs.txt', 'output.txt'].map((name) => `flare-process-noaa/${name}`));
    const digest = createHash('sha256').update(content('flare-download-noaa', 'output.txt')).digest('hex');
    expect(content('flare-process-noaa', 'inputs.txt')).toContain(`${digest}  ./flare-download-noaa/output.txt`);
    expect(content('flare-process-noaa', 'flare-config.yml')).toContain('name: flare-process-noaa');
    expect(await stateOf('flare-process-noaa')).toMatchObject({ state: 'done', handedOn: true, attempts: 1 });
    const said = JSON.stringify([
      result,
      provider.receipts,
      log.mock.calls.map(String),
      await documentsOf(state, 'flare'),
    ]);
    expect(said).toContain('flare-process-noaa is done');
    expect(said).not.toContain('secret');
  });

  test('is not done twice for a cycle, and only the firing that it was done for tells the next step', async () => {
    const params = step('flare-process-noaa', {}, next('noaa'));
    await fire(params, 'b');
    expect(await fire(params, 'b')).toMatchObject({ ok: true, wasDone: true, next: 'noaa-ready-fcre' });
    expect(await fire(params, 'c')).toMatchObject({ ok: true, wasDone: true });
    expect(provider.receipts.map(({ batchId, next }) => [batchId, next.length])).toEqual([
      ['b', 1],
      ['b', 1],
      ['c', 0],
    ]);
    expect(new Set(provider.receipts.flatMap(({ next }) => next.map(({ key }) => key))).size).toBe(1);
    expect(await ran()).toHaveLength(2);
    await fire({ ...params, cycle: cycle('2020-05-23') });
    await fire({ ...params, force: true }, 'd');
    await fire({ ...params, force: true }, 'd');
    expect(await ran()).toHaveLength(6);
    expect(provider.receipts.at(-1)!.next[0]!.payload).toMatchObject({ force: true });
  });

  test('of firings at the same moment one runs, and the others are asked to come again', async () => {
    const params = step('flare-process-noaa', { config: { runs, seconds: 0.5, openwhisk: {} } });
    const results = await Promise.all(Array.from({ length: 8 }, (_, n) => fire(params, `b${n}`)));
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
    expect(results.filter(({ error }) => (error as { code?: string })?.code === 'RUNNING')).toHaveLength(7);
    expect(provider.receipts.filter(({ failed }) => failed?.code === 'RUNNING' && failed.afterMs! > 0)).toHaveLength(7);
    expect(await ran()).toHaveLength(2);
  });

  test('of a runner that is gone is run again when its lease is over, and a runner that lost it pushes nothing', async () => {
    const slow = step('flare-slow', { config: { runs, seconds: 3.5, openwhisk: {} } });
    const running = fire(slow, 'b');
    await vi.waitFor(async () => expect(await ran()).toHaveLength(1), 20_000);
    // as if the runner had been out for longer than its lease
    const document = await stateOf('flare-slow');
    const headers = { authorization: `Basic ${Buffer.from(`${state.username}:${state.password}`).toString('base64')}` };
    const late = { ...document, leaseUntil: 0 };
    const put = await fetch(`${state.url}/flare/${encodeURIComponent(document._id as string)}`, {
      method: 'PUT',
      headers,
      body: JSON.stringify(late),
    });
    expect(put.status).toBe(201);
    const quick = { ...slow, config: { runs, openwhisk: {} } };
    expect(await fire(quick, 'b')).toMatchObject({ ok: true });
    const pushed = content('flare-slow', 'output.txt');
    expect(await running).toMatchObject({ error: { code: 'LEASE_LOST' } });
    expect(content('flare-slow', 'output.txt')).toBe(pushed);
    expect(await stateOf('flare-slow')).toMatchObject({ state: 'done', attempts: 2 });
  });

  test('that fails says where, how and what it wrote last; it is tried again, then kept aside', async () => {
    const params = step(
      'flare-download-noaa',
      { program: program('fail.sh') },
      { attempts: 2, 'retry-after-seconds': 7, ...next('x') },
    );
    const failed = await fire(params, 'b');
    expect(failed).toEqual({
      ret: 'error in running flare_container.sh; ',
      error: {
        code: 'STEP_FAILED',
        step: 'container',
        message: expect.stringContaining('ended with exit code 3'),
        meta: { exitCode: 3, lastLines: expect.arrayContaining(['no data from NOAA yet']) },
      },
    });
    expect(provider.receipts.at(-1)).toMatchObject({ stored: [], failed: { code: 'STEP_FAILED', afterMs: 7_000 } });
    expect(await stateOf('flare-download-noaa')).toMatchObject({ state: 'failed', error: { code: 'STEP_FAILED' } });
    await fire(params, 'b');
    expect(provider.receipts.at(-1)).toMatchObject({ refused: [{ id: 'b', code: 'STEP_FAILED' }] });
    // the alarm's next instant of the same cycle begins anew
    expect(await fire({ ...params, program: program('step.sh') }, 'c')).toMatchObject({
      ok: true,
      next: 'x-ready-fcre',
    });
    expect(await fire({ ...step('flare-x'), program: ['/no/such/program'] })).toMatchObject({
      error: { code: 'STEP_FAILED', message: expect.stringContaining('ENOENT') },
    });
  });

  test("looks back to yesterday's archive, and names all that it tried where there is none", async () => {
    const wanting = (lookBack: number) =>
      step('flare-process-noaa', {}, { 'container-dependencies': 'flare-download-noaa', 'days-look-back': lookBack });
    expect(await fire(wanting(1))).toMatchObject({
      ret: 'error in running flare_pullworkdir.sh; ',
      error: {
        code: 'NoSuchKey',
        step: 'pullworkdir',
        meta: {
          key: keyOf('flare-download-noaa'),
          tried: expect.arrayContaining([keyOf('flare-download-noaa', '20200521')]),
        },
      },
    });
    await fire({ ...step('flare-download-noaa'), cycle: cycle('2020-05-21') });
    expect(await fire(wanting(0))).toMatchObject({ error: { code: 'NoSuchKey' } });
    expect(await fire(wanting(1))).toMatchObject({ ok: true });
    expect(content('flare-process-noaa', 'inputs.txt')).toContain('./flare-download-noaa/output.txt');
  });

  test('keeps what it has learnt over cycles where it depends on itself', async () => {
    const own = { 'container-dependencies': ['flare-noaa'], 'days-look-back': 1 };
    const dir = await temporaryFolder();
    const append = join(dir, 'append.sh');
    await writeFile(append, '#!/bin/sh\necho "$CYCLE" >>"$CONTAINER/days.txt"\n');
    await chmod(append, 0o755);
    for (const date of ['2020-05-22', '2020-05-23', '2020-05-24']) {
      expect(await fire({ ...step('flare-noaa', { program: [append] }, own), cycle: cycle(date) })).toMatchObject({
        ok: true,
      });
    }
    expect(content('flare-noaa', 'days.txt', '20200524')).toBe('2020-05-22\n2020-05-23\n2020-05-24\n');
    expect(content('flare-noaa', 'flare-config.yml', '20200524')).toContain('2020-05-24');
  });

  test('takes its day from the alarm, in the time zone of the lake, and asks no clock', async () => {
    const { cycle: _, ...params } = step('flare-download-noaa', { timezone: 'America/New_York', type: 'alarm' });
    expect(await fire({ ...params, scheduledFor: '2020-05-22T03:00:00Z' })).toMatchObject({ cycle: '2020-05-21' });
    expect(await fire({ ...params, scheduledFor: '2020-05-22T06:30:00Z', period: 'PT6H' })).toMatchObject({
      cycle: '2020-05-22T06:30:00Z',
    });
    expect(await fire(params)).toMatchObject({ error: { code: 'CYCLE_MISSING' } });
  });

  test("fires the next trigger itself for FLARE's own callers, and one that did not start is no success", async () => {
    const params = { ...step('flare-process-noaa', {}, next('noaa')), ...provider.parameters };
    const direct = { ...params, openwhisk_apihost: provider.url, openwhisk_auth: 'uuid:key' };
    provider.statuses.push(204);
    expect(await main(direct)).toMatchObject({
      error: { code: 'TRIGGER_FAILED', step: 'triggernext' },
      ret: 'error in running flare_triggernext.sh; ',
    });
    expect(await main(direct)).toMatchObject({ ok: true, ret: 'success', wasDone: true, next: 'noaa-ready-fcre' });
    await main(direct);
    expect(provider.fired.map(({ trigger }) => trigger)).toEqual(['noaa-ready-fcre']);
    expect(await ran()).toHaveLength(2);
  });
});

test("FLARE's functions 1 to 4 are steps whose results are the next one's payload", async () => {
  const payload: Record<string, unknown> = {
    ...step(
      'flare',
      { program: program('functions.sh'), function: 1 },
      { 'container-dependencies': 'flare', ...next('done') },
    ),
    forecast_code: 'https://example.org/FCRE-forecast-code',
    config_set: 'default',
    aws_secret_access_key: 'aws-secret',
    ...provider.firing('b'),
  };
  let result = payload;
  for (const number of [1, 2, 3, 4]) {
    expect(provider.receipts).toEqual([]);
    result = await main({ ...result, ...(number > 1 && { aws_secret_access_key: undefined }) });
    if (number < 4) expect(result).toMatchObject({ function: number + 1, forecast_code: expect.any(String) });
    expect(JSON.stringify(result)).not.toContain('aws-secret');
  }
  expect(result).toMatchObject({ ok: true, result: 'Completed!', next: 'done-ready-fcre' });
  expect(provider.receipts).toMatchObject([{ batchId: 'b', stored: 'all', next: [{ trigger: 'done-ready-fcre' }] }]);
  const line = (n: number) =>
    `function ${n} of https://example.org/FCRE-forecast-code (https://example.org/FCRE-forecast-code), default, configure_run.yml`;
  expect(content('flare', 'log.txt')).toBe(`${line(1)}\nhas its key\n${line(2)}\n${line(3)}\n${line(4)}\n`);
});

describe('the entry of the image', () => {
  async function listening() {
    const file = join(await temporaryFolder(), 'flare.cjs');
    await buildAction('flare', file);
    const port = await freePort();
    const child = spawn(process.execPath, [file], { env: { PATH: process.env.PATH, PORT: String(port) } });
    onTestFinished(() => void child.kill('SIGKILL'));
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
    const post = async (path: string, body: unknown) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: JSON.stringify(body) });
      return [response.status, await response.json(), response.headers.get('content-length')];
    };
    await vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404), 10_000);
    return { post, output: () => output };
  }

  test("speaks OpenWhisk's runtime contract and keeps nothing between runs", async () => {
    const { post, output } = await listening();
    expect(await post('/init', { value: {} })).toEqual([200, { OK: true }, expect.any(String)]);
    expect((await post('/init', { value: {} })).slice(0, 2)).toEqual([
      403,
      { error: 'Cannot initialize the action more than once.' },
    ]);
    expect((await post('/run', { value: 5 }))[0]).toBe(404);
    for (const lake of ['fcre', 'bvre']) {
      const value = { ...step('flare-download-noaa', { lake }), ...provider.firing(lake) };
      expect((await post('/run', { value, deadline: String(Date.now() + 60_000) })).slice(0, 2)).toEqual([
        200,
        expect.objectContaining({ ok: true, ret: 'success', lake }),
      ]);
    }
    expect(output().match(/XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX/g)).toHaveLength(4);
    expect(await readdir(join(store, 'workdirs'))).toEqual(expect.arrayContaining(['bvre', 'fcre']));
  });

  test('ends a program before the platform ends the activation, and says so', async () => {
    const { post } = await listening();
    const value = { ...step('flare-slow', { config: { seconds: 60, openwhisk: {} } }), ...provider.firing('b') };
    const [status, result] = await post('/run', { value, deadline: String(Date.now() + 6_500) });
    expect([status, result]).toMatchObject([200, { error: { code: 'STEP_TIMED_OUT', step: 'container' } }]);
    expect(provider.receipts).toMatchObject([{ failed: { code: 'STEP_TIMED_OUT' } }]);
  });

  test('runs the same step by hand on a folder, and needs nothing else', async () => {
    const folder = await temporaryFolder();
    const file = join(folder, 'flare.cjs');
    await buildAction('flare', file);
    const shared = join(folder, 'shared');
    await mkdir(join(shared, 'flare-download-noaa'), { recursive: true });
    await writeFile(join(shared, 'flare-download-noaa', 'noaa.txt'), 'by hand');
    const byHand = async (params: Record<string, unknown>) => {
      const child = spawn(process.execPath, [file, 'run', shared], { stdio: ['pipe', 'pipe', 'pipe'] });
      child.stdin.end(JSON.stringify(params));
      const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
      return { stdout, stderr, code: code as number };
    };
    expect(await byHand(step('flare-process-noaa'))).toEqual({
      stdout: 'flare-process-noaa is done\n',
      stderr: '',
      code: 0,
    });
    expect(await readFile(join(shared, 'flare-process-noaa', 'inputs.txt'), 'utf8')).toContain(
      './flare-download-noaa/noaa.txt',
    );
    const failed = await byHand(step('flare-x', { program: program('fail.sh') }));
    expect(failed).toMatchObject({ code: 3, stderr: expect.stringContaining('STEP_FAILED') });
  });
});
