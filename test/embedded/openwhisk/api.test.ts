import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CallOptions, type Host, otherKey, startHost } from './host.ts';

/** Answers of Apache OpenWhisk's controller (master, 2026), word for word. Later rows use what earlier ones made. */

let host: Host;
beforeAll(async () => {
  host = await startHost(await mkdtemp(join(tmpdir(), 'fogwhisk-test-')));
});
afterAll(async () => {
  await host.close();
  await rm(host.folder, { recursive: true, force: true });
});

const MALFORMED = 'The request content was malformed:\n';
const WRONG_COLLECTION = 'Resource by this name exists but is not in this collection.';
const NO_ROUTE = 'The requested resource could not be found.';
const NOT_THERE = 'The requested resource does not exist.';
const KINDS = `Valid values are: `;

type Row = readonly [
  method: string,
  path: string,
  body: unknown,
  status: number,
  answer: unknown,
  options?: CallOptions,
];

const raw = (text: string, type = 'application/json') => ({ raw: text, headers: { 'content-type': type } });
const action = (code = 'function main(a){return a}', more: object = {}) => ({
  exec: { kind: 'nodejs:default', code },
  ...more,
});
const sequence = (...components: unknown[]) => ({ exec: { kind: 'sequence', components } });
const rule = (trigger: unknown, name: unknown) => ({ trigger, action: name });
const error = (text: string) => ({ code: expect.stringMatching(/^[0-9A-Za-z]{32}$/), error: text });
const refusesKind = (kind: string) => ({
  code: expect.any(String),
  error: expect.stringContaining(
    `${MALFORMED}The specified runtime '${kind}' is not supported by this platform. ${KINDS}'nodejs:20', `,
  ),
});

