import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { authKey, type CallOptions, type Host, startHost } from './host.ts';

let host: Host;
beforeAll(async () => {
  host = await startHost(await mkdtemp(join(tmpdir(), 'fogwhisk-test-')));
});
afterAll(async () => {
  await host.close();
  await rm(host.folder, { recursive: true, force: true });
});

async function web(
  name: string,
  code: string,
  annotations: Record<string, unknown> = {},
  more: object = {},
): Promise<void> {
  const all = Object.entries({ 'web-export': true, ...annotations }).map(([key, value]) => ({ key, value }));
  const answer = await host.client.action(name, code, { annotations: all, ...more });
  expect(answer.status).toBe(200);
}

function call(method: string, path: string, options: CallOptions = {}) {
  return host.client.call(method, `/api/v1/web/guest/default/${path}`, undefined, { key: undefined, ...options });
}

describe('a result as an HTTP answer', () => {
  const created = 'return {statusCode:201,headers:{"X-A":"1","Content-Type":"text/plain"},body:"created"}';
  const rows: ReadonlyArray<readonly [string, string, string, number, string | null, string]> = [
    ['status, headers and body', created, '.http', 201, 'text/plain; charset=UTF-8', 'created'],
    [
      'as JSON',
      created,
      '.json',
      200,
      'application/json',
      '{\n  "statusCode": 201,\n  "headers": {\n    "X-A": "1",\n    "Content-Type": "text/plain"\n  },\n  "body": "created"\n}',
    ],
    ['its body as text', created, '.text', 200, 'text/plain; charset=UTF-8', 'created'],
    ['a string is HTML', 'return {body:"<p>hello</p>"}', '', 200, 'text/html; charset=UTF-8', '<p>hello</p>'],
    ['a field as HTML', 'return {html:"<b>x</b>"}', '.html', 200, 'text/html; charset=UTF-8', '<b>x</b>'],
    ['a field as SVG', 'return {svg:"<svg/>"}', '.svg', 200, 'image/svg+xml', '<svg/>'],
    ['an object is JSON', 'return {body:{a:[1,2]}}', '.http', 200, 'application/json', '{\n  "a": [1, 2]\n}'],
    [
      'base64 of a binary type',
      'return {headers:{"content-type":"image/png"},body:"UE5HREFUQQ=="}',
      '.http',
      200,
      'image/png',
      'PNGDATA',
    ],
    ['nothing', 'return {}', '.http', 204, null, ''],
    ['a redirect', 'return {statusCode:302,headers:{location:"http://example.com/"}}', '.http', 302, null, ''],
    ['a status as text', 'return {statusCode:"404",body:"x"}', '.http', 404, 'text/html; charset=UTF-8', 'x'],
    [
      'an error that is an answer',
      'return {error:{statusCode:418,body:"teapot"}}',
      '.http',
      418,
      'text/html; charset=UTF-8',
      'teapot',
    ],
  ];
  test.each(rows)('%s', async (title, body, extension, status, type, text) => {
    const name = `result ${rows.findIndex(([other]) => other === title)}`;
    await web(name, `function main(){ ${body} }`);
    const answer = await call('GET', `${name}${extension}`);
    expect([answer.status, answer.headers.get('content-type'), answer.text]).toEqual([status, type, text]);
    expect(answer.headers.get('x-openwhisk-activation-id')).toMatch(/^[0-9a-f]{32}$/);
  });

  const refusals: ReadonlyArray<readonly [string, string, string]> = [
    ['return {error:"app failed"}', '.http', "Response is not valid 'message/http'."],
    ['return {error:"app failed"}', '.json', "Response is not valid 'application/json'."],
    ['return {statusCode:"abc",body:"x"}', '.http', "Response is not valid 'message/http'."],
    ['return {statusCode:999,body:"x"}', '.http', "Response is not valid 'message/http'."],
    ['return {headers:{"x":null}}', '.http', "Response is not valid 'message/http'."],
    ['return {headers:{"x":"a\\r\\nb: c"}}', '.http', "Response is not valid 'message/http'."],
    [
      'return {headers:{"content-type":"not a type"},body:"x"}',
      '.http',
      'Response did not specify a known content-type.',
    ],
    [
      'return {headers:{"content-type":"image/png"},body:"no base64!"}',
      '.http',
      'Response type in header did not match generated content type.',
    ],
    ['throw new Error("x")', '.text', 'There was an error processing your request.'],
  ];
  test.each(refusals)('%s as %s', async (body, extension, text) => {
    await web('refused', `function main(){ ${body} }`);
    const answer = await call('GET', `refused${extension}`);
    expect([answer.status, answer.json.error]).toEqual([400, text]);
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  });
});

