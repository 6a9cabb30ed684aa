import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { main as addReadingToDb } from '../../actions/addReadingToDb/main.ts';
import { ActionChain } from './action-chain.ts';
import type { Influx } from './influx.ts';

/** What holds for aggregates on any InfluxDB; the numbers are compared with an oracle that shares no code with them. */

const CATWALK = join(import.meta.dirname, '../../../shared/data/fcre/fcre_catwalk_10min_2018-08-29_2018-10-20.csv');
const ALL = ['avg', 'min', 'max', 'median', 'stddev', 'count', 'spread', 'first', 'last', 'percentile(95)'];
const RELATIVE_ERROR = 1e-9;

interface Reading {
  readonly time: string;
  readonly values: Readonly<Record<string, number>>;
  readonly datacenter: number;
  readonly device: number;
}

type Fields = Record<string, number>;

function oracle(values: readonly number[]): Fields {
  const sorted = [...values].sort((a, b) => a - b);
  const n = values.length;
  // from the first value on, so that the mean of equal values is that value
  const avg = values[0]! + values.reduce((sum, value) => sum + (value - values[0]!), 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - avg) ** 2, 0);
  const at = (position: number) => {
    const low = Math.floor(position);
    return sorted[low]! + (position - low) * ((sorted[low + 1] ?? sorted[low]!) - sorted[low]!);
  };
  return {
    avg,
    min: sorted[0]!,
    max: sorted[n - 1]!,
    median: n % 2 === 1 ? sorted[(n - 1) / 2]! : (sorted[n / 2 - 1]! + sorted[n / 2]!) / 2,
    ...(n > 1 && { stddev: Math.sqrt(squares / (n - 1)) }),
    count: n,
    spread: sorted[n - 1]! - sorted[0]!,
    first: values[0]!,
    last: values[n - 1]!,
    p95: at(0.95 * (n - 1)),
  };
}

/** Aggregates by `measurement datacenter date`, the date by the zone's calendar; readings in the order of their times. */
function expectedDays(readings: readonly Reading[], zone: string): Map<string, Fields> {
  const calendar = new Intl.DateTimeFormat('en-CA', {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  });
  const groups = new Map<string, number[]>();
  for (const { time, values, datacenter } of readings) {
    const date = calendar.format(new Date(time));
    for (const [name, value] of Object.entries(values)) {
      const key = `${name} ${datacenter} ${date}`;
      groups.set(key, [...(groups.get(key) ?? []), value]);
    }
  }
  return new Map([...groups].map(([key, values]) => [key, oracle(values)]));
}

function expectSame(actual: Map<string, Fields>, expected: Map<string, Fields>): void {
  expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [key, fields] of expected) {
    expect(Object.keys(actual.get(key)!).sort(), key).toEqual(Object.keys(fields).sort());
    for (const [field, value] of Object.entries(fields)) {
      const difference = Math.abs(actual.get(key)![field]! - value);
      expect(difference, `${key} ${field}`).toBeLessThanOrEqual(RELATIVE_ERROR * Math.abs(value));
    }
  }
}

async function catwalk(): Promise<Reading[]> {
  const [header, ...lines] = (await readFile(CATWALK, 'utf8')).trim().split('\n');
  const [, ...names] = header!.split(',');
  return lines.map((line) => {
    const [time, ...cells] = line.split(',');
    const numbers = cells.map((cell, index) => [names[index]!, cell === '' ? Number.NaN : Number(cell)] as const);
    const values = Object.fromEntries(numbers.filter(([, value]) => Number.isFinite(value)));
    return { time: time!, values, datacenter: 1, device: 42 };
  });
}

