import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Event } from '../../src/core/event.ts';
import { type Firing, firingPayload, receiptSchema, settlementOf } from '../../src/core/firing.ts';
import type { Registration } from '../../src/core/registration.ts';
import { type Listener, listen, readBody } from '../../src/embedded/http.ts';

/** The action as OpenWhisk runs it: the bundle, against a fake that stands for InfluxDB, the provider and the site's parameters. */

type Main = (params: Record<string, unknown>) => Promise<Record<string, unknown>>;

const bundle = await build({
  entryPoints: ['actions/addReadingToDb/main.ts'],
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  write: false,
});

/** The Node.js runtime evaluates an action's code in a function and takes what `main` names in there. */
function load(): Main {
  const code = `${bundle.outputFiles[0]!.text}\nreturn main`;
  return new Function('require', 'module', 'exports', code)(
    createRequire(import.meta.url),
    { exports: {} },
    {},
  ) as Main;
}

interface Seen {
  readonly lines: string[];
  readonly encoding: string | undefined;
}

/** A fake: strict about what it is asked, and answering as its fields say. */
class Fake {
  readonly writes: Seen[] = [];
  readonly receipts: unknown[] = [];
  parametersAsked = 0;
  parameters: unknown = {};
  parametersStatus = 200;
  /** Answers of coming writes, before the rule of `refuses`; a function answers itself. */
  readonly writeAnswers: Array<[status: number, body: string]> = [];
  readonly receiptStatuses: number[] = [];
  /** A write with such a line is answered 422, as a partial write. */
  refuses: (line: string) => boolean = () => false;
  refusesWith: 400 | 422 = 422;
  beforeWriteAnswer: () => Promise<void> = async () => {};
  readonly stored = new Set<string>();
  readonly faults: string[] = [];

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, 'http://fake');
    const body = (await readBody(request, 100_000_000)).toString();
    const must = (condition: boolean, what: string) =>
      condition || this.faults.push(`${request.method} ${url.pathname}: ${what}`);
    const answer = (status: number, text = '') => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    };
    if (url.pathname === '/api/v2/write') {
      must(request.method === 'POST', 'method');
      must(request.headers.authorization === 'Token influx-secret', 'token');
      must(url.search === '?org=influxdata&bucket=measure&precision=ns', url.search);
      const lines = body.split('\n');
      this.writes.push({ lines, encoding: request.headers['content-encoding'] });
      await this.beforeWriteAnswer();
      const given = this.writeAnswers.shift();
      if (given) return answer(...given);
      const bad = lines.filter((line) => this.refuses(line));
      if (bad.length === 0 || this.refusesWith === 422)
        for (const line of lines) if (!bad.includes(line)) this.stored.add(line);
      if (bad.length === 0) return answer(204);
      return answer(
        this.refusesWith,
        JSON.stringify({ code: 'refused', message: `partial write: it is bad dropped=${bad.length}` }),
      );
    }
    if (url.pathname === '/receipts') {
      must(request.method === 'POST', 'method');
      must(request.headers.authorization === 'Bearer receipt-secret', 'token');
      must(request.headers['content-type'] === 'application/json', 'content type');
      const status = this.receiptStatuses.shift() ?? 204;
      if (status === 204) this.receipts.push(JSON.parse(body));
      return answer(status);
    }
    if (url.pathname === '/parameters') {
      must(request.method === 'GET', 'method');
      must(request.headers.authorization === 'Bearer parameter-secret', 'token');
      this.parametersAsked++;
      return answer(this.parametersStatus, JSON.stringify(this.parameters));
    }
    must(false, 'asked for nothing known');
    answer(404);
  }
}

let main: Main;
let fake: Fake;
let server: Listener;
const log = vi.fn<(...words: unknown[]) => void>();

beforeEach(async () => {
  main = load();
  fake = new Fake();
  server = await listen((request, response) => fake.handle(request, response), { port: 0, setting: 'test' });
  log.mockReset();
  for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const)
    vi.spyOn(console, level).mockImplementation(log);
});
afterEach(async () => {
  await server.close(0);
  vi.restoreAllMocks();
  vi.useRealTimers();
  expect(fake.faults).toEqual([]);
});

