import { seasonDistance } from './climatology.ts';
import { type DailySeries, PLAUSIBLE } from './daily-series.ts';
import { type Calibration, forecastPoint, HORIZON, knowsSeason, MAX_AGE_DAYS, MAX_LEAD } from './damped-anomaly.ts';
import { normal, randomOf } from './random.ts';

/**
 * The ensemble: each member is the model's forecast plus the errors that a forecast of the past turned out to have, at
 * all depths and days together, so members hang together in time and over depth as the lake does.
 */

export const MEMBERS = 100;
/** Errors are taken from starts in the same season, within so many days of the year. */
const SEASON_DAYS = 45;
/** Of all years and seasons if the season has fewer starts: two independent trajectories are too few to choose from. */
const MIN_STARTS = 2 * HORIZON;
/** A past start counts if so many days after it were observed. */
const MIN_KNOWN = HORIZON / 2;
/** Where no errors are known: a random walk of this many °C per square root of a day, more than lakes are seen to do. */
const UNKNOWN_WALK = 1;

/** One depth's forecast. */
export interface DepthForecast {
  /** Metres. */
  readonly depth: number;
  /** Whether an earlier year tells the season; otherwise the forecast is persistence. */
  readonly knowsSeason: boolean;
  /** The last observed value (°C), which persistence would forecast, and its usual error per horizon (sd, °C). */
  readonly persistence: number;
  readonly persistenceDeviations: readonly number[];
  /** °C: `members[member][horizon - 1]`. */
  readonly members: ReadonlyArray<readonly number[]>;
}

export interface Forecast {
  /** Horizon 1 is this day, whose mean is not known yet. In days since 1970-01-01. */
  readonly referenceDay: number;
  readonly depths: readonly DepthForecast[];
  /** Depths (m) without a value in the last days. */
  readonly silentDepths: readonly number[];
  /** How many forecasts of the past the spread comes from; overlapping ones count as parts of one. */
  readonly independentErrors: number;
  /** How much wider than those errors the ensemble is made, because they are few. */
  readonly widening: number;
}

/**
 * Forecasts `HORIZON` days from `referenceDay` on, from what `series` had until the day before.
 * The same arguments give the same members.
 * @param calibration of the same series, or of an earlier part of it
 * @param seed tells lakes and cycles apart
 */
export function forecast(calibration: Calibration, series: DailySeries, referenceDay: number, seed: string): Forecast {
  const random = randomOf(seed);
  const yesterday = referenceDay - 1;
  const origins = series.depths.map((_, depth) => series.latest(depth, yesterday, MAX_AGE_DAYS - 1));
  const seasonKnown = series.depths.map((_, depth) => knowsSeason(calibration, depth, yesterday));
  const { trajectories, independent } = pastErrors(calibration, yesterday, seasonKnown);
  const widening = independent > 0 ? Math.sqrt(1 + 1 / independent) : 1;
  const chosen = chooseMembers(trajectories, series.depths.length, random);

  const depths: DepthForecast[] = [];
  series.depths.forEach((metres, depth) => {
    const origin = origins[depth];
    if (origin === undefined) return;
    const value = series.at(depth, origin);
    const { min, max } = bounds(calibration.series, depth);
    const climatology = calibration.climatologies[depth]!;
    const season = seasonKnown[depth] ? (day: number) => climatology.on(day) : undefined;
    // Without the season a drift of the past is no sign for the next days: it counts in both directions.
    const errors = chosen.map((trajectory, member) =>
      season || member % 2 === 0 ? trajectory[depth]! : trajectory[depth]!.map((error) => -error),
    );
    const leads = Array.from({ length: HORIZON }, (_, at) => yesterday - origin + at + 1);
    const points = leads.map((lead) => forecastPoint(calibration, depth, value, origin, lead, season));
    const centres = leads.map((lead) => errors.reduce((sum, error) => sum + error[lead]!, 0) / errors.length);
    depths.push({
      depth: metres,
      knowsSeason: seasonKnown[depth]!,
      persistence: value,
      persistenceDeviations: leads.map((lead) => persistenceDeviation(calibration.series, depth, lead)),
      members: errors.map((error) =>
        leads.map((lead, at) => Math.min(max, Math.max(min, points[at]! + widening * (error[lead]! - centres[at]!)))),
      ),
    });
  });
  return {
    referenceDay,
    depths,
    silentDepths: series.depths.filter((_, depth) => origins[depth] === undefined),
    independentErrors: independent,
    widening,
  };
}

/** Errors (°C) of one past forecast: per depth, per lead; `[depth][0]` is 0. */
type Trajectory = ReadonlyArray<Float64Array | undefined>;