/** @param start the InfluxDB that the suite is for, with the buckets `measure` and `aggregates` */
export function aggregatesSuite(start: () => Promise<{ influx: Influx; close: () => Promise<void> }>): void {
  let server: Awaited<ReturnType<typeof start>>;
  let influx: Influx;
  let buckets = 0;
  beforeAll(async () => {
    server = await start();
    influx = server.influx;
  });
  afterAll(() => server?.close());

  async function newBucket(): Promise<string> {
    buckets += 1;
    await influx.createBucket(`bucket${buckets}`);
    return `bucket${buckets}`;
  }

  /** Stores readings as the site does: through its action. */
  async function store(bucket: string, readings: readonly Reading[]): Promise<void> {
    for (let from = 0; from < readings.length; from += 1_000) {
      const messages = readings.slice(from, from + 1_000).map(({ time, values, datacenter, device }, index) => ({
        id: `m${from + index}`,
        topic: 'test',
        body: JSON.stringify({ ...values, time, datacenter_id: datacenter, device_fingerprint: device }),
        receivedAt: `${Date.now()}000000`,
      }));
      const parameters = influx.parameters('influx', bucket);
      const result = await addReadingToDb({ ...parameters, type: 'messages', batchId: 'b', messages });
      expect(result).toMatchObject({ ok: true, refused: 0 });
    }
  }

  async function aggregate(bucket: string, payload: Record<string, unknown>, extra: Record<string, unknown> = {}) {
    const target = await newBucket();
    const parameters = { ...influx.parameters('influx', bucket), aggregates_bucket: target, statistics: ALL, ...extra };
    const chain = await ActionChain.start(parameters);
    const fired = await chain.fireAll('aggregatesTrigger', payload);
    return { target, fired, chain };
  }

  async function storedDays(bucket: string, zone: string): Promise<Map<string, Fields>> {
    const days = new Map<string, Fields>();
    const rows = await influx.query(
      `from(bucket: "${bucket}") |> range(start: 2000-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z)`,
    );
    const clock = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' });
    for (const row of rows) {
      const [date, time] = clock.format(new Date(String(row._time))).split(' ');
      expect(time, `start of ${date} in ${zone}`).toBe('00:00:00');
      const key = `${String(row._measurement)} ${String(row.datacenter_id)} ${date}`;
      days.set(key, { ...days.get(key), [String(row._field)]: Number(row._value) });
    }
    return days;
  }

  if (!existsSync(CATWALK)) console.warn('skipped: aggregates of real data: ../shared/data is not here');
  describe.skipIf(!existsSync(CATWALK))('of real lake data', () => {
    let readings: Reading[];
    let bucket: string;
    beforeAll(async () => {
      readings = await catwalk();
      bucket = await newBucket();
      await store(bucket, readings);
    }, 60_000);

    test.each([
      ['UTC', '2018-08-29T00:00:00Z', '2018-10-22T00:00:00Z'],
      ['America/New_York', '2018-08-28T00:00:00-04:00', '2018-10-22T00:00:00-04:00'],
      ['Asia/Kolkata', '2018-08-29T00:00:00+05:30', '2018-10-22T00:00:00+05:30'],
    ])(
      'are those of the oracle, every quantity and day in %s',
      async (timezone, from, to) => {
        const { target, fired } = await aggregate(bucket, { window: { from, to }, every: 'day', timezone });
        const expected = expectedDays(readings, timezone);
        expect(expected.size).toBeGreaterThan(500);
        expectSame(await storedDays(target, timezone), expected);
        expect(fired[0]!.result).toMatchObject({ ok: true });
      },
      60_000,
    );
  });

  describe('on the days when the clocks change', () => {
    const zone = 'America/New_York';
    test.each([
      ['23 hours', '2024-03-09T00:00:00-05:00', '2024-03-12T00:00:00-04:00', 71, '2024-03-10', 23],
      ['25 hours', '2024-11-02T00:00:00-04:00', '2024-11-05T00:00:00-05:00', 73, '2024-11-03', 25],
    ])('%s', async (_, from, to, hours, date, length) => {
      const bucket = await newBucket();
      const readings = Array.from({ length: hours * 6 }, (_, n): Reading => {
        const time = new Date(Date.parse(from) + n * 600_000).toISOString();
        return { time, values: { temperature: Math.sin(n) * 10 + n / 100 }, datacenter: 1, device: 7 };
      });
      await store(bucket, readings);
      const { target } = await aggregate(bucket, { window: { from, to }, every: 'P1D', timezone: zone });
      const days = await storedDays(target, zone);
      expectSame(days, expectedDays(readings, zone));
      expect(days.get(`temperature 1 ${date}`)).toMatchObject({ count: length * 6 });
    });
  });

  test('two datacenters never mix, and the devices of one are one', async () => {
    const bucket = await newBucket();
    const readings = Array.from({ length: 600 }, (_, n): Reading => {
      const time = new Date(Date.UTC(2024, 0, 1) + Math.floor(n / 3) * 60_000).toISOString();
      const datacenter = n % 3 === 2 ? 2 : 1;
      return { time, values: { temperature: n, humidity: n / 7 }, datacenter, device: n % 3 };
    });
    await store(bucket, readings);
    const { target } = await aggregate(bucket, {
      window: { from: '2024-01-01T00:00:00Z', to: '2024-01-02T00:00:00Z' },
    });
    const days = await storedDays(target, 'UTC');
    expectSame(days, expectedDays(readings, 'UTC'));
    expect(days.get('temperature 2 2024-01-01')).toMatchObject({ min: 2, count: 200 });
  });

  test("Grafana's queries of the predecessor return the rows", async () => {
    const bucket = await newBucket();
    const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
    const from = `${yesterday}T00:00:00Z`;
    const to = new Date(Date.parse(from) + 86_400_000).toISOString();
    const room = { humidity: 41, temperature: 23.5, gas_perc: 17 };
    const readings = [0, 1].map((n): Reading => {
      const values = Object.fromEntries(Object.entries(room).map(([name, value]) => [name, value + n]));
      return { time: `${yesterday}T1${n}:00:00Z`, values, datacenter: n + 1, device: 8394527 };
    });
    await store(bucket, readings);
    const { target, fired } = await aggregate(bucket, { window: { from, to } });
    expect(fired[0]!.result).toMatchObject({ points: 6 });
    const sites = await influx.query(
      `import "influxdata/influxdb/v1"\nv1.tagValues(bucket: "${target}", tag: "datacenter_id", start: -3d)`,
    );
    expect(sites.map(({ _value }) => _value)).toEqual(['1', '2']);
    for (const [measurement, value] of Object.entries(room)) {
      const rows = await influx.query(`from(bucket: "${target}")
        |> range(start: -3d)
        |> filter(fn: (r) => r["_measurement"] == "${measurement}")
        |> filter(fn: (r) => r["_field"] == "max" or r["_field"] == "min" or r["_field"] == "avg")
        |> filter(fn: (r) => r["datacenter_id"] == "1")`);
      expect(rows.map(({ _field, _value, _time }) => [_field, _value, _time])).toEqual(
        ['avg', 'max', 'min'].map((field) => [field, value, from]),
      );
    }
    for (const [name, fn] of Object.entries({ avg: 'mean', min: 'min', max: 'max' })) {
      const [row] = await influx.query(`from(bucket: "${bucket}") |> range(start: ${from}, stop: ${to})
        |> filter(fn: (r) => r._measurement == "temperature") |> filter(fn: (r) => r._field == "value")
        |> group(columns: ["datacenter_id", "_measurement"])
        |> aggregateWindow(every: 1d, fn: ${fn}, createEmpty: false) |> yield(name: "${name}")`);
      expect(row).toMatchObject({ result: name, _value: 23.5 });
    }
  });

  test('again makes the same points; parts of a day have their own', async () => {
    const bucket = await newBucket();
    const readings = Array.from({ length: 96 }, (_, n): Reading => {
      const time = new Date(Date.UTC(2024, 4, 1) + n * 900_000).toISOString();
      return { time, values: { temperature: n }, datacenter: 1, device: 1 };
    });
    await store(bucket, readings);
    const payload = { window: { from: '2024-05-01T00:00:00Z', to: '2024-05-02T00:00:00Z' }, every: 'PT30M' };
    const { target, chain } = await aggregate(bucket, payload, { statistics: 'avg, count' });
    const points = await influx.values(target);
    expect(Object.keys(points)).toHaveLength(96);
    expect(points['temperature{"datacenter_id":"1"} avg 2024-05-01T23:30:00Z']).toBe(94.5);
    await chain.fireAll('aggregatesTrigger', payload);
    expect(await influx.values(target)).toEqual(points);
  });

  test('integers count, text does not, odd names are as they are', async () => {
    const bucket = await newBucket();
    const at = (second: number) => BigInt(Date.UTC(2024, 5, 1, 12, 0, second)) * 1_000_000n;
    await influx.write(bucket, [
      ...[1, 2, 6].map((value, n) => `whole,datacenter_id=1 value=${value}i ${at(n)}`),
      `said,datacenter_id=1 value="yes" ${at(0)}`,
      `open,datacenter_id=1 value=true ${at(0)}`,
      `a\\ b\\,c,datacenter_id=x\\ y\\=z value=5 ${at(0)}`,
      `nowhere value=7 ${at(0)}`,
      `other,datacenter_id=1 level=7 ${at(0)}`,
    ]);
    const { target, fired } = await aggregate(
      bucket,
      { window: { from: '2024-06-01T00:00:00Z', to: '2024-06-02T00:00:00Z' } },
      { statistics: ['avg', 'median', 'stddev', 'count'] },
    );
    expect(fired[0]!.result).toMatchObject({ points: 3, notNumeric: ['open', 'said'] });
    const day = '2024-06-01T00:00:00Z';
    expect(await influx.values(target)).toEqual({
      [`whole{"datacenter_id":"1"} avg ${day}`]: 3,
      [`whole{"datacenter_id":"1"} median ${day}`]: 2,
      [`whole{"datacenter_id":"1"} stddev ${day}`]: Math.sqrt(7),
      [`whole{"datacenter_id":"1"} count ${day}`]: 3,
      [`a b,c{"datacenter_id":"x y=z"} avg ${day}`]: 5,
      [`a b,c{"datacenter_id":"x y=z"} median ${day}`]: 5,
      [`a b,c{"datacenter_id":"x y=z"} count ${day}`]: 1,
      [`nowhere{} avg ${day}`]: 7,
      [`nowhere{} median ${day}`]: 7,
      [`nowhere{} count ${day}`]: 1,
    });
  });
}
