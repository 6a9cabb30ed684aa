import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { main } from '../../actions/aggregates/main.ts';
import { statisticsOf } from '../../actions/aggregates/statistics.ts';
import { ActionChain } from '../support/action-chain.ts';
import { aggregatesSuite } from '../support/aggregates-suite.ts';
import { Influx } from '../support/influx.ts';
import { InfluxProxy } from '../support/influx-proxy.ts';

describe('aggregates on the embedded InfluxDB', () => aggregatesSuite(() => Influx.startEmbedded()));

afterEach(() => void vi.restoreAllMocks());

const day = (date: number) => new Date(Date.UTC(2024, 4, date)).toISOString();
const window = (from: number, to = from + 1) => ({ from: day(from), to: day(to) });
/** A reading at noon. */
const reading = (date: number, value: number) =>
  `temperature,datacenter_id=1 value=${value} ${Date.parse(day(date)) + 43_200_000}000000`;

/** A site whose InfluxDB is reached through a proxy. */
async function site(extra: Record<string, unknown> = {}) {
  const { influx, close } = await Influx.startEmbedded(['measure', 'aggregates', 'center']);
  onTestFinished(close);
  const proxy = await InfluxProxy.start(influx.url);
  const parameters = { ...influx.parameters('influx', 'measure'), influx_url: proxy.url, statistics: 'avg', ...extra };
  return { influx, proxy, parameters, chain: await ActionChain.start(parameters) };
}

const point = (date: number, value: number) => ({
  [`temperature{"datacenter_id":"1"} avg ${day(date).replace('.000', '')}`]: value,
});

test('what is to go to the center follows as a firing of its own', async () => {
  const { influx, chain } = await site();
  await influx.write('measure', [reading(1, 5)]);
  const { receipt, result } = await chain.fire('aggregatesTrigger', { window: window(1) });
  expect(result).toEqual({ ok: true, windows: 1, points: 1, empty: 0 });
  expect(receipt).toMatchObject({
    stored: 'all',
    next: [
      {
        trigger: 'forwardTrigger',
        payload: { kind: 'aggregates', bucket: 'aggregates', measurements: ['*'], window: window(1) },
      },
    ],
  });
});

test('an empty window makes no point, and says so', async () => {
  const { influx, chain } = await site();
  const { receipt, result } = await chain.fire('aggregatesTrigger', { window: window(1, 3), every: 'day' });
  expect(result).toEqual({ ok: true, windows: 2, points: 0, empty: 2, emptyWindows: [window(1), window(2)] });
  expect(receipt).toMatchObject({ stored: 'all', next: [] });
  expect(await influx.values('aggregates')).toEqual({});
});

test('late readings: of the windows before, those that changed are done again, and only they', async () => {
  const { influx, chain } = await site({ recompute: 3 });
  await influx.write(
    'measure',
    [1, 2, 3, 4].map((date) => reading(date, date)),
  );
  await chain.fireAll('aggregatesTrigger', { window: window(1, 4), every: 'day', recompute: 0 });
  await influx.write('measure', [reading(2, 20)]);
  const fired = await chain.fireAll('aggregatesTrigger', { window: window(4) });
  expect(fired.map(({ trigger, payload }) => [trigger, payload.window])).toEqual([
    ['aggregatesTrigger', window(4)],
    ['forwardTrigger', window(4)],
    ['aggregatesTrigger', window(2)],
    ['forwardTrigger', window(2)],
  ]);
  expect(fired[0]!.result).toMatchObject({ windows: 1, changed: [window(2)] });
  expect(await influx.values('aggregates')).toEqual({
    ...point(1, 1),
    ...point(2, 20),
    ...point(3, 3),
    ...point(4, 4),
  });
});