const groups: Record<string, readonly Row[]> = {
  'paths and methods': [
    ['GET', '/ping', undefined, 200, 'pong'],
    ['POST', '/ping', {}, 405, error('HTTP method not allowed, supported methods: GET, OPTIONS')],
    ['GET', '/nosuch', undefined, 405, error('HTTP method not allowed, supported methods: OPTIONS')],
    ['OPTIONS', '/api/v1/nosuch', undefined, 200, 'OK', { key: undefined }],
    ['GET', '/api/v1/namespaces', undefined, 200, ['guest']],
    ['GET', '/api/v1/nowhere/../namespaces/.', undefined, 200, ['guest']],
    ['GET', '/api/v1/namespaces/_', undefined, 404, error(NO_ROUTE)],
    ['GET', 'nosuch', undefined, 404, error(NO_ROUTE)],
    ['PUT', 'actions', {}, 404, error(NO_ROUTE)],
    ['PATCH', 'actions/a', {}, 404, error(NO_ROUTE)],
    ['POST', 'packages/p', {}, 404, error(NO_ROUTE)],
    ['PUT', 'actions/a/b/c', {}, 404, error(NO_ROUTE)],
    [
      'GET',
      '/api/v1/namespaces/bad%20ns!/actions',
      undefined,
      400,
      error('The namespace contains illegal characters.'),
    ],
    [
      'GET',
      `actions/${'a'.repeat(9_000)}`,
      undefined,
      414,
      'URI length exceeds the configured limit of 8192 characters',
    ],
    [
      'PUT',
      'actions/%',
      {},
      400,
      'Illegal request-target: Unexpected end of input, expected HEXDIG (line 1, column 31)',
    ],
    [
      'GET',
      'actions',
      undefined,
      406,
      error('Resource representation is only available with these types:\napplication/json'),
      { headers: { accept: 'text/html' } },
    ],
  ],
  'who may what': [
    [
      'GET',
      'actions',
      undefined,
      401,
      error('The resource requires authentication, which was not supplied with the request'),
      { key: undefined },
    ],
    [
      'GET',
      'actions',
      undefined,
      401,
      error('The resource requires authentication, which was not supplied with the request'),
      { key: undefined, headers: { authorization: 'Bearer abc' } },
    ],
    ['GET', 'actions', undefined, 401, error('The supplied authentication is invalid'), { key: 'foo:bar' }],
    ['GET', 'actions', undefined, 401, error('The supplied authentication is invalid'), { key: 'nocolon' }],
    [
      'GET',
      '/api/v1/namespaces/other/actions',
      undefined,
      403,
      error("The supplied authentication is not authorized to access 'other'."),
    ],
    [
      'GET',
      '/api/v1/namespaces/other/actions/foo',
      undefined,
      403,
      error("The supplied authentication is not authorized to access 'other/foo'."),
    ],
    [
      'POST',
      '/api/v1/namespaces/other/triggers/foo',
      {},
      403,
      error("The supplied authentication is not authorized to access 'other/foo'."),
    ],
    ['GET', '/api/v1/namespaces/other/packages', undefined, 200, []],
    ['GET', '/api/v1/namespaces', undefined, 200, ['other'], { key: otherKey }],
  ],
  bodies: [
    [
      'PUT',
      'actions/e',
      undefined,
      400,
      error(`${MALFORMED}Unexpected end-of-input at input index 0 (line 1, position 1), expected JSON Value:\n\n^\n`),
    ],
    [
      'PUT',
      'actions/e',
      undefined,
      400,
      error(`${MALFORMED}Unexpected end-of-input at input index 1 (line 1, position 2), expected '"':\n{\n ^\n`),
      raw('{'),
    ],
    [
      'PUT',
      'actions/e',
      undefined,
      400,
      error(
        `${MALFORMED}JSON input nested too deeply:JSON input was nested more deeply than the configured limit of maxNesting = 1000`,
      ),
      raw('['.repeat(1_001) + ']'.repeat(1_001)),
    ],
    [
      'PUT',
      'actions/e',
      undefined,
      400,
      error(
        `${MALFORMED}Unexpected character '}' at input index 5 (line 1, position 6), expected JSON Value:\n{"a":}\n     ^\n`,
      ),
      raw('{"a":}'),
    ],
    [
      'PUT',
      'actions/e',
      undefined,
      400,
      error(
        `${MALFORMED}Unexpected character 'o' at input index 0 (line 1, position 1), expected JSON Value:\nnot json\n^\n`,
      ),
      raw('not json'),
    ],
    ['PUT', 'triggers/e', [], 400, error(`${MALFORMED}Object expected in field 'exec'`)],
    [
      'PUT',
      'actions/e',
      undefined,
      415,
      error("The request's Content-Type [text/plain] is not supported. Expected:\napplication/json"),
      raw('{}', 'text/plain'),
    ],
    [
      'PUT',
      'actions/e',
      undefined,
      415,
      error("The request's Content-Type [application/octet-stream] is not supported. Expected:\napplication/json"),
      raw('{}', 'garbage'),
    ],
    ['PUT', 'packages/e', { parameters: { a: 1 } }, 400, error(`${MALFORMED}parameters malformed!`)],
    ['PUT', 'packages/e', { annotations: [{ key: 'k' }] }, 400, error(`${MALFORMED}parameters malformed!`)],
    ['PUT', 'actions/e', action('', { publish: 'yes' }), 400, error(`${MALFORMED}Expected JsBoolean, but got "yes"`)],
    ['PUT', 'actions/e', action('', { version: 'a.b.c' }), 400, error(`${MALFORMED}semantic version malformed`)],
    [
      'PUT',
      'actions/e?overwrite=foo',
      action(),
      400,
      error("The query parameter 'overwrite' was malformed:\n'foo' is not a valid Boolean value"),
    ],
    ['POST', 'triggers/e', [1], 400, error(`${MALFORMED}JSON object expected`)],
  ],
  names: [
    ['PUT', 'actions/-x', action(), 400, error('The name of the entity contains illegal characters.')],
    ['PUT', 'actions/x%2Fy', action(), 400, error('The name of the entity contains illegal characters.')],
    ['PUT', 'actions/h%C3%A9', action(), 400, error('The name of the entity contains illegal characters.')],
    ['PUT', `actions/${'a'.repeat(257)}`, action(), 400, error('Name segement longer than allowed: 257 > 256.')],
    ['PUT', 'actions/a%20b%40y.z-w&', action(), 200, expect.objectContaining({ name: 'a b@y.z-w&' })],
    ['DELETE', 'actions/a%20b%40y.z-w&', undefined, 200, expect.objectContaining({ name: 'a b@y.z-w&' })],
  ],
  actions: [
    ['PUT', 'actions/e', {}, 400, error('exec undefined')],
    ['PUT', 'actions/e', { exec: 'foo' }, 400, error(`${MALFORMED}JSON object expected`)],
    ['PUT', 'actions/e', { exec: { code: 'x' } }, 400, error(`${MALFORMED}'kind' must be a string defined in 'exec'`)],
    [
      'PUT',
      'actions/e',
      { exec: { kind: 'nodejs:20' } },
      400,
      error(`${MALFORMED}'code' must be a string or attachment object defined in 'exec' for 'nodejs:20' actions`),
    ],
    [
      'PUT',
      'actions/e',
      { exec: { kind: 'nodejs:20', code: 5 } },
      400,
      error(`${MALFORMED}Could not deserialize as attachment record: 5`),
    ],
    ['PUT', 'actions/e', { exec: { kind: 'nodejs:99', code: '' } }, 400, refusesKind('nodejs:99')],
    ['PUT', 'actions/e', { exec: { kind: 'cobol:default', code: '' } }, 400, refusesKind('cobol:default')],
    [
      'PUT',
      'actions/e',
      { exec: { kind: 'blackbox' } },
      400,
      error(`${MALFORMED}'image' must be a string defined in 'exec' for 'blackbox' actions`),
    ],
    [
      'PUT',
      'actions/e',
      { exec: { kind: 'blackbox', image: 'bad image!!' } },
      400,
      error(`${MALFORMED}could not parse image name`),
    ],
    [
      'PUT',
      'actions/e',
      action('', { limits: { memory: 64 } }),
      400,
      error('requirement failed: memory size 64 MB below allowed threshold of 128 MB'),
    ],
    [
      'PUT',
      'actions/e',
      action('', { limits: { memory: 1024 } }),
      400,
      error('requirement failed: memory size 1024 MB exceeds allowed threshold of 512 MB'),
    ],
    ['PUT', 'actions/e', action('', { limits: { memory: '1' } }), 400, error(`${MALFORMED}memory limit malformed`)],
    [
      'PUT',
      'actions/e',
      action('', { limits: { memory: -1 } }),
      400,
      error(`${MALFORMED}requirement failed: a negative size of an object is not allowed.`),
    ],
    [
      'PUT',
      'actions/e',
      action('', { limits: { timeout: 50 } }),
      400,
      error('requirement failed: duration 50 milliseconds below allowed threshold of 100 milliseconds'),
    ],
    [
      'PUT',
      'actions/e',
      action('', { limits: { timeout: 1.5 } }),
      400,
      error(`${MALFORMED}requirement failed: time limit must be whole number`),
    ],
    [
      'PUT',
      'actions/e',
      action('', { limits: { logs: 11 } }),
      400,
      error('requirement failed: log size 11 MB exceeds allowed threshold of 10 MB'),
    ],
    [
      'PUT',
      'actions/e',
      action('', { limits: { concurrency: 101 } }),
      400,
      error('requirement failed: concurrency 101 exceeds allowed threshold of 100'),
    ],
    ['PUT', 'actions/e', action('', { limits: 'x' }), 400, error(`${MALFORMED}Object expected in field 'timeout'`)],
    [
      'PUT',
      'actions/e',
      action('', { parameters: [{ key: 'p', value: 'x'.repeat(1_048_576) }] }),
      413,
      error('parameters larger than allowed: 1048579 > 1048576 bytes.'),
    ],
    [
      'PUT',
      'actions/a',
      action('code', {
        parameters: [
          { key: 'p', value: 1 },
          { key: 'p', value: 2 },
        ],
        annotations: [{ key: 'z', value: 0 }],
        version: '1',
      }),
      200,
      {
        annotations: [
          { key: 'z', value: 0 },
          { key: 'provide-api-key', value: false },
          { key: 'exec', value: 'nodejs:20' },
        ],
        exec: { kind: 'nodejs:20', code: 'code', binary: true },
        limits: { concurrency: 1, logs: 10, memory: 256, timeout: 60_000 },
        name: 'a',
        namespace: 'guest',
        parameters: [{ key: 'p', value: 2 }],
        publish: false,
        updated: expect.any(Number),
        version: '1.0.0',
      },
    ],
    ['PUT', 'actions/a', {}, 409, error('resource already exists')],
    ['PUT', 'actions/a?overwrite', action(), 409, error('resource already exists')],
    [
      'PUT',
      'actions/a?overwrite=TRUE',
      {
        annotations: [{ key: 'y', value: 1 }],
        limits: { memory: 128 },
        delAnnotations: ['z', 'provide-api-key', 'exec'],
      },
      200,
      expect.objectContaining({
        annotations: [
          { key: 'y', value: 1 },
          { key: 'exec', value: 'nodejs:20' },
        ],
        limits: { concurrency: 1, logs: 10, memory: 128, timeout: 60_000 },
        parameters: [{ key: 'p', value: 2 }],
        version: '1.0.1',
      }),
    ],
    [
      'GET',
      'actions/a?code=false',
      undefined,
      200,
      expect.objectContaining({ exec: { kind: 'nodejs:20', binary: true } }),
    ],
    [
      'GET',
      'actions/a?code=foo',
      undefined,
      400,
      error("The query parameter 'code' was malformed:\n'foo' is not a valid Boolean value"),
    ],
    ['GET', 'actions/default/a', undefined, 404, error(NOT_THERE)],
    [
      'GET',
      'actions?limit=201',
      undefined,
      400,
      error("The query parameter 'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for actions."),
    ],
    [
      'GET',
      'actions?limit=abc',
      undefined,
      400,
      error("The query parameter 'limit' was malformed:\nThe value 'abc' is not an integer for actions."),
    ],
    [
      'GET',
      'actions?skip=-1',
      undefined,
      400,
      error("The query parameter 'skip' was malformed:\nThe value '-1' is not greater than or equal to 0 for actions."),
    ],
    ['GET', 'actions?count=true', undefined, 200, { actions: 1 }],
    [
      'POST',
      'actions/a?blocking=true&timeout=60001',
      {},
      400,
      error("The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000."),
    ],
    ['POST', 'actions/nosuch', {}, 404, error(NOT_THERE)],
  ],
  sequences: [
    [
      'PUT',
      'actions/s',
      sequence('/_/a', '/guest/a'),
      200,
      expect.objectContaining({
        exec: { kind: 'sequence', components: ['/guest/a', '/guest/a'] },
        parameters: [{ key: '_actions', value: ['/guest/a', '/guest/a'] }],
      }),
    ],
    [
      'PUT',
      'actions/s2',
      sequence('a'),
      400,
      error(
        `${MALFORMED}requirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity.`,
      ),
    ],
    ['PUT', 'actions/s2', sequence(1), 400, error(`${MALFORMED}fully qualified name malformed`)],
    ['PUT', 'actions/s2', sequence(), 400, error('No component specified for the sequence.')],
    ['PUT', 'actions/s2', sequence('/_/nosuch'), 400, error('Sequence component does not exist.')],
    ['PUT', 'actions/s2', sequence('/_/s2'), 400, error('Sequence may not refer to itself.')],
    ['PUT', 'actions/s2', sequence('/_/s'), 200, expect.anything()],
    ['PUT', 'actions/s?overwrite=true', sequence('/_/s2'), 400, error('Sequence may not refer to itself.')],
    [
      'PUT',
      'actions/s3',
      sequence(...Array.from({ length: 51 }, () => '/_/a')),
      400,
      error('Too many actions in the sequence.'),
    ],
    [
      'PUT',
      'actions/s3',
      sequence('/other/a'),
      403,
      error("The supplied authentication is not authorized to access 'other/a'."),
    ],
    ['PUT', 'actions/s3', sequence('/_/nopkg/a'), 404, error(NOT_THERE)],
  ],
  'packages and bindings': [
    ['PUT', 'packages/default', {}, 400, error("Package name 'default' is reserved.")],
    ['PUT', 'packages/a', {}, 409, error(WRONG_COLLECTION)],
    ['GET', 'packages/a', undefined, 409, error(WRONG_COLLECTION)],
    ['GET', 'packages/nosuch', undefined, 404, error("The requested resource 'guest/nosuch' does not exist.")],
    [
      'PUT',
      'packages/p',
      { parameters: [{ key: 'x', value: 1 }] },
      200,
      expect.objectContaining({ binding: {}, version: '0.0.1' }),
    ],
    ['PUT', 'actions/nopkg/b', action(), 404, error(NOT_THERE)],
    ['PUT', 'actions/p/b', action(), 200, expect.objectContaining({ namespace: 'guest/p', name: 'b' })],
    ['PUT', 'actions/p/f', action('', { annotations: [{ key: 'feed', value: true }] }), 200, expect.anything()],
    [
      'GET',
      'packages/p',
      undefined,
      200,
      expect.objectContaining({
        actions: [expect.objectContaining({ name: 'b' })],
        feeds: [expect.objectContaining({ name: 'f' })],
      }),
    ],
    ['GET', 'actions/p', undefined, 409, error(WRONG_COLLECTION)],
    ['GET', 'actions/p/?count=true', undefined, 200, { actions: 2 }],
    ['GET', 'actions/nopkg/', undefined, 404, error(NOT_THERE)],
    [
      'PUT',
      'packages/bd',
      { binding: { namespace: '_', name: 'nosuch' } },
      400,
      error('Binding references a package that does not exist.'),
    ],
    [
      'PUT',
      'packages/bd',
      { binding: { namespace: '_', name: 'a' } },
      409,
      error('Cannot bind to a resource that is not a package.'),
    ],
    [
      'PUT',
      'packages/bd',
      { binding: { name: 'p' } },
      400,
      error(`${MALFORMED}Object is missing required member 'namespace'`),
    ],
    ['PUT', 'packages/bd', { binding: null }, 400, error(`${MALFORMED}Object expected in field 'namespace'`)],
    [
      'PUT',
      'packages/bd',
      { binding: { namespace: '_', name: 'p' }, parameters: [{ key: 'y', value: 2 }] },
      200,
      expect.objectContaining({
        annotations: [{ key: 'binding', value: { namespace: 'guest', name: 'p' } }],
        binding: { namespace: 'guest', name: 'p' },
        parameters: [{ key: 'y', value: 2 }],
      }),
    ],
    [
      'PUT',
      'packages/bd2',
      { binding: { namespace: '_', name: 'bd' } },
      400,
      error('Cannot bind to another package binding.'),
    ],
    [
      'GET',
      'actions/bd/b',
      undefined,
      200,
      expect.objectContaining({
        parameters: [
          { key: 'x', value: 1 },
          { key: 'y', value: 2 },
        ],
      }),
    ],
    ['POST', 'actions/bd/b?blocking=true&result=true', { z: 3 }, 200, { x: 1, y: 2, z: 3 }],
    ['PUT', 'actions/bd/c', action(), 400, error('Operation not permitted on package binding.')],
    [
      'PUT',
      'packages/p?overwrite=true',
      { binding: { namespace: '_', name: 'p' } },
      409,
      error('Resource is a package and cannot be converted into a binding.'),
    ],
    [
      'DELETE',
      'packages/p',
      undefined,
      409,
      error('Package not empty (contains 2 entities). Set force param or delete package contents.'),
    ],
    [
      'GET',
      '/api/v1/namespaces/guest/packages/p',
      undefined,
      403,
      error("The supplied authentication is not authorized to access 'guest/p'."),
      { key: otherKey },
    ],
    [
      'PUT',
      'packages/p?overwrite=true',
      { publish: true },
      200,
      expect.objectContaining({ publish: true, version: '0.0.2' }),
    ],
    [
      'POST',
      '/api/v1/namespaces/guest/actions/p/b?blocking=true&result=true',
      { z: 3 },
      200,
      { x: 1, z: 3 },
      { key: otherKey },
    ],
    [
      'PUT',
      '/api/v1/namespaces/guest/actions/p/b?overwrite=true',
      action(),
      403,
      error("The supplied authentication is not authorized to access 'guest/p/b'."),
      { key: otherKey },
    ],
    ['DELETE', 'packages/p?force=true', undefined, 200, expect.objectContaining({ name: 'p' })],
    ['GET', 'packages/bd', undefined, 404, error("The requested resource 'guest/bd' does not exist.")],
  ],
  'triggers and rules': [
    [
      'PUT',
      'triggers/t',
      { annotations: [{ key: 'k', value: 1 }] },
      200,
      {
        annotations: [{ key: 'k', value: 1 }],
        limits: {},
        name: 't',
        namespace: 'guest',
        parameters: [],
        publish: false,
        updated: expect.any(Number),
        version: '0.0.1',
      },
    ],
    ['PUT', 'rules/r', {}, 400, error('rule requires a valid trigger and a valid action')],
    ['PUT', 'rules/r', rule('/_/nosuch', '/_/nosuch'), 400, error('trigger /guest/nosuch does not exist')],
    ['PUT', 'rules/r', rule('/_/t', '/_/nosuch'), 400, error('action /guest/nosuch does not exist')],
    [
      'PUT',
      'rules/r',
      rule('/_/t', '/other/a'),
      403,
      error("The supplied authentication is not authorized to access 'other/a'."),
    ],
    ['PUT', 'rules/r', rule(1, 2), 400, error(`${MALFORMED}fully qualified name malformed`)],
    [
      'PUT',
      'rules/r',
      { ...rule('/_/t', 'guest/a'), status: 'inactive' },
      200,
      {
        action: { name: 'a', path: 'guest' },
        annotations: [],
        name: 'r',
        namespace: 'guest',
        publish: false,
        status: 'active',
        trigger: { name: 't', path: 'guest' },
        updated: expect.any(Number),
        version: '0.0.1',
      },
    ],
    ['GET', 'rules', undefined, 200, [expect.not.objectContaining({ status: expect.anything() })]],
    [
      'POST',
      'rules/r',
      { status: 'bogus' },
      400,
      error(`${MALFORMED}requirement failed: bogus is not a recognized rule state`),
    ],
    ['POST', 'rules/r', {}, 400, error(`${MALFORMED}key not found: status`)],
    ['POST', 'rules/r', { status: 'inactive', trigger: null, action: null }, 200, 'OK'],
    [
      'GET',
      'triggers/t',
      undefined,
      200,
      expect.objectContaining({
        rules: { 'guest/r': { action: { name: 'a', path: 'guest' }, status: 'inactive' } },
        version: '0.0.1',
      }),
    ],
    [
      'PUT',
      'rules/r?overwrite=true',
      { annotations: [] },
      200,
      expect.objectContaining({ status: 'inactive', version: '0.0.2' }),
    ],
    ['DELETE', 'triggers/t', undefined, 200, expect.objectContaining({ name: 't' })],
    ['POST', 'rules/r', { status: 'active' }, 404, error('Only rules with existing triggers can be activated')],
    ['PUT', 'triggers/t', {}, 200, expect.not.objectContaining({ rules: expect.anything() })],
    ['GET', 'rules/r', undefined, 200, expect.objectContaining({ status: 'inactive' })],
    ['POST', 'rules/r', { status: 'active' }, 200, 'OK'],
    ['DELETE', 'rules/r', undefined, 200, expect.objectContaining({ status: 'inactive' })],
    ['GET', 'triggers/t', undefined, 200, expect.objectContaining({ rules: {} })],
  ],
  activations: [
    ['GET', 'activations/abc', undefined, 400, error('Activation id length is 3 but must be 32.')],
    ['GET', `activations/${'g'.repeat(32)}`, undefined, 400, error('The activation id is not valid.')],
    ['GET', `activations/${'0'.repeat(32)}`, undefined, 404, error(NOT_THERE)],
    ['GET', `activations/${'0'.repeat(32)}/nosuch`, undefined, 404, error(NO_ROUTE)],
    [
      'GET',
      'activations?name=a/b/c',
      undefined,
      400,
      error(
        "The query parameter 'name' was malformed:\nParameter may be a 'simple' name or 'package-name/simple' name: a/b/c",
      ),
    ],
    [
      'GET',
      'activations?since=abc',
      undefined,
      400,
      error("The query parameter 'since' was malformed:\nParameter is not a valid value for epoch seconds: abc"),
    ],
    [
      'GET',
      'activations?count=true&docs=true',
      undefined,
      400,
      error("The parameter 'docs' is not permitted with 'count'."),
    ],
    ['GET', 'activations?upto=1', undefined, 200, []],
    ['GET', 'activations?count=true&name=p/b', undefined, 200, { activations: 1 }],
  ],
};

