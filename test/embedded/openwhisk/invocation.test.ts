import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Host, startHost } from './host.ts';

let host: Host;
beforeAll(async () => {
  host = await startHost(await mkdtemp(join(tmpdir(), 'fogwhisk-test-')));
});
afterAll(async () => {
  await host.close();
  await rm(host.folder, { recursive: true, force: true });
});

const TIMESTAMP = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z`;

describe('a blocking invocation', () => {
  test('answers the record without logs; the stored record has them, stamped', async () => {
    const { client } = host;
    await client.action('ok', 'function main(a){console.log("out");console.error("err");return {ok:true,a}}');
    const answer = await client.post('actions/ok?blocking=true', { x: 1 });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-openwhisk-activation-id')).toBe(answer.json.activationId);
    expect(answer.json).toMatchObject({
      activationId: expect.stringMatching(/^[0-9a-f]{32}$/),
      logs: [],
      name: 'ok',
      namespace: 'guest',
      publish: false,
      response: { result: { ok: true, a: { x: 1 } }, size: 23, status: 'success', success: true },
      subject: 'guest',
      version: '0.0.1',
    });
    expect(answer.json.annotations.map(({ key }: { key: string }) => key)).toEqual([
      'path',
      'waitTime',
      'kind',
      'timeout',
      'limits',
      'initTime',
    ]);
    const record = (await client.get(`activations/${answer.json.activationId}`)).json;
    expect(record.logs.sort()).toEqual([
      expect.stringMatching(new RegExp(`^${TIMESTAMP} stdout: out$`)),
      expect.stringMatching(new RegExp(`^${TIMESTAMP} stderr: err$`)),
    ]);
    expect({ ...record, logs: [] }).toEqual(answer.json);
  });

  test('a second one finds the process warm: no initTime', async () => {
    const { client } = host;
    await client.action('warm', 'let n = 0; function main(){ return { n: ++n, pid: process.pid } }');
    const first = await client.post('actions/warm?blocking=true');
    const second = await client.post('actions/warm?blocking=true');
    expect(second.json.response.result).toEqual({ n: 2, pid: first.json.response.result.pid });
    expect(second.json.annotations.map(({ key }: { key: string }) => key)).not.toContain('initTime');
  });

  test('an updated action is run new at once', async () => {
    const { client } = host;
    await client.action('updated', 'function main(){ return { v: 1 } }');
    expect((await client.result('updated')).json).toEqual({ v: 1 });
    await client.action('updated', 'function main(){ return { v: 2 } }');
    expect((await client.result('updated')).json).toEqual({ v: 2 });
  });
});

describe('what an action does, and what its caller gets', () => {
  const cases: ReadonlyArray<readonly [string, string, number, unknown, string]> = [
    ['returns nothing', 'function main(){}', 200, {}, 'success'],
    ['returns an array', 'function main(){ return [1,{"b":2},"c"] }', 200, [1, { b: 2 }, 'c'], 'success'],
    [
      'returns an error',
      'function main(){ return {error:"app failed"} }',
      502,
      { error: 'app failed' },
      'application error',
    ],
    [
      'returns more than an error',
      'function main(){ return {error:{code:5},other:1} }',
      502,
      { error: { code: 5 } },
      'application error',
    ],
    [
      'rejects',
      'function main(){ return Promise.reject("rejected") }',
      502,
      { error: 'rejected' },
      'application error',
    ],
    [
      'rejects with an object',
      'function main(){ return Promise.reject({x:1}) }',
      502,
      { error: { x: 1 } },
      'application error',
    ],
    ['rejects with nothing', 'function main(){ return Promise.reject() }', 502, { error: {} }, 'application error'],
    [
      'throws',
      'function main(){ throw new Error("thrown error") }',
      502,
      { error: 'An error has occurred: Error: thrown error' },
      'action developer error',
    ],
    [
      'returns a string',
      'function main(){ return "str" }',
      502,
      { error: 'The action did not return a dictionary.' },
      'action developer error',
    ],
    [
      'returns null',
      'function main(){ return null }',
      502,
      { error: 'The action did not produce a valid JSON or JSON Array response: null' },
      'action developer error',
    ],
    [
      'exits',
      'function main(){ process.exit(1) }',
      502,
      { error: 'The action did not produce a valid response and exited unexpectedly.' },
      'action developer error',
    ],
    [
      'has no such function',
      'function foo(){}',
      502,
      { error: "Initialization has failed due to: Action entrypoint 'main' is not a function." },
      'action developer error',
    ],
    [
      'is no archive',
      'abcd',
      502,
      {
        error:
          'Initialization has failed due to: There was an error uncompressing the action archive. The file type is unsupported',
      },
      'action developer error',
    ],
    [
      'leaves the process at init',
      'process.exit(0)',
      502,
      { error: 'The action did not initialize and exited unexpectedly.' },
      'action developer error',
    ],
    [
      'has text beyond ASCII',
      'function main(){ return {u:"héllo ☃ \\u{1F41F}"} }',
      200,
      { u: 'héllo ☃ 🐟' },
      'success',
    ],
  ];
  test.each(cases)('%s', async (title, code, status, result, word) => {
    const { client } = host;
    const name = `case ${cases.findIndex(([other]) => other === title)}`;
    expect((await client.action(name, code)).status).toBe(200);
    const answer = await client.result(name);
    expect([answer.status, answer.json]).toEqual([status, result]);
    const [record] = (await client.get(`activations?name=${name}&docs=true&limit=1`)).json;
    expect(record.response).toMatchObject({ result, status: word, success: word === 'success' });
  });

  test('code that is no JavaScript: the error and its stack', async () => {
    const { client } = host;
    await client.action('badinit', 'this is not js');
    const answer = await client.result('badinit');
    expect(answer.status).toBe(502);
    expect(answer.json.error).toMatch(/^Initialization has failed due to: SyntaxError: Unexpected identifier/);
  });

  test('a rejected Error comes with name, message and stack', async () => {
    const { client } = host;
    await client.action('rejecterr', 'function main(){ return Promise.reject(new Error("bad")) }');
    expect((await client.result('rejecterr')).json.error).toMatchObject({
      name: 'Error',
      message: 'bad',
      stack: expect.stringContaining('Error: bad'),
    });
  });
});

describe('limits', () => {
  test('time: of the run', async () => {
    const { client } = host;
    await client.action('short', 'function main(){ return new Promise(() => {}) }', { limits: { timeout: 5_000 } });
    const record = await client.record('short');
    expect(record.response).toEqual({
      result: { error: 'The action exceeded its time limits of 5000 milliseconds.' },
      status: 'action developer error',
      success: false,
    });
    expect(record.annotations).toContainEqual({ key: 'timeout', value: true });
    expect(record.logs.at(-1)).toMatch(
      / stderr: The action did not initialize or run as expected\. Log data might be missing\.$/,
    );
  });

  test('time: of an initialization that loops for ever', async () => {
    const { client } = host;
    await client.action('initslow', 'for (;;);', { limits: { timeout: 150 } });
    expect((await client.result('initslow')).json).toEqual({
      error: 'The action exceeded its time limits of 150 milliseconds during initialization.',
    });
  });

  test('memory', async () => {
    const { client } = host;
    const code =
      'const kept = []; async function main(){ for (;;) { kept.push(Buffer.alloc(4e6, 1)); await new Promise(setImmediate) } }';
    await client.action('greedy', code, { limits: { memory: 128 } });
    expect((await client.result('greedy')).json).toEqual({ error: 'The action exhausted its memory and was aborted.' });
  });

  test('logs: cut, and said so; none where the limit is 0', async () => {
    const { client } = host;
    const code =
      'function main({n}){ for (let i = 0; i < n; i++) console.log("line " + i + " " + "z".repeat(1000)); return {} }';
    await client.action('log1', code, { limits: { logs: 1 } });
    const { logs } = await client.record('log1', { n: 2000 });
    expect(logs).toHaveLength(971);
    expect(logs.at(-1)).toMatch(
      / stderr: Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes\.$/,
    );
    await client.action('log0', code, { limits: { logs: 0 } });
    expect((await client.record('log0', { n: 5 })).logs).toEqual([]);
  });

  test('result: more than 1 MB is cut and is an error', async () => {
    const { client } = host;
    await client.action('bigres', 'function main({n}){ return {x:"y".repeat(n)} }');
    const answer = await client.result('bigres', { n: 1_048_586 });
    expect(answer.status).toBe(502);
    expect(answer.json.error).toMatch(
      /^The action produced a response that exceeded the allowed length: 1048594 > 1048576 bytes\. The truncated response was: \{"x":"yyy/,
    );
  });

  test('payload: more than 1 MB is refused', async () => {
    const { client } = host;
    await client.action('ok', 'function main(a){return a}');
    const answer = await client.result('ok', { x: 'y'.repeat(1_048_576) });
    expect([answer.status, answer.json.error]).toEqual([413, 'Request larger than allowed: 1048584 > 1048576 bytes.']);
    expect((await client.result('ok', { x: 'y'.repeat(1_048_000) })).json.x).toHaveLength(1_048_000);
  });
});

describe('waiting', () => {
  const sleeper = 'function main({ms}){ return new Promise((resolve) => setTimeout(() => resolve({slept:ms}), ms)) }';

  test('a non-blocking call answers 202 with the id, and the record follows', async () => {
    const { client } = host;
    await client.action('ok', 'function main(a){return a}');
    const answer = await client.post('actions/ok', { x: 1 });
    expect([answer.status, Object.keys(answer.json)]).toEqual([202, ['activationId']]);
    await expect
      .poll(async () => (await client.get(`activations/${answer.json.activationId}/result`)).json.result, {
        interval: 10,
      })
      .toEqual({ x: 1 });
  });

  test('a blocking call that takes longer than its `timeout` answers 202', async () => {
    const { client } = host;
    await client.action('sleep', sleeper);
    const answer = await client.post('actions/sleep?blocking=true&timeout=50', { ms: 400 });
    expect([answer.status, Object.keys(answer.json)]).toEqual([202, ['activationId']]);
  });

  test('calls that are busy waiting run beside each other', async () => {
    const { client } = host;
    const folder = await mkdtemp(join(host.folder, 'beside-'));
    // Each ends only when all three have begun.
    const code = `const { readdirSync, writeFileSync } = require('node:fs');
      async function main({ folder, n }) {
        writeFileSync(folder + '/' + n, '');
        while (readdirSync(folder).length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
        return { n };
      }`;
    await client.action('beside', code);
    const answers = await Promise.all([1, 2, 3].map((n) => client.result('beside', { folder, n })));
    expect(answers.map(({ json }) => json)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  });
});

describe('arguments and environment', () => {
  test('the payload overrides the parameters; numbers and duplicates arrive as JSON reads them', async () => {
    const { client } = host;
    const parameters = [
      { key: 'd', value: 'def' },
      { key: 'e', value: 'E' },
    ];
    await client.action('defparam', 'function main(a){return a}', { parameters });
    expect((await client.result('defparam', { d: 'over', n: 1 })).json).toEqual({ d: 'over', e: 'E', n: 1 });
    expect((await client.result('defparam')).json).toEqual({ d: 'def', e: 'E' });
    const raw = ' { "d" : 1, "d" : 2 , "f": 1e3 } ';
    const path = 'actions/defparam?blocking=true&result=true';
    expect((await client.post(path, undefined, { raw })).json).toEqual({ d: 2, e: 'E', f: 1000 });
    expect((await client.post(path, undefined, { raw: ' { } ' })).json).toEqual({ d: 'def', e: 'E' });
  });

  test('bytes that are no UTF-8 become replacement characters', async () => {
    const { client } = host;
    await client.action('ok', 'function main(a){return a}');
    const raw = Buffer.from([...Buffer.from('{"x":"'), 0xff, ...Buffer.from('"}')]);
    const answer = await client.post('actions/ok?blocking=true&result=true', undefined, { raw });
    expect(answer.json).toEqual({ x: '\ufffd' });
  });

  test('`init` parameters go to the environment; no key and nothing of the host does', async () => {
    process.env.FOGWHISK_TEST_SECRET = 'not for actions';
    const { client } = host;
    const parameters = [
      { key: 'INITP', value: 'iv', init: true },
      { key: 'plain', value: 1 },
    ];
    await client.action('env', 'const e = process.env.INITP; function main(a){ return { e, a, env: process.env } }', {
      parameters,
    });
    const { json } = await client.result('env', { x: 1 });
    expect(json).toMatchObject({ e: 'iv', a: { plain: 1, x: 1 } });
    expect(
      Object.keys(json.env)
        .filter((name) => name.startsWith('__OW_'))
        .sort(),
    ).toEqual([
      '__OW_ACTION_NAME',
      '__OW_ACTION_VERSION',
      '__OW_ACTIVATION_ID',
      '__OW_API_HOST',
      '__OW_DEADLINE',
      '__OW_NAMESPACE',
      '__OW_TRANSACTION_ID',
    ]);
    expect(json.env.__OW_API_HOST).toBe(host.openwhisk.url);
    expect(json.env).not.toHaveProperty('FOGWHISK_TEST_SECRET');
    delete process.env.FOGWHISK_TEST_SECRET;
  });

  test('`provide-api-key` gives the key', async () => {
    const { client } = host;
    const annotations = [{ key: 'provide-api-key', value: true }];
    await client.action('apikey', 'function main(){ return { key: process.env.__OW_API_KEY } }', { annotations });
    expect((await client.result('apikey')).json.key).toMatch(/^6b1c8dd4-.*:abc/);
  });

  test("`final` parameters can't be overridden", async () => {
    const { client } = host;
    const more = { parameters: [{ key: 'd', value: 1 }], annotations: [{ key: 'final', value: true }] };
    await client.action('final', 'function main(a){return a}', more);
    const answer = await client.result('final', { d: 2 });
    expect([answer.status, answer.json.error]).toEqual([
      400,
      'Request defines parameters that are not allowed (e.g., reserved properties).',
    ]);
    expect((await client.result('final', { e: 2 })).json).toEqual({ d: 1, e: 2 });
  });
});

test('an action that allows it runs several activations in one process, with the logs of each', async () => {
  const { client } = host;
  const code = `let running = 0; let most = 0;
    async function main({id}){
      console.log("id " + id); most = Math.max(most, ++running);
      while (id > 0 && most < 5) await new Promise((resolve) => setTimeout(resolve, 5));
      running--; return { pid: process.pid, most };
    }`;
  await client.action('concurrent', code, { limits: { concurrency: 5 } });
  await client.result('concurrent', { id: 0 });
  const results = await Promise.all(
    [1, 2, 3, 4, 5].map(async (id) => (await client.result('concurrent', { id })).json),
  );
  expect(new Set(results.map(({ pid }) => pid)).size).toBe(1);
  expect(Math.max(...results.map(({ most }) => most))).toBe(5);
  const records = (await client.get('activations?name=concurrent&docs=true')).json;
  const lines = records.flatMap(({ logs }: { logs: string[] }) => logs.map((line) => line.slice(31)));
  expect(lines.sort()).toEqual([0, 1, 2, 3, 4, 5].map((id) => `stdout: id ${id}`));
});