describe('what the action gets', () => {
  const echo = 'function main(a){ return {body:a} }';
  const type = (contentType: string, raw: string | Buffer): CallOptions => ({
    raw,
    headers: { 'content-type': contentType },
  });
  const rows: ReadonlyArray<readonly [string, string, CallOptions, Record<string, unknown>]> = [
    [
      'POST',
      '?q=1&q=2&enc=a%20b+c',
      type('application/json', '{"b":1}'),
      { q: '2', enc: 'a b c', b: 1, __ow_method: 'post', __ow_path: '' },
    ],
    ['PUT', '?q=1', type('application/json', '{"q":"body"}'), { q: 'body', __ow_method: 'put' }],
    ['POST', '', type('application/x-www-form-urlencoded', 'a=1&b=x%20y&a=2'), { a: '2', b: 'x y' }],
    ['POST', '', type('application/json', '[1,2]'), { __ow_body: [1, 2] }],
    ['POST', '', type('text/plain', 'hello'), { __ow_body: 'hello' }],
    ['POST', '', type('application/octet-stream', Buffer.from([0, 1, 255])), { __ow_body: 'AAH/' }],
    ['GET', '/some/path%20x', {}, { __ow_path: '/some/path%20x' }],
    ['GET', '', { key: authKey }, { __ow_user: 'guest' }],
  ];
  test.each(rows)('%s %s', async (method, path, options, args) => {
    await web('echo', echo);
    const answer = await call(method, `echo.http${path}`, options);
    expect(answer.json).toMatchObject(args);
    expect(answer.json.__ow_headers).not.toHaveProperty('authorization');
  });

  test('raw: body and query as they came', async () => {
    await web('raw', echo, { 'raw-http': true });
    const answer = await call('POST', 'raw.http?q=1&r=a%20b', type('application/json', '{"b":1}'));
    expect(answer.json).toMatchObject({ __ow_body: 'eyJiIjoxfQ==', __ow_query: 'q=1&r=a+b', __ow_method: 'post' });
  });

  test("reserved and final parameters can't be given", async () => {
    await web('echo', echo);
    await web('final', echo, { final: true }, { parameters: [{ key: 'p', value: 'def' }] });
    const text = 'Request defines parameters that are not allowed (e.g., reserved properties).';
    expect((await call('GET', 'echo.http?__ow_method=x')).json.error).toBe(text);
    expect((await call('POST', 'echo.http', type('application/json', '{"__ow_body":1}'))).json.error).toBe(text);
    expect((await call('GET', 'final.http?p=over')).json.error).toBe(text);
    expect((await call('GET', 'final.http?o=1')).json).toMatchObject({ p: 'def', o: '1' });
  });
});

describe('who may call', () => {
  test('anybody, but only what is exported', async () => {
    await host.client.action('private', 'function main(){ return {body:"x"} }');
    await web('text true', 'function main(){ return {body:"x"} }', { 'web-export': 'true' });
    for (const name of ['private', 'text true', 'nosuch', 'private.json']) {
      const answer = await call('GET', name);
      expect([answer.status, answer.json.error]).toEqual([404, 'The requested resource does not exist.']);
    }
  });

  test('`require-whisk-auth`: a key, or a secret', async () => {
    const code = 'function main(){ return {body:"in"} }';
    await web('auth', code, { 'require-whisk-auth': true });
    await web('secret', code, { 'require-whisk-auth': 42 });
    const text = 'Authentication is possible but has failed or not yet been provided.';
    expect((await call('GET', 'auth')).json.error).toBe(text);
    expect((await call('GET', 'auth', { key: authKey })).text).toBe('in');
    expect((await call('GET', 'secret', { key: authKey })).json.error).toBe(text);
    expect((await call('GET', 'secret', { headers: { 'x-require-whisk-auth': '42' } })).text).toBe('in');
  });

  test('OPTIONS answers by itself unless the action wants to', async () => {
    await web('plain', 'function main(){ return {body:"x"} }');
    await web('own', 'function main(a){ return {headers:{"x-my":a.__ow_method}} }', { 'web-custom-options': true });
    const plain = await call('OPTIONS', 'plain.http', { headers: { 'access-control-request-headers': 'x-foo' } });
    expect([plain.status, plain.headers.get('access-control-allow-headers')]).toEqual([200, 'x-foo']);
    const own = await call('OPTIONS', 'own.http');
    expect([own.headers.get('x-my'), own.headers.get('access-control-allow-origin')]).toEqual(['options', null]);
  });
});
