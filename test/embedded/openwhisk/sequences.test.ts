import { expect, test } from 'vitest';
import { hostForTest } from './host.ts';

const sequence = (...components: string[]) => ({ exec: { kind: 'sequence', components } });

test('each component gets the result of the one before; the record lists them', async () => {
  const { client } = await hostForTest();
  await client.action('one', 'function main(a){ return {...a, one: 1} }', { parameters: [{ key: 'p', value: 'def' }] });
  await client.action('two', 'function main(a){ console.log("two"); return {...a, two: 2} }');
  await client.put('actions/inner', sequence('/_/two'));
  await client.put('actions/seq', sequence('/_/one', '/_/inner'));
  const answer = await client.post('actions/seq?blocking=true', { x: 1 });
  const record = answer.json;
  expect(record.response).toEqual({
    result: { p: 'def', x: 1, one: 1, two: 2 },
    size: 33,
    status: 'success',
    success: true,
  });
  expect(record.annotations.map(({ key }: { key: string }) => key)).toEqual([
    'topmost',
    'path',
    'waitTime',
    'kind',
    'limits',
  ]);
  expect(record.logs).toHaveLength(2);
  const [first, inner] = await Promise.all(
    record.logs.map(async (id: string) => (await client.get(`activations/${id}`)).json),
  );
  expect(first).toMatchObject({ name: 'one', cause: record.activationId });
  expect(first.annotations[0]).toEqual({ key: 'causedBy', value: 'sequence' });
  expect(inner).toMatchObject({ name: 'inner', cause: record.activationId });
  const two = (await client.get(`activations/${inner.logs[0]}`)).json;
  expect(two).toMatchObject({ name: 'two', cause: inner.activationId, logs: [expect.stringMatching(/ stdout: two$/)] });
  expect(record.duration).toBe(first.duration + two.duration);
});

test('an error ends it', async () => {
  const { client } = await hostForTest();
  await client.action('ok', 'function main(a){ return a }');
  await client.action('bad', 'function main(){ return {error:"boom"} }');
  await client.put('actions/seq', sequence('/_/ok', '/_/bad', '/_/ok'));
  const { status, json } = await client.post('actions/seq?blocking=true', {});
  expect(status).toBe(502);
  expect(json.response).toEqual({ result: { error: 'boom' }, size: 16, status: 'application error', success: false });
  expect(json.logs).toHaveLength(2);
});

test('an array is passed on as it is; a component that was deleted is an error', async () => {
  const { client } = await hostForTest();
  await client.action('array', 'function main(){ return [1,2] }');
  await client.action('got', 'function main(a){ return {got:a} }');
  await client.put('actions/seq', sequence('/_/array', '/_/got'));
  expect((await client.result('seq')).json).toEqual({ got: [1, 2] });
  await client.delete('actions/got');
  const { status, json } = await client.result('seq');
  expect([status, json]).toEqual([502, { error: 'Sequence component does not exist.' }]);
});

test('what a trigger adds to its payload reaches the first component', async () => {
  const { client } = await hostForTest();
  await client.action('first', 'function main(a){ return {p: a.p, x: a.x, headers: typeof a.__ow_headers} }');
  await client.action('last', 'function main(a){ return {...a, last: Object.keys(a)} }');
  await client.put('actions/seq', sequence('/_/first', '/_/last'));
  await client.put('triggers/t', { parameters: [{ key: 'p', value: 'from the trigger' }] });
  await client.put('rules/r', { trigger: '/_/t', action: '/_/seq' });
  await client.post('triggers/t', { x: 1 });
  await expect
    .poll(async () => (await client.get('activations?name=seq&docs=true')).json[0]?.response.result, { interval: 10 })
    .toEqual({ p: 'from the trigger', x: 1, headers: 'object', last: ['p', 'x', 'headers'] });
});

const conductor = { annotations: [{ key: 'conductor', value: true }] };

test('a conductor runs in turns with the actions that it names, and keeps its state', async () => {
  const { client } = await hostForTest();
  await client.action('add', 'function main({n}){ return {n: n + 1} }');
  const code = `function main(a) {
    const turn = a.turn || 0;
    return turn < 2 ? { action: turn ? '/_/add' : 'add', params: { n: a.n }, state: { turn: turn + 1 } } : { params: { n: a.n, turn } };
  }`;
  await client.action('twice', code, conductor);
  const record = (await client.post('actions/twice?blocking=true', { n: 5 })).json;
  expect(record.response).toEqual({ result: { n: 7, turn: 2 }, status: 'success', success: true });
  expect(record.annotations.map(({ key }: { key: string }) => key)).toEqual([
    'topmost',
    'path',
    'waitTime',
    'conductor',
    'kind',
    'limits',
  ]);
  const parts = await Promise.all(record.logs.map(async (id: string) => (await client.get(`activations/${id}`)).json));
  expect(parts.map(({ name }) => name)).toEqual(['twice', 'add', 'twice', 'add', 'twice']);
  for (const { cause, annotations } of parts) {
    expect(cause).toBe(record.activationId);
    expect(annotations[0]).toEqual({ key: 'causedBy', value: 'sequence' });
  }
});

test('a conductor sees the error of a component, or of one that is not there', async () => {
  const { client } = await hostForTest();
  await client.action('bad', 'function main(){ return {error: "boom"} }');
  const code = 'function main(a){ return a.error ? { params: { caught: a.error } } : { action: a.run } }';
  await client.action('careful', code, conductor);
  expect((await client.result('careful', { run: 'bad' })).json).toEqual({ caught: 'boom' });
  const absent = (await client.result('careful', { run: 'absent' })).json;
  expect(absent).toEqual({ caught: "Failed to resolve action with name 'absent' during composition." });
  const nameless = (await client.result('careful', { run: 5 })).json;
  expect(nameless).toEqual({ caught: 'Failed to parse action name from json value 5 during composition.' });
});

test('a conductor that never ends is ended, also one that names itself', async () => {
  const { client } = await hostForTest();
  const tooMany = { error: 'Too many actions in the composition.' };
  await client.action('ok', 'function main(a){ return a }');
  await client.action('runaway', 'function main(){ return { action: "ok" } }', conductor);
  const { status, json } = await client.post('actions/runaway?blocking=true', {});
  expect([status, json.response]).toEqual([502, { result: tooMany, status: 'application error', success: false }]);
  expect(json.logs).toHaveLength(101);
  await client.action('itself', 'function main(){ return { action: "itself" } }', conductor);
  expect((await client.result('itself')).json).toEqual(tooMany);
});
