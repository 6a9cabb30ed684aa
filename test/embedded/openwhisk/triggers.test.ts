import { expect, test } from 'vitest';
import { hostForTest } from './host.ts';

const echo = 'function main(a){ return a }';

test('a fire: 204 without an active rule and nothing is recorded, 202 with one', async () => {
  const { client } = await hostForTest();
  await client.put('triggers/t', {});
  await client.action('a', echo);
  expect((await client.post('triggers/t', { x: 1 })).status).toBe(204);
  await client.put('rules/r', { trigger: '/_/t', action: '/_/a' });
  expect((await client.post('triggers/t', { x: 1 })).status).toBe(202);
  await client.post('rules/r', { status: 'inactive' });
  const answer = await client.post('triggers/t', { x: 1 });
  expect([answer.status, answer.text, answer.headers.get('x-openwhisk-activation-id')]).toEqual([204, '', null]);
  expect((await client.get('activations?name=t&count=true')).json).toEqual({ activations: 1 });
});

test('a fire runs the action of every active rule and records what it began, as JSON lines', async () => {
  const { client } = await hostForTest();
  await client.put('packages/p', {});
  await client.action('p/a', echo);
  await client.action('b', 'function main(){ return {error:"no"} }');
  await client.action('gone', echo);
  await client.put('triggers/t', { parameters: [{ key: 'tp', value: 1 }] });
  for (const [rule, action] of Object.entries({ r1: '/_/p/a', r2: '/_/b', r3: '/_/gone', r4: '/_/b' })) {
    expect((await client.put(`rules/${rule}`, { trigger: '/_/t', action })).status).toBe(200);
  }
  await client.post('rules/r4', { status: 'inactive' });
  await client.delete('actions/gone');

  const fired = await client.post('triggers/t', { x: 1 });
  expect(fired.headers.get('x-openwhisk-activation-id')).toBe(fired.json.activationId);
  const record = (await client.get(`activations/${fired.json.activationId}`)).json;
  expect(record).toEqual({
    activationId: fired.json.activationId,
    annotations: [],
    logs: expect.any(Array),
    name: 't',
    namespace: 'guest',
    publish: false,
    response: { result: { x: 1 }, status: 'success', success: true },
    start: expect.any(Number),
    subject: 'guest',
    version: '0.0.1',
  });
  expect(record.logs[0]).toBe(
    `{"statusCode":1,"success":false,"rule":"guest/r4","error":"Rule 'guest/r4' is inactive, action 'guest/b' was not activated.","action":"guest/b"}`,
  );
  expect(record.logs[1]).toBe(
    '{"statusCode":1,"success":false,"rule":"guest/r3","error":"The requested resource does not exist.","action":"guest/gone"}',
  );
  expect(record.logs[2]).toMatch(
    /^\{"statusCode":0,"success":true,"activationId":"[0-9a-f]{32}","rule":"guest\/r2","action":"guest\/b"\}$/,
  );
  const { activationId, ...line } = JSON.parse(record.logs[3]);
  expect(line).toEqual({ statusCode: 0, success: true, rule: 'guest/r1', action: 'guest/p/a' });
  await expect
    .poll(async () => (await client.get(`activations/${activationId}/result`)).json.result, { interval: 10 })
    .toMatchObject({ tp: 1, x: 1, __ow_headers: { host: expect.any(String) } });
});

test("the caller's key reaches no action and no record", async () => {
  const { client } = await hostForTest();
  const secret = Buffer.from('6b1c8dd4-3f66-4f7e-a3f5-b5c2a1b3c4d5').toString('base64').slice(0, 40);
  await client.action('a', 'function main(a){ console.log(JSON.stringify([a, process.env])); return a }');
  await client.put('triggers/t', {});
  await client.put('rules/r', { trigger: '/_/t', action: '/_/a' });
  await client.post('triggers/t', { x: 1 }, { headers: { 'proxy-authorization': 'Basic abc', 'x-mine': 'yes' } });
  await expect
    .poll(async () => (await client.get('activations?name=a&docs=true')).json.length, { interval: 10 })
    .toBe(1);
  const { text } = await client.get('activations?docs=true');
  expect(text).toContain('"x-mine":"yes"');
  expect(text).not.toContain(secret);
  expect(text.toLowerCase()).not.toContain('authorization');
});

test('parameters: action, then trigger, then payload', async () => {
  const { client } = await hostForTest();
  const parameters = (...names: string[]) => ({ parameters: names.map((key) => ({ key, value: names[0] })) });
  await client.action(
    'a',
    'function main({__ow_headers, ...a}){ return a }',
    parameters('action', 'trigger', 'payload'),
  );
  await client.put('triggers/t', parameters('trigger', 'payload'));
  await client.put('rules/r', { trigger: '/_/t', action: '/_/a' });
  await client.post('triggers/t', { payload: 'payload' });
  await expect
    .poll(async () => (await client.get('activations?name=a&docs=true')).json[0]?.response.result, { interval: 10 })
    .toEqual({ action: 'action', trigger: 'trigger', payload: 'payload' });
});

test('rules made on one trigger at the same time are all kept', async () => {
  const { client } = await hostForTest();
  await client.action('a', echo);
  await client.put('triggers/t', {});
  const names = ['r1', 'r2', 'r3', 'r4'];
  const answers = await Promise.all(
    names.map((name) => client.put(`rules/${name}`, { trigger: '/_/t', action: '/_/a' })),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(Object.keys((await client.get('triggers/t')).json.rules).sort()).toEqual(names.map((name) => `guest/${name}`));
});

test('a large payload is passed on and kept as it came', async () => {
  const { client } = await hostForTest();
  await client.action('a', 'function main(a){ return { length: a.x.length } }');
  await client.put('triggers/t', {});
  await client.put('rules/r', { trigger: '/_/t', action: '/_/a' });
  const raw = `{"x":"${'é'.repeat(500_000)}", "n": 12345678901234567890.10}`;
  const fired = await client.post('triggers/t', undefined, { raw });
  expect(fired.status).toBe(202);
  expect((await client.get(`activations/${fired.json.activationId}`)).text).toContain('"n": 12345678901234567890.10}');
  await expect
    .poll(async () => (await client.get('activations?name=a&docs=true')).json[0]?.response.result, { interval: 10 })
    .toEqual({ length: 500_000 });
});
