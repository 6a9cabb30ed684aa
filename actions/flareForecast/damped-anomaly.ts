import { Climatology } from './climatology.ts';
import type { DailySeries } from './daily-series.ts';

/**
 * The model `fogwhisk_damped_anomaly`: a depth's temperature will be what the season has, plus what is left of today's
 * deviation from it. Where no earlier year tells the season, it will be what it is (persistence).
 */

export const MODEL_ID = 'fogwhisk_damped_anomaly';
/** Days ahead. */
export const HORIZON = 16;
/** A depth without a value for longer is silent and not forecast. */
export const MAX_AGE_DAYS = 3;
/** From the last observation to the last day forecast. */
export const MAX_LEAD = HORIZON + MAX_AGE_DAYS;
/**
 * That an anomaly stays is believed as if half a year of days had shown it: one year of weather is only a handful of
 * independent anomalies, and says too easily that they fade.
 */
const PRIOR_DAYS = 180;

/** What the past of a lake tells; forecasts of any later day can be made with it. */
export interface Calibration {
  readonly series: DailySeries;
  readonly climatologies: readonly Climatology[];
  /** Per depth: which share of an anomaly is left after so many days, 0 to 1; `[0]` is 1. */
  readonly damping: ReadonlyArray<readonly number[]>;
}

export function calibrate(series: DailySeries): Calibration {
  const climatologies = series.depths.map((_, depth) => new Climatology(series, depth));
  const damping = series.depths.map((_, depth) =>
    Array.from({ length: MAX_LEAD + 1 }, (_, lead) => dampingAt(series, climatologies[depth]!, depth, lead)),
  );
  return { series, climatologies, damping };
}

/** Regression of the anomaly `lead` days later on that of a day, shrunk towards 1. */
function dampingAt(series: DailySeries, climatology: Climatology, depth: number, lead: number): number {
  let pairs = 0;
  let products = 0;
  let squares = 0;
  for (let day = series.firstDay; day + lead <= series.lastDay; day++) {
    const anomaly = series.at(depth, day) - climatology.without(day, day);
    const later = series.at(depth, day + lead) - climatology.without(day, day + lead);
    if (Number.isNaN(anomaly) || Number.isNaN(later)) continue;
    pairs += 1;
    products += anomaly * later;
    squares += anomaly * anomaly;
  }
  if (squares === 0) return 1;
  const prior = (PRIOR_DAYS / pairs) * squares;
  return Math.min(1, Math.max(0, (products + prior) / (squares + prior)));
}

/** Whether a depth's season is known for all days that a forecast from `origin` is about. */
export function knowsSeason({ climatologies }: Calibration, depth: number, origin: number): boolean {
  const climatology = climatologies[depth]!;
  return climatology.covers(origin) && climatology.covers(origin + MAX_LEAD);
}

/**
 * The forecast from a day's value for `lead` days later, in °C.
 * @param season °C on a day, or undefined where the season is not known
 */
export function forecastPoint(
  { damping }: Calibration,
  depth: number,
  value: number,
  origin: number,
  lead: number,
  season: ((day: number) => number) | undefined,
): number {
  return season ? season(origin + lead) + damping[depth]![lead]! * (value - season(origin)) : value;
}
