import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ActionChain } from './action-chain.ts';
import type { Influx } from './influx.ts';
import { InfluxProxy } from './influx-proxy.ts';

/** What holds for forwarding between any two InfluxDBs. */

type Started = Promise<{ influx: Influx; close: () => Promise<void> }>;

const DAY = { from: '2024-05-01T00:00:00Z', to: '2024-05-02T00:00:00Z' };
const START = Date.UTC(2024, 4, 1);

/** Lines of two quantities of two datacenters, one for each minute. */
function lines(minutes: number, from = START): string[] {
  return Array.from({ length: minutes }, (_, n) => n).flatMap((n) =>
    ['temperature', 'humidity'].flatMap((quantity) =>
      [1, 2].map((dc) => `${quantity},datacenter_id=${dc} avg=${n / 7 + dc},count=${n}i ${from + n * 60_000}000000`),
    ),
  );
}

/** @param start gives an InfluxDB of its own at each call, with the buckets `measure` and `aggregates` */
export function forwardSuite(start: () => Started): void {
  let servers: Awaited<Started>[];
  let local: Influx;
  let center: Influx;
  let buckets = 0;
  beforeAll(async () => {
    servers = [await start(), await start()];
    [local, center] = servers.map(({ influx }) => influx) as [Influx, Influx];
  }, 30_000);
  afterAll(() => Promise.all(servers.map(({ close }) => close())));

  /** A bucket of this name in both, a proxy before the center, and the actions with both. */
  async function setUp() {
    buckets += 1;
    const bucket = `bucket${buckets}`;
    await Promise.all([local.createBucket(bucket), center.createBucket(bucket)]);
    const proxy = await InfluxProxy.start(center.url);
    const parameters = {
      ...local.parameters('influx', 'measure'),
      ...center.parameters('central', bucket),
      central_url: proxy.url,
    };
    const payload = { kind: 'aggregates', bucket, measurements: ['*'], window: DAY };
    return { bucket, proxy, chain: await ActionChain.start(parameters), parameters, payload };
  }

  test('the center has what the site has, of whatever type; again changes nothing', async () => {
    const { bucket, chain, payload } = await setUp();
    const at = START * 1_000_000;
    await local.write(bucket, [
      ...lines(600),
      `types,a\\ b=x\\ y\\,z\\=ä text="say \\"hi\\" \\\\ , =",whole=-5i,big=9223372036854775807i,yes=true,small=5e-324 ${at}`,
      `odd\\,\\ name,k=v f\\ g\\=h=1 ${BigInt(at) + 123_456_789n}`,
      `before value=1 ${at - 1_000_000}`,
      `after value=1 ${at + 86_400_000_000_000}`,
    ]);
    const [first] = await chain.fireAll('forwardTrigger', payload);
    expect(first).toMatchObject({ receipt: { stored: 'all', next: [] }, result: { ok: true, points: 4_806 } });
    const { [Object.keys(await local.values(bucket)).find((key) => key.startsWith('before'))!]: _, ...inside } =
      await local.values(bucket);
    const expected = Object.fromEntries(Object.entries(inside).filter(([key]) => !key.startsWith('after')));
    expect(await center.values(bucket)).toEqual(expected);
    await chain.fireAll('forwardTrigger', payload);
    expect(await center.values(bucket)).toEqual(expected);
  });

  test('only what is asked for goes, also into a bucket of another name', async () => {
    const { bucket, chain, payload } = await setUp();
    await center.createBucket(`${bucket}-raw`);
    await local.write(
      bucket,
      [1, 2, 3].flatMap((n) => [`wtr_${n} value=${n} ${START}000000`, `air_${n} value=1 ${START}000000`]),
    );
    const raw = { ...payload, kind: 'raw', measurements: ['wtr_*', 'air_2'], centralBucket: `${bucket}-raw` };
    const [fired] = await chain.fireAll('forwardTrigger', raw);
    expect(fired!.result).toMatchObject({ kind: 'raw', points: 4, chunks: 1 });
    const names = Object.keys(await center.values(`${bucket}-raw`)).map((key) => key.split('{')[0]);
    expect(names.sort()).toEqual(['air_2', 'wtr_1', 'wtr_2', 'wtr_3']);
    expect(await center.values(bucket)).toEqual({});
  });

  test('no center: confirmed at once, and said so; no window: refused, for no attempt would have one', async () => {
    const { parameters, payload } = await setUp();
    const chain = await ActionChain.start({ ...parameters, central_url: undefined });
    expect(await chain.fire('forwardTrigger', payload)).toMatchObject({
      receipt: { stored: 'all' },
      result: { ok: true, points: 0, forwarded: 'nowhere: there is no central InfluxDB' },
    });
    expect(await chain.fire('forwardTrigger', { ...payload, window: undefined })).toMatchObject({
      receipt: { stored: [], refused: [{ code: 'PAYLOAD_INVALID' }] },
      result: { error: { code: 'PAYLOAD_INVALID' } },
    });
  });

  describe('the center does not take it now: failed, and nothing is lost', () => {
    test.each<[string, number, Record<string, string>, object, RegExp]>([
      ['429', 429, { 'retry-after': '7' }, { afterMs: 7_000 }, /429/],
      ['503', 503, { 'retry-after': '30' }, { afterMs: 30_000 }, /503/],
      ['500', 500, {}, {}, /500/],
      ['401', 401, {}, {}, /401.*check central_token/],
      ['403', 403, {}, {}, /403.*check central_token/],
      ['404', 404, {}, {}, /404.*check central_org and central_bucket/],
    ])('%s', async (_, status, headers, extra, message) => {
      const { bucket, proxy, chain, payload } = await setUp();
      await local.write(bucket, lines(30));
      proxy.answer = (_request, response) => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end('{"code":"x","message":"not now"}');
      };
      const { receipt, result } = await chain.fire('forwardTrigger', payload);
      expect(receipt).toMatchObject({ stored: [], failed: { code: 'INFLUX_FAILED', ...extra }, next: [] });
      expect(receipt.failed!.message).toMatch(message);
      expect(JSON.stringify([receipt, result])).not.toContain(center.token);
      proxy.answer = (_request, _response, pass) => pass();
      await chain.fire('forwardTrigger', payload);
      expect(await center.values(bucket)).toEqual(await local.values(bucket));
    });

    test('its token is really wrong', async () => {
      const { bucket, parameters, payload } = await setUp();
      await local.write(bucket, lines(1));
      const chain = await ActionChain.start({ ...parameters, central_token: 'wrong-token' });
      const { receipt } = await chain.fire('forwardTrigger', payload);
      expect(receipt.failed).toMatchObject({
        code: 'INFLUX_FAILED',
        message: expect.stringContaining('401') as string,
      });
    });

    test('it is not there, or breaks off', async () => {
      const { bucket, proxy, chain, parameters, payload } = await setUp();
      await local.write(bucket, lines(30));
      const cut = await ActionChain.start({ ...parameters, central_url: 'http://127.0.0.1:1' });
      const { receipt } = await cut.fire('forwardTrigger', payload);
      expect(receipt.failed).toMatchObject({ code: 'INFLUX_UNREACHABLE' });
      expect(receipt.failed!.message).toMatch(
        /central InfluxDB at http:\/\/127\.0\.0\.1:1 can't be reached \(ECONNREFUSED\)/,
      );
      proxy.answer = (request) => request.socket.destroy();
      expect((await chain.fire('forwardTrigger', payload)).receipt.failed).toMatchObject({
        code: 'INFLUX_UNREACHABLE',
      });
    });

    test('so does the local one', async () => {
      const { parameters, payload } = await setUp();
      const chain = await ActionChain.start({ ...parameters, influx_url: 'http://127.0.0.1:1' });
      const { receipt } = await chain.fire('forwardTrigger', payload);
      expect(receipt.failed).toMatchObject({ code: 'INFLUX_UNREACHABLE' });
      expect(receipt.failed!.message).not.toContain('central');
    });
  });

  test('written halfway: the next attempt overwrites, whether the center took the part or lost its answer', async () => {
    const { bucket, proxy, chain, payload } = await setUp();
    await local.write(bucket, lines(900));
    let written = 0;
    proxy.answer = (request, response, pass) => {
      written += 1;
      if (written === 1) return pass();
      // the center stores it, and nobody hears of that
      response.writeHead = () => response;
      response.end = () => response;
      response.write = () => false;
      pass();
      request.on('end', () => setTimeout(() => request.socket.destroy(), 50));
    };
    expect((await chain.fire('forwardTrigger', payload)).receipt.failed).toMatchObject({ code: 'INFLUX_UNREACHABLE' });
    expect(written).toBe(2);
    proxy.answer = (_request, _response, pass) => pass();
    await chain.fire('forwardTrigger', payload);
    expect(await center.values(bucket)).toEqual(await local.values(bucket));
  });

  test('slow, it takes longer, and nothing else', async () => {
    const { bucket, proxy, chain, payload } = await setUp();
    await local.write(bucket, lines(30));
    proxy.answer = (_request, _response, pass) => setTimeout(pass, 500);
    expect((await chain.fire('forwardTrigger', payload)).receipt).toMatchObject({ stored: 'all' });
    expect(await center.values(bucket)).toEqual(await local.values(bucket));
  });

  test('of another type in the center: the good values are stored, the others refused with the reason', async () => {
    const { bucket, chain, payload } = await setUp();
    await center.write(bucket, [`humidity,datacenter_id=9 avg="text" ${START}000000`]);
    await local.write(bucket, lines(30));
    const { receipt, result } = await chain.fire('forwardTrigger', payload);
    expect(receipt).toMatchObject({ stored: [], refused: [{ id: receipt.batchId, code: 'INFLUX_REFUSED' }] });
    expect(receipt.refused[0]!.message).toMatch(/refused 60 of 240 values.*type conflict/);
    expect(result).toMatchObject({ ok: true, points: 180, refused: 60 });
    const isGood = ([key]: [string, unknown]) => !/^humidity.* avg /.test(key);
    expect(
      Object.entries(await center.values(bucket))
        .filter(isGood)
        .sort(),
    ).toEqual(
      Object.entries(await local.values(bucket))
        .filter(isGood)
        .sort(),
    );
  });

  test('cut and back: half-hourly aggregates of a day, waiting as one window, are there exactly', async () => {
    const { bucket, proxy, chain, payload } = await setUp();
    const readings = Array.from({ length: 1_440 }, (_, n) => n).map(
      (n) =>
        `temperature,datacenter_id=${n % 2},device_fingerprint=${n % 3} value=${Math.sin(n)} ${START + n * 60_000}000000`,
    );
    await local.write('measure', readings);
    proxy.answer = (request) => request.socket.destroy();
    const waiting = [];
    for (let n = 0; n < 48; n++) {
      const window = {
        from: new Date(START + n * 1_800_000).toISOString(),
        to: new Date(START + (n + 1) * 1_800_000).toISOString(),
      };
      const fired = await chain.fire('aggregatesTrigger', { window, aggregates_bucket: bucket });
      expect(fired).toMatchObject({ receipt: { stored: 'all' }, result: { points: 2 } });
      waiting.push(...fired.receipt.next);
    }
    const { trigger, payload: asked } = waiting[0]!;
    expect((await chain.fire(trigger, asked)).receipt.failed).toBeDefined();
    // equal but for their windows: the provider makes one of them
    expect(new Set(waiting.map(({ payload }) => JSON.stringify({ ...payload, window: null }))).size).toBe(1);
    proxy.answer = (_request, _response, pass) => pass();
    const [done] = await chain.fireAll(trigger, { ...asked, window: payload.window });
    expect(done!.result).toMatchObject({ points: 48 * 2 * 6 });
    expect(await center.values(bucket)).toEqual(await local.values(bucket));
    expect(Object.keys(await center.values(bucket))).toHaveLength(48 * 2 * 6);
  }, 30_000);
}