const RECEIVED = '1795000000000000001';
const influx = () => ({
  influx_url: server.url,
  influx_token: 'influx-secret',
  influx_org: 'influxdata',
  influx_bucket: 'measure',
});
const batch = (bodies: readonly string[], extra: Record<string, unknown> = {}) => ({
  ...influx(),
  __ow_headers: { authorization: 'Basic openwhisk-secret' },
  type: 'messages',
  batchId: 'b1',
  site: '7',
  registration: 'r',
  messages: bodies.map((body, index) => ({
    id: `m${index}`,
    topic: 'test',
    body,
    receivedAt: RECEIVED,
    qos: 1,
    retain: false,
  })),
  receipt: { url: `${server.url}/receipts`, token: 'receipt-secret' },
  ...extra,
});
function expectNoSecrets(result: unknown): void {
  expect(JSON.stringify([result, log.mock.calls])).not.toMatch(/secret/);
}

test('a batch is one write, one receipt, and a result that counts', async () => {
  const result = await main(batch(['{"a":1,"b":2,"c":"x"}', '{"a":3,"time":"soon"}']));
  expect(result).toEqual({ ok: true, stored: 3, messages: 2, refused: 0, ignoredFields: 1, oddTimes: 1 });
  expect(fake.writes).toEqual([
    {
      lines: [
        `a,datacenter_id=7 value=1 ${RECEIVED}`,
        `b,datacenter_id=7 value=2 ${RECEIVED}`,
        `a,datacenter_id=7 value=3 ${RECEIVED}`,
      ],
      encoding: undefined,
    },
  ]);
  expect(fake.receipts).toEqual([{ batchId: 'b1', stored: 'all' }]);
  expectNoSecrets(result);
  expect(log).not.toHaveBeenCalled();
});

test('a large batch is still one write, compressed', async () => {
  const result = await main(
    batch(Array.from({ length: 3_000 }, (_, i) => `{"a":${i},"b":${i},"time":${1_700_000_000 + i}}`)),
  );
  expect(result).toMatchObject({ ok: true, stored: 6_000, messages: 3_000 });
  expect(fake.writes.map(({ lines, encoding }) => [lines.length, encoding])).toEqual([[6_000, 'gzip']]);
});

test('the classic message is stored at its arrival and needs no receipt', async () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  const result = await main({ ...influx(), type: 'message', topic: 'test', body: '{"a":1,"device_fingerprint":5}' });
  expect(result).toMatchObject({ ok: true, stored: 1, messages: 1, refused: 0 });
  const [, time] = /^a,device_fingerprint=5 value=1 (\d+)$/.exec(fake.writes[0]!.lines[0]!)!;
  expect(BigInt(time!)).toBeGreaterThanOrEqual(before);
  expect(BigInt(time!)).toBeLessThan(before + 60_000_000_000n);
});

test('a body that wsk has parsed is taken as its text', async () => {
  await main({ ...influx(), type: 'message', topic: 'test', body: { a: 1 } });
  expect(fake.writes[0]!.lines[0]).toMatch(/^a value=1 /);
});

test.each(['status', 'alarm', undefined, 5])('type %s is ignored, whatever else is given', async (type) => {
  expect(await main({ type, body: 'connected' })).toEqual({ ok: true, ignored: expect.stringContaining('type') });
});

test('a refused message is named in receipt and result and costs no other', async () => {
  const result = await main(batch(['Hello', '{"a":1}', '{"a":1e400,"b":2}', '{"s":"x"}']));
  const refused = [
    { id: 'm0', code: 'NOT_JSON', message: expect.any(String) },
    { id: 'm2', code: 'FIELD_REFUSED', message: expect.stringContaining('"a"') },
    { id: 'm3', code: 'NO_NUMERIC_FIELD', message: expect.any(String) },
  ];
  expect(fake.receipts).toEqual([{ batchId: 'b1', stored: ['m1'], refused }]);
  expect(result).toMatchObject({ ok: true, stored: 2, messages: 4, refused: 3, refusals: refused });
});

test('a batch of which nothing can be stored asks InfluxDB nothing and still gets its receipt', async () => {
  expect(await main(batch(['x', 'y']))).toMatchObject({ ok: true, stored: 0, refused: 2 });
  expect(fake.writes).toEqual([]);
  expect(fake.receipts).toMatchObject([{ stored: [], refused: [{ id: 'm0' }, { id: 'm1' }] }]);
});

test('an empty batch is a batch', async () => {
  expect(await main(batch([]))).toMatchObject({ ok: true, stored: 0, messages: 0 });
  expect(fake.receipts).toEqual([{ batchId: 'b1', stored: 'all' }]);
});

