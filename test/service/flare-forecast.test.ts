import { InfluxDB } from '@influxdata/influxdb-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { main } from '../../actions/flareForecast/main.ts';
import { startInfluxd } from '../support/influxd.ts';
import { describeWith } from '../support/programs.ts';

const DAY_MS = 86_400_000;

interface Row {
  readonly _time: string;
  readonly _field: string;
  readonly _value: number;
}

describeWith(['influxd'], 'flareForecast on a real InfluxDB', () => {
  let influxd: Awaited<ReturnType<typeof startInfluxd>>;
  beforeAll(async () => {
    influxd = await startInfluxd();
    const lines: string[] = [];
    for (let at = Date.UTC(2025, 0, 1); at < Date.UTC(2026, 4, 20, 12); at += DAY_MS / 24) {
      for (const depth of ['0', '1_5', '9']) {
        const value =
          14 - 9 * Math.cos((2 * Math.PI * at) / DAY_MS / 365) + Math.sin(at / DAY_MS / 3) - Number(depth[0]) / 2;
        lines.push(`wtr_${depth},datacenter_id=1,device_fingerprint=7 value=${value} ${at}`);
      }
    }
    const response = await fetch(
      `${influxd.url}/api/v2/write?org=${influxd.org}&bucket=${influxd.bucket}&precision=ms`,
      {
        method: 'POST',
        headers: { authorization: `Token ${influxd.token}` },
        body: lines.join('\n'),
      },
    );
    expect(response.status).toBe(204);
  });
  afterAll(() => influxd?.stop());

  test('forecasts, twice the same, and scores the day after', async () => {
    const fire = (scheduledFor: string) =>
      main({
        influx_url: influxd.url,
        influx_token: influxd.token,
        influx_org: influxd.org,
        influx_bucket: influxd.bucket,
        aggregates_bucket: influxd.bucket,
        datacenter_id: 1,
        lake: 'real',
        scheduledFor,
      });
    const points = (measurement: string) =>
      new InfluxDB(influxd).getQueryApi(influxd.org).collectRows<Row>(
        `from(bucket: "${influxd.bucket}") |> range(start: 2026-05-01T00:00:00Z, stop: 2027-01-01T00:00:00Z)
            |> filter(fn: (r) => r._measurement == "${measurement}") |> group() |> sort(columns: ["_time", "_field", "depth"])`,
      );
    const first = await fire('2026-05-19T06:00:00Z');
    expect(first).toMatchObject({ ok: true, knowsSeason: true, depths: [0, 1.5, 9], points: 48 });
    const forecasts = await points('forecast');
    expect(forecasts).toHaveLength(48 * 26);
    expect(forecasts.every(({ _value }) => Number.isFinite(_value))).toBe(true);
    expect(await fire('2026-05-19T06:00:00Z')).toEqual(first);
    expect(await points('forecast')).toEqual(forecasts);
    expect(await fire('2026-05-20T06:00:00Z')).toMatchObject({ ok: true, scores: 3 });
    expect(await points('forecast_score')).toHaveLength(3 * 7);
  });
});