test('killed between writing and telling: the next attempt tells all', async () => {
  const { influx, parameters, chain } = await site({ recompute: 2 });
  await influx.write(
    'measure',
    [1, 2, 3].map((date) => reading(date, date)),
  );
  const payload = { window: window(3) };
  const receipt = { url: 'http://127.0.0.1:1', token: 'x' };
  const untold = await main({ type: 'alarm', ...parameters, ...payload, batchId: 'b', receipt });
  expect(untold).toMatchObject({ error: { code: 'RECEIPT_FAILED' } });
  expect(await influx.values('aggregates')).toEqual(point(3, 3));
  const fired = await chain.fireAll('aggregatesTrigger', payload);
  const forwarded = fired.filter(({ trigger }) => trigger === 'forwardTrigger');
  expect(forwarded.map((each) => each.payload.window)).toEqual([window(3), window(1), window(2)]);
});

test('what takes too long is left to a firing of its own', async () => {
  const { influx, proxy, chain } = await site({ every: 'day' });
  await influx.write(
    'measure',
    [1, 2, 3].map((date) => reading(date, date)),
  );
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  proxy.answer = (request, _response, pass) => {
    if (request.url!.includes('write')) now += 10_000;
    pass();
  };
  const fired = await chain.fireAll('aggregatesTrigger', { window: window(1, 4), measurements: ['temp*'] });
  expect(fired.map(({ trigger, payload }) => [trigger, payload.window])).toEqual([
    ['aggregatesTrigger', window(1, 4)],
    ['forwardTrigger', window(1, 3)],
    ['aggregatesTrigger', window(3)],
    ['forwardTrigger', window(3)],
  ]);
  expect(fired[2]!.payload).toMatchObject({ measurements: ['temp*'], every: '1d' });
  expect(await influx.values('aggregates')).toEqual({ ...point(1, 1), ...point(2, 2), ...point(3, 3) });
});

describe("the site's InfluxDB", () => {
  test.each([
    [401, /401.*check influx_token/],
    [503, /503/],
  ])('answers %i: failed, to be fired again', async (status, message) => {
    const { influx, proxy, chain } = await site();
    await influx.write('measure', [reading(1, 5)]);
    proxy.answer = (_request, response) => response.writeHead(status, { 'retry-after': '3' }).end('{}');
    const { receipt, result } = await chain.fire('aggregatesTrigger', { window: window(1) });
    expect(receipt).toMatchObject({ stored: [], next: [], failed: { code: 'INFLUX_FAILED', afterMs: 3_000 } });
    expect(receipt.failed!.message).toMatch(message);
    expect(result).toMatchObject({ error: { code: 'INFLUX_FAILED', meta: { status } } });
  });

  test('is not there', async () => {
    const { chain } = await site({ influx_url: 'http://127.0.0.1:1' });
    const { receipt } = await chain.fire('aggregatesTrigger', { window: window(1) });
    expect(receipt).toMatchObject({ stored: [], failed: { code: 'INFLUX_UNREACHABLE' } });
  });

  test('breaks off in the middle of an answer', async () => {
    const { influx, proxy, chain } = await site();
    await influx.write('measure', [reading(1, 5)]);
    proxy.answer = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/csv' });
      response.end(
        '#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,out of memory,897\r\n',
      );
    };
    const { receipt } = await chain.fire('aggregatesTrigger', { window: window(1) });
    expect(receipt.failed).toMatchObject({ message: expect.stringContaining('out of memory') as string });
  });

  test('has no bucket aggregates', async () => {
    const { influx, chain } = await site({ aggregates_bucket: 'none' });
    await influx.write('measure', [reading(1, 5)]);
    const { receipt } = await chain.fire('aggregatesTrigger', { window: window(1) });
    expect(receipt.failed!.message).toMatch(/404.*bucket "none" not found/);
  });

  test('has aggregates of another type: the others are stored and sent, the firing is refused', async () => {
    const { influx, chain } = await site();
    await influx.write('aggregates', [`humidity avg="x" ${Date.parse(day(1))}000000`]);
    await influx.write('measure', [reading(1, 5), `humidity value=1 ${Date.parse(day(1))}000000`]);
    const { receipt, result } = await chain.fire('aggregatesTrigger', { window: window(1) });
    expect(receipt).toMatchObject({ refused: [{ code: 'INFLUX_REFUSED' }], next: [{ trigger: 'forwardTrigger' }] });
    expect(result).toMatchObject({ points: 1, refused: 1, reason: expect.stringContaining('type conflict') as string });
    expect(await influx.values('aggregates')).toMatchObject(point(1, 5));
  });
});