test.each([400, 422] as const)('lines that InfluxDB refuses with %i cost only themselves', async (status) => {
  fake.refusesWith = status;
  fake.refuses = (line) => line.startsWith('bad');
  const bodies = Array.from({ length: 50 }, (_, i) => (i % 17 === 3 ? `{"bad":1,"g${i}":1}` : `{"g${i}":1}`));
  const result = await main(batch(bodies));
  expect(result).toMatchObject({ ok: true, stored: 50, messages: 50, refused: 3 });
  expect([...fake.stored].sort()).toEqual(bodies.map((_, i) => `g${i},datacenter_id=7 value=1 ${RECEIVED}`).sort());
  if (status === 422) expect(fake.writes.length).toBeLessThan(2 * Math.log2(53) + 1);
  const refused = ['m3', 'm20', 'm37'].map((id) => ({
    id,
    code: 'INFLUX_REFUSED',
    message: 'partial write: it is bad',
  }));
  expect(fake.receipts).toMatchObject([{ batchId: 'b1', refused }]);
});

test('nothing is reported before InfluxDB has answered', async () => {
  let answer = () => {};
  const asked = new Promise<void>((resolve) => {
    fake.beforeWriteAnswer = () => {
      resolve();
      return new Promise((go) => {
        answer = go;
      });
    };
  });
  let ended = false;
  const running = main(batch(['{"a":1}'])).finally(() => {
    ended = true;
  });
  await asked;
  await new Promise((resolve) => setImmediate(resolve));
  expect([ended, fake.receipts]).toEqual([false, []]);
  answer();
  expect(await running).toMatchObject({ ok: true });
  expect(fake.receipts).toHaveLength(1);
});

describe('InfluxDB can not take the batch now: an error, no receipt, no secret', () => {
  test.each([
    [401, '{"code":"unauthorized","message":"unauthorized access"}', /influx_token/],
    [404, '{"code":"not found","message":"bucket \\"measure\\" not found"}', /influx_bucket/],
    [429, '{"code":"too many requests","message":"slow down"}', /429/],
    [400, '<html>not an InfluxDB</html>', /400/],
    [500, 'not JSON', /500/],
    [503, '', /503/],
    [302, '', /302/],
  ])('%i', async (status, body, message) => {
    fake.writeAnswers.push([status, body]);
    const result = await main(batch(['{"a":1}']));
    expect(result).toEqual({
      error: { code: 'INFLUX_FAILED', message: expect.stringMatching(message), meta: { url: server.url, status } },
    });
    expect(fake.receipts).toEqual([]);
    expectNoSecrets(result);
    expect(log).not.toHaveBeenCalled();
  });

  test('nobody listens', async () => {
    const { url } = server;
    await server.close(0);
    const result = await main(batch(['{"a":1}']));
    expect(result).toMatchObject({
      error: { code: 'INFLUX_UNREACHABLE', message: expect.stringContaining('ECONNREFUSED'), meta: { url } },
    });
    expectNoSecrets(result);
  });

  test('the connection breaks', async () => {
    fake.beforeWriteAnswer = () => server.close(0);
    expect(await main(batch(['{"a":1}']))).toMatchObject({ error: { code: 'INFLUX_UNREACHABLE' } });
  });
});

describe('the receipt', () => {
  test('is sent again when the first one fails', async () => {
    fake.receiptStatuses.push(503);
    expect(await main(batch(['{"a":1}']))).toMatchObject({ ok: true });
    expect(fake.receipts).toHaveLength(1);
  });
  test('that fails twice is an error', async () => {
    fake.receiptStatuses.push(503, 401);
    const result = await main(batch(['{"a":1}']));
    expect(result).toEqual({
      error: {
        code: 'RECEIPT_FAILED',
        message: expect.stringContaining('401'),
        meta: { url: `${server.url}/receipts`, status: 401 },
      },
    });
    expectNoSecrets(result);
  });
  test.each([[{ url: 5, token: 'x' }], ['x'], [[]]])('must be a reference: %j', async (receipt) => {
    expect(await main(batch(['{"a":1}'], { receipt }))).toMatchObject({ error: { code: 'PAYLOAD_INVALID' } });
  });
});