function pastErrors(calibration: Calibration, day: number, seasonKnown: readonly boolean[]) {
  const { series } = calibration;
  const collect = (counts: (start: number) => boolean) => {
    const trajectories: Trajectory[] = [];
    for (let start = series.firstDay; start < series.lastDay; start++) {
      if (!counts(start)) continue;
      const trajectory = series.depths.map((_, depth) => errorsFrom(calibration, depth, start, seasonKnown[depth]!));
      if (trajectory.some((errors) => errors)) trajectories.push(trajectory);
    }
    return trajectories;
  };
  const ofSeason = collect((start) => seasonDistance(start, day) <= SEASON_DAYS);
  const trajectories = ofSeason.length >= MIN_STARTS ? ofSeason : collect(() => true);
  return { trajectories, independent: trajectories.length / HORIZON };
}

/** The errors of a depth's forecast from a past day; gaps are bridged. Undefined if too little of them was observed. */
function errorsFrom(
  calibration: Calibration,
  depth: number,
  start: number,
  seasonKnown: boolean,
): Float64Array | undefined {
  const { series, climatologies } = calibration;
  const value = series.at(depth, start);
  if (Number.isNaN(value)) return undefined;
  const season = seasonKnown ? (day: number) => climatologies[depth]!.without(start, day) : undefined;
  const errors = new Float64Array(MAX_LEAD + 1).fill(Number.NaN);
  errors[0] = 0;
  let known = 0;
  for (let lead = 1; lead <= MAX_LEAD; lead++) {
    const observed = series.at(depth, start + lead);
    if (Number.isNaN(observed)) continue;
    errors[lead] = observed - forecastPoint(calibration, depth, value, start, lead, season);
    known += 1;
  }
  return known >= MIN_KNOWN ? bridged(errors) : undefined;
}

/** Between known errors a straight line; after the last one they go on growing with the square root of the lead. */
function bridged(errors: Float64Array): Float64Array {
  let last = 0;
  for (let lead = 1; lead < errors.length; lead++) {
    if (Number.isNaN(errors[lead]!)) continue;
    for (let gap = last + 1; gap < lead; gap++) {
      errors[gap] = errors[last]! + ((errors[lead]! - errors[last]!) * (gap - last)) / (lead - last);
    }
    last = lead;
  }
  for (let lead = last + 1; lead < errors.length; lead++) errors[lead] = errors[last]! * Math.sqrt(lead / last);
  return errors;
}

/** As many trajectories as members, spread evenly over the past; a depth without its own takes its neighbour's. */
function chooseMembers(
  trajectories: readonly Trajectory[],
  depths: number,
  random: () => number,
): ReadonlyArray<readonly Float64Array[]> {
  const offset = random();
  return Array.from({ length: MEMBERS }, (_, member) => {
    const trajectory = trajectories[Math.floor(((member + offset) * trajectories.length) / MEMBERS)];
    if (!trajectory) return new Array<Float64Array>(depths).fill(randomWalk(random));
    return Array.from({ length: depths }, (_, depth) => nearest(trajectory, depth));
  });
}

function nearest(trajectory: Trajectory, depth: number): Float64Array {
  for (let away = 0; ; away++) {
    const errors = trajectory[depth - away] ?? trajectory[depth + away];
    if (errors) return errors;
  }
}

function randomWalk(random: () => number): Float64Array {
  const errors = new Float64Array(MAX_LEAD + 1);
  for (let lead = 1; lead <= MAX_LEAD; lead++) errors[lead] = errors[lead - 1]! + UNKNOWN_WALK * normal(random);
  return errors;
}

/** Water does not freeze deeper than the sensors have seen it, nor boil. */
function bounds(series: DailySeries, depth: number): { min: number; max: number } {
  let min = 0;
  for (let day = series.firstDay; day <= series.lastDay; day++) {
    const value = series.at(depth, day);
    if (value < min) min = value;
  }
  return { min, max: PLAUSIBLE.max };
}

/** Standard deviation (°C) of the changes over `lead` days, about no change: what persistence errs by. */
export function persistenceDeviation(series: DailySeries, depth: number, lead: number): number {
  let squares = 0;
  let count = 0;
  for (let day = series.firstDay; day + lead <= series.lastDay; day++) {
    const change = series.at(depth, day + lead) - series.at(depth, day);
    if (Number.isNaN(change)) continue;
    squares += change * change;
    count += 1;
  }
  return count > 0 ? Math.sqrt(squares / count) : UNKNOWN_WALK * Math.sqrt(lead);
}
