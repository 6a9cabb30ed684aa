import { InfluxDB } from '@influxdata/influxdb-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { main } from '../../actions/addReadingToDb/main.ts';
import { startInfluxd } from '../support/influxd.ts';
import { describeWith } from '../support/programs.ts';

interface Row {
  readonly _time: string;
  readonly _measurement: string;
  readonly _value: number;
  readonly datacenter_id: string;
  readonly device_fingerprint?: string;
}

/** Strings of up to three of these: everything that line protocol gives a meaning to. */
const SPECIAL = ['a', '\\', ',', ' ', '=', '"', '#', "'", '\t', '_', 'ä'];
const TRICKY = [
  ...SPECIAL,
  ...SPECIAL.flatMap((one) => SPECIAL.map((two) => one + two)),
  ...SPECIAL.flatMap((one) => SPECIAL.flatMap((two) => SPECIAL.map((three) => one + two + three))),
];

describeWith(['influxd'], 'addReadingToDb on a real InfluxDB', () => {
  let influxd: Awaited<ReturnType<typeof startInfluxd>>;
  beforeAll(async () => {
    influxd = await startInfluxd();
  });
  afterAll(() => influxd?.stop());

  /** Fires the bodies as one batch of data center `site`. */
  function fire(site: string, bodies: readonly unknown[], receivedAt = 1_795_000_000_000_000_000n, extra = {}) {
    return main({
      influx_url: influxd.url,
      influx_token: influxd.token,
      influx_org: influxd.org,
      influx_bucket: influxd.bucket,
      type: 'messages',
      batchId: 'b',
      site,
      messages: bodies.map((body, index) => ({
        id: `m${index}`,
        topic: 'test',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        receivedAt: String(receivedAt + BigInt(index)),
      })),
      ...extra,
    });
  }
  const client = () => new InfluxDB({ url: influxd.url, token: influxd.token });
  function stored(site: string): Promise<Row[]> {
    return client()
      .getQueryApi(influxd.org)
      .collectRows<Row>(
        `from(bucket: "${influxd.bucket}") |> range(start: 0, stop: 2100-01-01T00:00:00Z)
          |> filter(fn: (r) => r.datacenter_id == "${site}") |> group() |> sort(columns: ["_time", "_measurement"])`,
      );
  }

  test('good, bad and half-good messages: exactly the good points are there, and firing again adds none', async () => {
    const bodies = [
      '{"humidity":41.0,"temperature":23.5,"gas_perc":17,"device_fingerprint":8394527}',
      'Hello, world!',
      '{"temperature":1e400,"humidity":40}',
      '{"temperature":20.25,"time":1700000000123456789,"note":"x"}',
      '{"temperature":19,"time":"2018-08-29T00:10:00.000000001+02:00"}',
      '{"temperature":18,"time":"whenever"}',
    ];
    for (let round = 0; round < 2; round++) {
      expect(await fire('exact', bodies)).toMatchObject({
        ok: true,
        stored: 7,
        messages: 6,
        refused: 2,
        ignoredFields: 1,
        oddTimes: 1,
        refusals: [
          { id: 'm1', code: 'NOT_JSON' },
          { id: 'm2', code: 'FIELD_REFUSED' },
        ],
      });
    }
    const rows = (await stored('exact')).map((row) => [
      row._time,
      row._measurement,
      row._value,
      row.device_fingerprint,
    ]);
    expect(rows).toEqual([
      ['2018-08-28T22:10:00.000000001Z', 'temperature', 19, ''],
      ['2023-11-14T22:13:20.123456789Z', 'temperature', 20.25, ''],
      ['2026-11-18T11:06:40Z', 'gas_perc', 17, '8394527'],
      ['2026-11-18T11:06:40Z', 'humidity', 41, '8394527'],
      ['2026-11-18T11:06:40Z', 'temperature', 23.5, '8394527'],
      ['2026-11-18T11:06:40.000000002Z', 'humidity', 40, ''],
      ['2026-11-18T11:06:40.000000005Z', 'temperature', 18, ''],
    ]);
  });

  test.each<[string, (text: string) => Record<string, unknown>, (row: Row) => string | undefined]>([
    ['name', (text) => ({ [text]: 1 }), (row) => row._measurement],
    ['device', (text) => ({ t: 1, device_fingerprint: text }), (row) => row.device_fingerprint],
  ])('a %s is either refused or read back as it was', async (site, bodyOf, readBack) => {
    const accepted: string[] = [];
    for (const text of TRICKY) {
      const result = await fire(site, [bodyOf(text)]);
      if (!('error' in result) && result.refused === 0) accepted.push(text);
    }
    expect(accepted.length).toBeGreaterThan(TRICKY.length / 2);
    expect((await stored(site)).map(readBack).sort()).toEqual(accepted.sort());
  });

  test('a field that has another type in InfluxDB costs only itself', async () => {
    const writeApi = client().getWriteApi(influxd.org, influxd.bucket, 'ns', { maxRetries: 0 });
    writeApi.writeRecord('typed,datacenter_id=before value=1i 1794999999000000000');
    await writeApi.close();
    const bodies = Array.from({ length: 20 }, (_, i) => (i === 7 || i === 8 ? { typed: 1.5, free: i } : { free: i }));
    const result = await fire('conflict', bodies);
    expect(result).toMatchObject({ ok: true, stored: 20, messages: 20, refused: 2 });
    expect(result).toMatchObject({
      refusals: ['m7', 'm8'].map((id) => ({
        id,
        code: 'INFLUX_REFUSED',
        message: expect.stringContaining('field type conflict'),
      })),
    });
    const rows = (await stored('conflict')).map((row) => row._value);
    expect(rows).toEqual(bodies.map((_, i) => i));
  });

  test('what is older than the bucket keeps costs only itself', async () => {
    const headers = { authorization: `Token ${influxd.token}` };
    const organizations = await fetch(`${influxd.url}/api/v2/orgs`, { headers });
    const { orgs } = (await organizations.json()) as { orgs: Array<{ id: string }> };
    const bucket = { orgID: orgs[0]!.id, name: 'one-day', retentionRules: [{ type: 'expire', everySeconds: 86_400 }] };
    await fetch(`${influxd.url}/api/v2/buckets`, { method: 'POST', headers, body: JSON.stringify(bucket) });
    const bodies = Array.from({ length: 1_000 }, (_, i) => ({
      a: i,
      b: i,
      ...(i % 2 === 1 && { time: 1_700_000_000 + i }),
    }));
    const result = await fire('old', bodies, BigInt(Date.now()) * 1_000_000n, { influx_bucket: 'one-day' });
    expect(result).toMatchObject({ ok: true, stored: 1_000, refused: 500 });
    expect(result).toMatchObject({
      refusals: expect.arrayContaining([
        { id: 'm1', code: 'INFLUX_REFUSED', message: expect.stringContaining('retention') },
      ]),
    });
  });

  test('a name that is too long for InfluxDB costs only itself', async () => {
    const result = await fire('long', [{ a: 1 }, { ['x'.repeat(70_000)]: 1, b: 1 }, { c: 1 }]);
    expect(result).toMatchObject({ ok: true, stored: 3, refused: 1, refusals: [{ id: 'm1', code: 'INFLUX_REFUSED' }] });
    expect((await stored('long')).map((row) => row._measurement)).toEqual(['a', 'b', 'c']);
  });

  test('numbers come back as they were', async () => {
    const values = [0, -1.5, 1e21, 5e-324, 1.7976931348623157e308, 2 ** 63, 0.1, 1e-7];
    await fire('numbers', [Object.fromEntries(values.map((value, index) => [`n${index}`, value]))]);
    expect((await stored('numbers')).map((row) => row._value)).toEqual(values);
  });

  test.each([
    [{ influx_token: 'wrong' }, 401],
    [{ influx_bucket: 'none' }, 404],
    [{ influx_org: 'none' }, 404],
  ])('%j is an error that says so', async (extra, status) => {
    const result = await fire('x', [{ a: 1 }], undefined, extra);
    expect(result).toMatchObject({ error: { code: 'INFLUX_FAILED', meta: { status } } });
    expect(JSON.stringify(result)).not.toContain(influxd.token);
  });
});