for (const [group, rows] of Object.entries(groups)) {
  describe(group, () => {
    for (const [at, [method, path, body, status, answer, options]] of rows.entries()) {
      test(`${at + 1}: ${method} ${path.slice(0, 60)} → ${status}`, async () => {
        const got = await host.client.call(method, path, body, options);
        expect([got.status, got.json ?? got.text]).toEqual([status, answer]);
      });
    }
  });
}

describe('headers', () => {
  test("a request's own id is echoed and is the error's code; one that begins with sid_ is replaced", async () => {
    const answer = await host.client.get('actions/nosuch', { headers: { 'x-request-id': 'mine 1' } });
    expect([answer.headers.get('x-request-id'), answer.json.code]).toEqual(['mine 1', 'mine 1']);
    const other = await host.client.get('/ping', { headers: { 'x-request-id': 'sid_x' } });
    expect(other.headers.get('x-request-id')).toMatch(/^[0-9A-Za-z]{32}$/);
  });

  test('CORS comes with answers of a route, not with requests that reached none', async () => {
    const origin = async (path: string, options?: CallOptions) =>
      (await host.client.get(path, options)).headers.get('access-control-allow-origin');
    expect(await origin('actions')).toBe('*');
    expect(await origin('actions/nosuch')).toBe('*');
    expect(await origin('nosuch')).toBe(null);
    expect(await origin('actions?limit=201')).toBe(null);
    expect(await origin('actions', { key: undefined })).toBe(null);
  });

  test('401 says how to authenticate', async () => {
    const { headers } = await host.client.get('actions', { key: undefined });
    expect(headers.get('www-authenticate')).toBe('Basic realm="OpenWhisk secure realm",charset=UTF-8');
  });
});

test('the platform lists the kinds that it runs, and no others', async () => {
  const { json } = await host.client.get('/', { key: undefined });
  const major = process.versions.node.split('.')[0];
  expect(json.runtimes.nodejs.map(({ kind }: { kind: string }) => kind)).toEqual([
    ...new Set(['nodejs:20', `nodejs:${major}`]),
  ]);
  for (const kinds of Object.values(json.runtimes as Record<string, Array<{ kind: string }>>)) {
    for (const { kind } of kinds) {
      const code = kind.startsWith('python') ? 'def main(a): return a' : 'function main(a){ return a }';
      const name = `kind-${kind.replace(':', '-')}`;
      expect((await host.client.put(`actions/${name}`, { exec: { kind, code } })).status).toBe(200);
      expect((await host.client.result(name, { x: 1 })).json).toEqual({ x: 1 });
    }
  }
});
