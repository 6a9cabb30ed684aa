import { cellOf, measurementFilter, pointsOf, quoted } from '../shared/flux.ts';
import { type Connection, query } from '../shared/influx.ts';
import { DAY_MS, type DailySeries } from './daily-series.ts';
import { MODEL_ID } from './damped-anomaly.ts';
import { FORECAST, line, type Origin, quantileField, SCORE, tagsOf } from './points.ts';
import { crpsOfNormal, crpsOfQuantiles, QUANTILES } from './scores.ts';

/** Observations that come late are scored too, up to so many days after. */
export const SCORED_DAYS = 3;

/** A stored forecast of one day at one depth. */
interface Stored {
  readonly day: number;
  readonly depth: number;
  readonly horizon: number;
  readonly fields: Map<string, number>;
}

/**
 * The scores of the forecasts that were made for the last days before `referenceDay`, as points beside those forecasts:
 * same time, same tags.
 * @throws ActionError `INFLUX_UNREACHABLE` or `INFLUX_FAILED`
 */
export async function scoreLines(
  series: DailySeries,
  referenceDay: number,
  forecasts: Connection,
  origin: Origin,
): Promise<string[]> {
  const lines: string[] = [];
  for (const stored of await storedForecasts(forecasts, referenceDay, origin)) {
    const observation = series.at(series.depths.indexOf(stored.depth), stored.day);
    const score = scoreOf(stored, observation);
    if (!score) continue;
    lines.push(line(SCORE, { ...tagsOf(origin, stored.depth), horizon: stored.horizon }, score, stored.day));
  }
  return lines;
}

async function storedForecasts(forecasts: Connection, referenceDay: number, { lake }: Origin): Promise<Stored[]> {
  const window = { from: (referenceDay - SCORED_DAYS) * DAY_MS, to: referenceDay * DAY_MS };
  const isOurs = `r.site_id == ${quoted(lake)} and r.model_id == ${quoted(MODEL_ID)}`;
  const flux = `${pointsOf(forecasts.bucket, window)}${measurementFilter([FORECAST])} |> filter(fn: (r) => ${isOurs})`;
  const found = new Map<string, Stored>();
  for await (const row of query(forecasts, flux)) {
    const [time, depth, horizon] = ['_time', 'depth', 'horizon'].map((name) => cellOf(row, name)) as [
      string,
      string,
      string,
    ];
    const key = `${time} ${depth} ${horizon}`;
    const day = Math.floor(Date.parse(time) / DAY_MS);
    const stored = found.get(key) ?? { day, depth: Number(depth), horizon: Number(horizon), fields: new Map() };
    found.set(key, stored);
    stored.fields.set(cellOf(row, '_field'), Number(cellOf(row, '_value')));
  }
  return [...found.values()];
}

/** @returns undefined where there is no observation, or the stored forecast is not whole */
function scoreOf({ fields }: Stored, observation: number): Record<string, number> | undefined {
  const field = (name: string) => fields.get(name) ?? Number.NaN;
  const quantiles = QUANTILES.map((probability) => field(quantileField(probability)));
  const [mean, persistence, deviation] = [field('mean'), field('persistence'), field('persistence_sd')];
  const score = {
    observation,
    error: mean - observation,
    squared_error: (mean - observation) ** 2,
    crps: crpsOfQuantiles(quantiles, observation),
    covered_90: observation >= field('q05') && observation <= field('q95') ? 1 : 0,
    persistence_squared_error: (persistence - observation) ** 2,
    persistence_crps: crpsOfNormal(persistence, deviation, observation),
  };
  return Object.values(score).every(Number.isFinite) ? score : undefined;
}