describe("the predecessor's way", () => {
  test('local_… and central_…: straight into the center, without a receipt; the day before, where no window is named', async () => {
    const { influx } = await site();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(day(3)) + 10_800_000 });
    onTestFinished(() => void vi.useRealTimers());
    await influx.write('measure', [reading(1, 1), reading(2, 2), reading(3, 3)]);
    const parameters = { ...influx.parameters('local', 'measure'), ...influx.parameters('central', 'center') };
    const result = await main({ ...parameters, location: '1', statistics: ['avg'], dateTags: true });
    expect(result).toEqual({ ok: true, windows: 1, points: 1, empty: 0 });
    expect(await influx.values('center')).toEqual({
      'temperature{"datacenter_id":"1","day":"2","month":"5","year":"2024"} avg 2024-05-02T00:00:00Z': 2,
    });
    expect(await influx.values('aggregates')).toEqual({});
  });

  test('an action of one statistic does that one, whatever is configured', async () => {
    const { influx, chain } = await site();
    await influx.write('measure', [reading(1, 1), reading(1, 3), `humidity value=1 ${Date.parse(day(1))}000000`]);
    const bound = { quantity: 'temperature', statistic: 'max', statistics: ['avg'], measurements: ['*'] };
    await chain.fire('aggregatesTrigger', { ...bound, window: window(1) });
    expect(Object.values(await influx.values('aggregates'))).toEqual([3]);
    expect(Object.keys(await influx.values('aggregates'))).toEqual([
      'temperature{"datacenter_id":"1"} max 2024-05-01T00:00:00Z',
    ]);
  });
});

test.each<[Record<string, unknown>, string, RegExp]>([
  [{ window: { from: 'yesterday', to: 'today' } }, 'PAYLOAD_INVALID', /window must be/],
  [{ window: { from: day(2), to: day(1) } }, 'PAYLOAD_INVALID', /from before to/],
  [{ statistics: ['mean'] }, 'PARAMETER_INVALID', /avg, min, max/],
  [{ statistics: [] }, 'PARAMETER_INVALID', /statistics/],
  [{ every: 'fortnight' }, 'PARAMETER_INVALID', /every/],
  [{ timezone: 'Mars/Olympus' }, 'PARAMETER_INVALID', /timezone/],
  [{ measurements: [5] }, 'PARAMETER_INVALID', /measurements/],
  [{ recompute: -1 }, 'PARAMETER_INVALID', /recompute/],
  [{ influx_token: '' }, 'PARAMETER_MISSING', /influx_token/],
  [{ aggregates_bucket: 5 }, 'PARAMETER_INVALID', /aggregates_bucket/],
])('what is wrong is said: %j', async (extra, code, message) => {
  const parameters = { influx_url: 'http://127.0.0.1:1', influx_token: 't', influx_org: 'o', influx_bucket: 'b' };
  const result = await main({ ...parameters, window: window(1), ...extra });
  expect(result).toMatchObject({ error: { code, message: expect.stringMatching(message) as string } });
});

test.each([
  ['percentile(95)', 'p95', 'q: 0.95000,'],
  ['percentile( 99.9 )', 'p99.9', 'q: 0.99900,'],
  ['p100', 'p100', 'q: 1.00000,'],
  ['percentile(0)', 'p0', 'q: 0.00000,'],
  ['percentile(0.001)', 'p0.001', 'q: 0.00001,'],
])('%s', (name, field, flux) => {
  expect(statisticsOf([name])).toEqual([{ field, flux: expect.stringContaining(flux) as string }]);
});
