import { DAY_MS } from './daily-series.ts';
import { MODEL_ID } from './damped-anomaly.ts';
import type { Forecast } from './ensemble.ts';
import { rounded, VARIABLE } from './points.ts';

/** The columns of FLARE's forecasts (`write_forecast.R` of FLAREr 3). */
export const COLUMNS = [
  'reference_datetime',
  'datetime',
  'pub_datetime',
  'model_id',
  'site_id',
  'depth',
  'family',
  'parameter',
  'variable',
  'prediction',
  'forecast',
  'variable_type',
  'log_weight',
] as const;

/** The file's name, as FLARE names its own: `<site>-<reference date>-<model>.csv`. */
export function csvName(lake: string, referenceDay: number): string {
  return `${lake}-${isoDay(referenceDay).slice(0, 10)}-${MODEL_ID}.csv`;
}

/** The ensemble as FLARE writes it, row by row; a line for the header first. */
export function* csvLines(forecast: Forecast, lake: string, publishedAt: string): Generator<string> {
  yield `${COLUMNS.join(',')}\n`;
  const reference = isoDay(forecast.referenceDay);
  const published = publishedAt.replace(/\.\d+Z$/, 'Z');
  for (const { depth, members } of forecast.depths) {
    for (const [number, member] of members.entries()) {
      for (const [at, prediction] of member.entries()) {
        const day = isoDay(forecast.referenceDay + at);
        const about = [reference, day, published, MODEL_ID, lake, depth, 'ensemble', number + 1, VARIABLE];
        yield `${[...about, rounded(prediction), 1, 'state', 0].join(',')}\n`;
      }
    }
  }
}

function isoDay(day: number): string {
  return new Date(day * DAY_MS).toISOString().replace('.000Z', 'Z');
}