describe('parameters by reference', () => {
  const reference = () => ({ parameters: { url: `${server.url}/parameters`, token: 'parameter-secret' } });
  const defaults = { influx_url: 'http://127.0.0.1:9', influx_token: 'x', influx_org: 'y', influx_bucket: 'z' };

  test('win over the defaults of the action and are asked for once in a while', async () => {
    fake.parameters = { ...influx(), datacenter_id: 9, datacenter_enforce: 'tag' };
    for (let i = 0; i < 3; i++) {
      expect(await main(batch(['{"a":1,"datacenter_id":1}'], { ...defaults, ...reference() }))).toMatchObject({
        ok: true,
      });
    }
    expect(fake.writes[0]!.lines).toEqual([`a,datacenter_id=9 value=1 ${RECEIVED}`]);
    expect(fake.parametersAsked).toBe(1);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5_001 });
    await main(batch(['{"a":1}'], reference()));
    expect(fake.parametersAsked).toBe(2);
  });
  test('that can not be had are an error, and are asked for again', async () => {
    fake.parametersStatus = 500;
    const result = await main(batch(['{"a":1}'], reference()));
    expect(result).toMatchObject({ error: { code: 'PARAMETERS_UNREACHABLE', meta: { status: 500 } } });
    expectNoSecrets(result);
    fake.parametersStatus = 200;
    expect(await main(batch(['{"a":1}'], reference()))).toMatchObject({ ok: true });
  });
  test('must be an object', async () => {
    fake.parameters = [];
    expect(await main(batch(['{"a":1}'], reference()))).toMatchObject({ error: { code: 'PARAMETERS_INVALID' } });
  });
});

describe('what is missing or wrong is said', () => {
  test.each<[Record<string, unknown>, string, RegExp]>([
    [{ influx_url: undefined, influx_bucket: '' }, 'PARAMETER_MISSING', /^influx_url, influx_bucket not given/],
    [{ influx_url: 'influx-secret' }, 'PARAMETER_INVALID', /influx_url must be/],
    [{ influx_url: 'ftp://x' }, 'PARAMETER_INVALID', /influx_url must be/],
    [{ datacenter_enforce: 'maybe' }, 'PARAMETER_INVALID', /trust, tag or reject/],
    [{ datacenter_enforce: 'tag', site: undefined }, 'PARAMETER_MISSING', /datacenter_id not given/],
    [{ datacenter_id: {} }, 'PARAMETER_INVALID', /datacenter_id/],
    [{ messages: 'x' }, 'PAYLOAD_INVALID', /messages/],
    [{ messages: [null] }, 'PAYLOAD_INVALID', /messages/],
  ])('%j', async (extra, code, message) => {
    const result = await main(batch(['{"a":1}'], extra));
    expect(result).toMatchObject({ error: { code, message: expect.stringMatching(message) } });
    expect([fake.writes, fake.receipts]).toEqual([[], []]);
    expectNoSecrets(result);
  });
});

describe('what the provider fires is what the action takes, and what the action answers is what the provider takes', () => {
  const events = [
    Buffer.from('{"a":1,"s":"\\u0001 \u2028 \\""}'),
    Buffer.from([0xff, 0x00]),
    Buffer.from('garbage'),
    Buffer.from('{"b":2}'),
  ].map(
    (body, index): Event => ({
      id: String(1_795_000_000_000_000_001n + BigInt(index)),
      receivedAt: 1_795_000_000_000_000_001n + BigInt(index),
      registration: 'test',
      topic: 'a/"b"',
      qos: 1,
      retain: false,
      keyed: false,
      body,
      sequence: index,
      position: index,
      bodyBytes: body.length,
    }),
  );
  async function settle(format: 'messages' | 'compat', fired: readonly Event[]) {
    const registration = { name: 'test', batch: { format } } as unknown as Registration;
    const firing: Firing = { batchId: 'b', registration, events: fired };
    fake.parameters = influx();
    const payload = firingPayload(
      firing,
      '7',
      {
        receipt: { url: `${server.url}/receipts`, token: 'receipt-secret' },
        parameters: { url: `${server.url}/parameters`, token: 'parameter-secret' },
      },
      {},
    );
    expect(await main(JSON.parse(payload.toString()))).toMatchObject({ ok: true });
    const { confirmed, parked } = settlementOf(firing, receiptSchema.parse(fake.receipts[0]));
    return {
      confirmed: confirmed.map(({ sequence }) => sequence),
      parked: parked.map(({ event, reason }) => [event.sequence, reason.code]),
    };
  }

  test('messages', async () => {
    expect(await settle('messages', events)).toEqual({
      confirmed: [0, 3],
      parked: [
        [1, 'INVALID_UTF8'],
        [2, 'NOT_JSON'],
      ],
    });
    expect(fake.writes[0]!.lines).toEqual([
      'a,datacenter_id=7 value=1 1795000000000000001',
      'b,datacenter_id=7 value=2 1795000000000000004',
    ]);
  });
  test('classic', async () => {
    expect(await settle('compat', events.slice(3))).toEqual({ confirmed: [3], parked: [] });
    expect(fake.writes[0]!.lines).toEqual(['b value=2 1795000000000000004']);
  });
});
