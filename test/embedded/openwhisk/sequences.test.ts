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
