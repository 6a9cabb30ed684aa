import { Agent, request } from 'node:http';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { authKey, hostForTest } from './host.ts';

/** The rates are counted per wall-clock minute: time stands still, so that no test sees one end. */
function freezeTime(): void {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-21T12:00:30Z') });
}
afterEach(() => {
  vi.useRealTimers();
});

const echo = 'function main(a){ return a }';
const tooMany = 'Too many requests in the last minute (count: 61, allowed: 60).';

test('60 invocations per minute and namespace; refused ones count, reading does not', async () => {
  freezeTime();
  const { client } = await hostForTest({ limits: 'openwhisk' });
  await client.action('a', echo);
  for (let count = 1; count <= 60; count++) expect((await client.result('a', { count })).status).toBe(200);
  const refused = await client.post('actions/a', undefined, { raw: '{bad' });
  expect([refused.status, refused.json.error]).toEqual([429, tooMany]);
  expect((await client.post('actions/nosuch', {})).json.error).toBe(
    'Too many requests in the last minute (count: 62, allowed: 60).',
  );
  expect((await client.get('actions/a')).status).toBe(200);
  vi.setSystemTime(new Date('2026-11-21T12:01:00Z'));
  expect((await client.result('a', { x: 1 })).json).toEqual({ x: 1 });
});

test("60 fires per minute, with or without rules; a rule's action counts as an invocation and may be refused", async () => {
  freezeTime();
  const { client } = await hostForTest({ limits: 'openwhisk' });
  await client.action('a', echo);
  await client.put('triggers/none', {});
  await client.put('triggers/t', {});
  for (const rule of ['r1', 'r2']) await client.put(`rules/${rule}`, { trigger: '/_/t', action: '/_/a' });
  for (let count = 1; count <= 30; count++) expect((await client.post('triggers/t', {})).status).toBe(202);
  const fired = await client.post('triggers/t', {});
  const { logs } = (await client.get(`activations/${fired.json.activationId}`)).json;
  expect(JSON.parse(logs[0])).toEqual({
    statusCode: 1,
    success: false,
    rule: 'guest/r2',
    error: tooMany,
    action: 'guest/a',
  });
  for (let count = 32; count <= 60; count++) expect((await client.post('triggers/none', {})).status).toBe(204);
  expect((await client.post('triggers/none', {})).json.error).toBe(tooMany);
});

test('30 invocations at once; a sequence is one', async () => {
  const { client } = await hostForTest({ limits: 'openwhisk' });
  await client.action('wait', 'function main(){ return new Promise((resolve) => setTimeout(resolve, 60_000)) }');
  await client.put('actions/seq', { exec: { kind: 'sequence', components: ['/_/wait', '/_/wait'] } });
  expect((await client.post('actions/seq', {})).status).toBe(202);
  for (let count = 2; count <= 30; count++) expect((await client.post('actions/wait', {})).status).toBe(202);
  const refused = await client.post('actions/wait', {});
  expect([refused.status, refused.json.error]).toEqual([
    429,
    'Too many concurrent requests in flight (count: 30, allowed: 30).',
  ]);
});

test('the limits are shown', async () => {
  const { client } = await hostForTest({ limits: 'openwhisk' });
  expect((await client.get('limits')).json).toEqual({
    concurrentInvocations: 30,
    firesPerMinute: 60,
    invocationsPerMinute: 60,
    maxActionConcurrency: 1,
    maxActionInstances: 30,
    maxActionLogs: 10,
    maxActionMemory: 512,
    maxActionTimeout: 300_000,
    maxParameterSize: '1048576 B',
    minActionConcurrency: 1,
    minActionLogs: 0,
    minActionMemory: 128,
    minActionTimeout: 100,
  });
  await client.action('a', echo, { limits: { concurrency: 2 } });
  const refused = await client.action('a', echo, { limits: { concurrency: 2 } });
  expect(refused.json.error).toBe('requirement failed: concurrency 2 exceeds allowed threshold of 1');
});

test('10,000 malformed requests: only 4xx, and the host goes on', { timeout: 120_000 }, async () => {
  const { client } = await hostForTest();
  await client.action('a', echo);
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  onTestFinished(() => agent.destroy());
  const paths = [
    'actions/!a',
    'triggers/!t',
    'rules/r',
    'packages/%00',
    'actions/%ff',
    'activations/x',
    'a/%2e',
    'actions/a?blocking=so&overwrite=so',
  ];
  const bodies = [
    '[',
    'null',
    '"',
    '{"a":}',
    '\u0000',
    '{"exec":{"kind":[]}}',
    '{"parameters":7}',
    '['.repeat(2_000),
    'x',
  ];
  const headers = {
    authorization: `Basic ${Buffer.from(authKey).toString('base64')}`,
    'content-type': 'application/json',
  };
  const send = (number: number) =>
    new Promise<number>((resolve, reject) => {
      const method = ['PUT', 'POST', 'PATCH'][number % 3]!;
      const path = `/api/v1/namespaces/_/${paths[number % paths.length]}`;
      const sent = request(client.url + path, { method, agent, headers }, (response) => {
        response.resume().once('end', () => resolve(response.statusCode!));
      });
      sent.once('error', reject);
      sent.end(bodies[Math.floor(number / 24) % bodies.length]);
    });
  const statuses = new Map<number, number>();
  for (let count = 0; count < 10_000; count += 50) {
    const batch = await Promise.all(Array.from({ length: 50 }, (_, at) => send(count + at)));
    for (const status of batch) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  expect([...statuses.keys()].filter((status) => status < 400 || status > 499)).toEqual([]);
  expect((await client.result('a', { x: 1 })).json).toEqual({ x: 1 });
});
