import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { InfluxDB } from '@influxdata/influxdb-client';
import { pino } from 'pino';
import { x as extract } from 'tar';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { calibrate } from '../../actions/flareForecast/damped-anomaly.ts';
import { forecast } from '../../actions/flareForecast/ensemble.ts';
import { main } from '../../actions/flareForecast/main.ts';
import { dayOf, readRecord } from '../../bench/forecast.ts';
import { type Influxdb, startInfluxdb } from '../../src/embedded/influxdb/server.ts';
import { temporaryFolder } from '../support/temporary.ts';

const DAY_MS = 86_400_000;
const TOKEN = 'test-token';
const DEPTHS = [0, 1.5, 9];
/** In FLARE's order (write_forecast.R). */
const FLARE_COLUMNS =
  'reference_datetime,datetime,pub_datetime,model_id,site_id,depth,family,parameter,variable,prediction,forecast,variable_type,log_weight';

type Row = Record<string, unknown> & { _time: string; _field: string; _value: number };

let folder: string;
let influxdb: Influxdb;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fogwhisk-test-'));
  influxdb = await startInfluxdb({
    port: 0,
    dataDir: folder,
    token: TOKEN,
    org: 'influxdata',
    buckets: ['measure', 'aggregates'],
    log: pino({ level: 'silent' }),
    setting: 'embeddedInfluxdbPort',
  });
});
afterAll(async () => {
  await influxdb?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Writes readings of a lake's buoy. */
async function measured(site: string, readings: ReadonlyArray<{ at: number; depth: number; value: number }>) {
  const lines = readings.map(
    ({ at, depth, value }) => `wtr_${depth},datacenter_id=${site},device_fingerprint=7 value=${value} ${at}`,
  );
  const response = await fetch(`${influxdb.url}/api/v2/write?org=influxdata&bucket=measure&precision=ms`, {
    method: 'POST',
    headers: { authorization: `Token ${TOKEN}` },
    body: lines.join('\n'),
  });
  expect(response.status).toBe(204);
}

/** A value every six hours at each depth, from `days` before a date on. */
function sixHourly(until: string, days: number) {
  const end = Date.parse(until);
  return Array.from({ length: days * 4 }, (_, at) => end - (at + 1) * (DAY_MS / 4)).flatMap((at) =>
    DEPTHS.map((depth) => ({
      at,
      depth,
      value: 15 + (5 - depth / 3) * Math.sin(at / DAY_MS / 9) + ((at / DAY_MS) % 1),
    })),
  );
}

async function points(measurement: string, lake: string): Promise<Row[]> {
  return new InfluxDB({ url: influxdb.url, token: TOKEN }).getQueryApi('influxdata').collectRows<Row>(
    `from(bucket: "aggregates") |> range(start: 2000-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z)
        |> filter(fn: (r) => r._measurement == "${measurement}" and r.site_id == "${lake}")
        |> group() |> sort(columns: ["_time", "depth", "horizon", "_field"])`,
  );
}

/** What the alarm of a lake fires, with the site's parameters beside it. */
function fire(site: string, scheduledFor: string, extra: Record<string, unknown> = {}) {
  return main({
    influx_url: influxdb.url,
    influx_token: TOKEN,
    influx_org: 'influxdata',
    influx_bucket: 'measure',
    datacenter_id: site,
    type: 'alarm',
    batchId: 'b',
    lake: site,
    scheduledFor,
    timezone: 'UTC',
    ...extra,
  });
}

/** A provider that takes receipts. */
async function receipts() {
  const received: Array<Record<string, unknown>> = [];
  const server = createServer((request, response) => {
    void json(request).then((receipt) => {
      received.push(receipt as Record<string, unknown>);
      response.writeHead(204).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { received, receipt: { url: `http://127.0.0.1:${port}/receipts`, token: 't' } };
}

describe('flareForecast', () => {
  it('forecasts 16 days per depth, says that the history is short, and asks for the forwarding', async () => {
    await measured('young', sixHourly('2026-05-20T06:00:00Z', 42));
    const { received, receipt } = await receipts();
    const result = await fire('young', '2026-05-20T06:00:00Z', { receipt });
    expect(result).toMatchObject({
      ok: true,
      model: 'fogwhisk_damped_anomaly',
      lake: 'young',
      reference: '2026-05-20',
      depths: DEPTHS,
      knowsSeason: false,
      historyDays: 42,
      points: 16 * DEPTHS.length,
      scores: 0,
    });
    expect(result).toHaveProperty('note', expect.stringMatching(/too little history \(42 days\).*widened/));
    expect(received).toEqual([
      {
        batchId: 'b',
        stored: 'all',
        next: [
          {
            trigger: 'forwardTrigger',
            key: 'forward young 2026-05-20',
            payload: {
              kind: 'forecast',
              bucket: 'aggregates',
              measurements: ['forecast', 'forecast_score'],
              window: { from: '2026-05-17T00:00:00.000Z', to: '2026-06-05T00:00:00.000Z' },
            },
            receiptTimeoutSeconds: 120,
          },
        ],
      },
    ]);
    const stored = await points('forecast', 'young');
    expect(stored.every(({ _value }) => Number.isFinite(_value))).toBe(true);
    expect(new Set(stored.map(({ _field }) => _field)).size).toBe(26);
    const days = stored.filter(({ _field, depth }) => _field === 'q50' && depth === '1.5');
    expect(days.map(({ _time, horizon }) => `${_time.slice(0, 10)} ${horizon}`)).toEqual(
      Array.from(
        { length: 16 },
        (_, at) => `${new Date(Date.UTC(2026, 4, 20 + at)).toISOString().slice(0, 10)} ${at + 1}`,
      ),
    );
    const fields = (horizon: string) =>
      Object.fromEntries(
        stored
          .filter((row) => row.depth === '9' && row.horizon === horizon)
          .map(({ _field, _value }) => [_field, _value]),
      );
    expect(fields('1')).toMatchObject({ knows_season: 0, history_days: 42 });
    expect(fields('1').q05).toBeLessThan(fields('1').q95!);
    expect(fields('16').q95! - fields('16').q05!).toBeGreaterThan(fields('1').q95! - fields('1').q05!);
  });

  it('makes the same points and the same receipt a second time', async () => {
    await measured('twice', sixHourly('2026-05-20T06:00:00Z', 60));
    const { received, receipt } = await receipts();
    const first = await fire('twice', '2026-05-20T06:00:00Z', { receipt, members: true });
    const [forecasts, members] = [await points('forecast', 'twice'), await points('forecast_member', 'twice')];
    expect(members).toHaveLength(100 * 16 * DEPTHS.length);
    expect(await fire('twice', '2026-05-20T06:00:00Z', { receipt, members: true })).toEqual(first);
    expect(await points('forecast', 'twice')).toEqual(forecasts);
    expect(await points('forecast_member', 'twice')).toEqual(members);
    expect(received[1]).toEqual(received[0]);
  });

  it('scores the forecasts made for the days that have been observed since', async () => {
    await measured('scored', sixHourly('2026-05-23T00:00:00Z', 60));
    for (const day of [19, 20, 21, 22]) await fire('scored', `2026-05-${day}T06:00:00Z`);
    expect(await fire('scored', '2026-05-23T06:00:00Z')).toMatchObject({ scores: (2 + 3 + 4) * DEPTHS.length });
    const forecasts = await points('forecast', 'scored');
    const scores = await points('forecast_score', 'scored');
    const value = (rows: Row[], field: string) =>
      rows.find((row) => {
        return row._time === '2026-05-22T00:00:00Z' && row.depth === '9' && row.horizon === '3' && row._field === field;
      })!._value;
    const observation = value(scores, 'observation');
    const at = Date.UTC(2026, 4, 22);
    const seen = sixHourly('2026-05-23T00:00:00Z', 1).filter(({ depth }) => depth === 9);
    expect(seen[0]!.at).toBeGreaterThan(at);
    expect(observation).toBeCloseTo(seen.reduce((sum, reading) => sum + reading.value, 0) / 4, 3);
    expect(value(scores, 'error')).toBeCloseTo(value(forecasts, 'mean') - observation, 3);
    expect(value(scores, 'squared_error')).toBeCloseTo(value(scores, 'error') ** 2, 3);
    expect(value(scores, 'persistence_squared_error')).toBeCloseTo(
      (value(forecasts, 'persistence') - observation) ** 2,
      2,
    );
    expect(value(scores, 'covered_90')).toBe(
      observation >= value(forecasts, 'q05') && observation <= value(forecasts, 'q95') ? 1 : 0,
    );
    for (const field of ['crps', 'persistence_crps']) expect(value(scores, field)).toBeGreaterThan(0);
  });

  it("puts the ensemble into the step's working directory, in FLARE's columns, and begins the next step", async () => {
    await measured('archived', sixHourly('2026-05-20T06:00:00Z', 30));
    const [store, unpacked] = [await temporaryFolder(), await temporaryFolder()];
    const { received, receipt } = await receipts();
    const config = {
      openwhisk: { 'next-trigger': { name: 'flare-forecast-ready-archived', container_name: 'visualize' } },
    };
    const key = 'archived/generate-forecast/archived_20260520_generate-forecast_workingdirectory.tar.gz';
    expect(
      await fire('archived', '2026-05-20T06:00:00Z', {
        receipt,
        config,
        container_name: 'generate-forecast',
        workdir_store: `fs:${store}`,
      }),
    ).toMatchObject({ ok: true, archive: key });
    await extract({ file: join(store, key), cwd: unpacked });
    const [name] = await readdir(join(unpacked, 'generate-forecast'));
    expect(name).toBe('archived-2026-05-20-fogwhisk_damped_anomaly.csv');
    const [header, ...rows] = (await readFile(join(unpacked, 'generate-forecast', name!), 'utf8')).trim().split('\n');
    expect(header).toBe(FLARE_COLUMNS);
    expect(rows).toHaveLength(100 * 16 * DEPTHS.length);
    expect(rows[17]).toMatch(
      /^2026-05-20T00:00:00Z,2026-05-21T00:00:00Z,2026-05-20T06:00:00Z,fogwhisk_damped_anomaly,archived,0,ensemble,2,temperature,-?\d+\.?\d*,1,state,0$/,
    );
    expect(received[0]).toMatchObject({
      next: [
        { trigger: 'forwardTrigger' },
        {
          trigger: 'flare-forecast-ready-archived',
          payload: { lake: 'archived', container_name: 'visualize', cycle: { lake: 'archived', date: '2026-05-20' } },
        },
      ],
    });
  });

  it('takes the lake by its tags, the names of its sensors as they are, and no value that is no temperature of water', async () => {
    await measured('mine', [
      ...sixHourly('2026-05-20T00:00:00Z', 30),
      { at: Date.parse('2026-05-19T13:00:00Z'), depth: 9, value: 7_999 },
      { at: Date.parse('2026-05-19T13:00:00Z'), depth: 0, value: -6_999 },
    ]);
    await measured('other', [{ at: Date.parse('2026-05-19T12:00:00Z'), depth: 5, value: 40 }]);
    expect(await fire('mine', '2026-05-20T06:00:00Z')).toMatchObject({ ok: true, depths: DEPTHS });
    const spoilt = (await points('forecast', 'mine')).filter(({ _field }) => _field === 'persistence');
    expect(Math.max(...spoilt.map(({ _value }) => _value))).toBeLessThan(25);
    expect(Math.min(...spoilt.map(({ _value }) => _value))).toBeGreaterThan(5);
    expect(await fire('mine', '2026-05-20T06:00:00Z', { measurement: 'water_<depth>m' })).toMatchObject({ points: 0 });
  });

  it('says that there is nothing to forecast from; or, where readings are awaited, asks to be fired again', async () => {
    const { received, receipt } = await receipts();
    expect(await fire('nowhere', '2026-05-20T06:00:00Z', { receipt })).toMatchObject({
      ok: true,
      points: 0,
      note: expect.stringContaining(
        'no wtr_<depth> of lake nowhere in the 3 days before 2026-05-20; there is none at all',
      ),
    });
    expect(await fire('nowhere', '2026-05-20T06:00:00Z', { receipt, waitForReadings: true })).toMatchObject({
      error: { code: 'NO_READINGS' },
    });
    expect(received).toEqual([
      { batchId: 'b', stored: 'all' },
      { batchId: 'b', stored: [], failed: { code: 'NO_READINGS', message: expect.any(String), afterMs: 20_000 } },
    ]);
  });

  it.each([
    ['no cycle', { scheduledFor: undefined }, 'CYCLE_MISSING'],
    ['a measurement without the depth', { measurement: 'wtr' }, 'PARAMETER_INVALID'],
    ['a lake that is no name', { lake: '../x' }, 'PAYLOAD_INVALID'],
    ['tags that are a text', { tags: 'x' }, 'PARAMETER_INVALID'],
    ['no InfluxDB', { influx_url: undefined }, 'PARAMETER_MISSING'],
  ])('refuses %s', async (_, extra, code) => {
    expect(await fire('bad', '2026-05-20T06:00:00Z', extra)).toMatchObject({ error: { code } });
  });

  it("is about the site's own lake if no other is named", async () => {
    await measured('site_7', sixHourly('2026-05-20T00:00:00Z', 10));
    expect(await fire('site_7', '2026-05-20T06:00:00Z', { lake: undefined })).toMatchObject({
      lake: 'site-7',
      points: 16 * DEPTHS.length,
    });
  });

  it('uses only whole days of UTC, wherever the lake is', async () => {
    await measured('tokyo', sixHourly('2026-05-19T21:00:00Z', 30));
    expect(await fire('tokyo', '2026-05-19T21:00:00Z', { timezone: 'Asia/Tokyo' })).toMatchObject({
      cycle: '2026-05-20',
      reference: '2026-05-19',
    });
  });
});

const record = readRecord();
if (!record) console.warn('skipped: flareForecast on a real record: it is not beside the repository');

describe.skipIf(!record)('flareForecast on a real record in the embedded InfluxDB', () => {
  it('knows the season after two years, and stores what the model says', async () => {
    const reference = dayOf('2020-07-15');
    const readings = record!.depths.flatMap((depth, index) =>
      Array.from({ length: reference - record!.firstDay }, (_, at) => {
        const day = record!.firstDay + at;
        return { at: day * DAY_MS, depth, value: record!.at(index, day) };
      }).filter(({ value }) => !Number.isNaN(value)),
    );
    await measured('fcre', readings);
    const result = await fire('fcre', '2020-07-15T06:00:00Z');
    expect(result).toMatchObject({ ok: true, depths: record!.depths, knowsSeason: true, points: 176 });
    expect(result).not.toHaveProperty('note');
    const known = record!.until(reference - 1)!;
    const expected = forecast(calibrate(known), known, reference, `fcre ${reference}`);
    const stored = (await points('forecast', 'fcre')).filter(({ _field }) => _field === 'mean');
    for (const { depth, members } of expected.depths) {
      const means = stored.filter((row) => row.depth === String(depth)).map(({ _value }) => _value);
      expect(means).toHaveLength(16);
      means.forEach((mean, at) => {
        expect(mean).toBeCloseTo(members.reduce((sum, member) => sum + member[at]!, 0) / members.length, 3);
      });
    }
  });
});
