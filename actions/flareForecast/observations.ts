import { cellOf, measurementFilter, pointsOf, quoted } from '../shared/flux.ts';
import { type Connection, query } from '../shared/influx.ts';
import type { Window } from '../shared/window.ts';
import { DAY_MS, DailySeries, PLAUSIBLE } from './daily-series.ts';

/** More history tells hardly more of the season, and costs time at every forecast. */
const HISTORY_DAYS = 5 * 366;
/** Depths in the names of measurements: `wtr_9`, `wtr_1.5`, `wtr_1_5`. */
const DEPTH = /^\d{1,4}(?:[._]\d{1,3})?$/;
/** A lake has some tens; what names more is no list of depths. */
const MAX_DEPTHS = 100;

export interface Source {
  readonly readings: Connection;
  /** With `<depth>` for the metres. */
  readonly measurement: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** The values of one day at one depth. */
interface Day {
  readonly measurement: string;
  readonly day: number;
  /** Mean of each device, °C. */
  readonly means: number[];
  /** Whether a value among them can't be the lake's: one broken value spoils a whole mean. */
  isSpoilt: boolean;
}

/**
 * The lake's daily means (UTC) before a day. InfluxDB computes them; a depth that several devices measure gets the mean
 * of theirs.
 * @returns undefined if there are none
 * @throws ActionError `INFLUX_UNREACHABLE` or `INFLUX_FAILED`
 */
export async function observedBefore(day: number, source: Source): Promise<DailySeries | undefined> {
  const window = { from: (day - HISTORY_DAYS) * DAY_MS, to: day * DAY_MS };
  const days = await daysOf(source, [source.measurement.replace('<depth>', '*')], window);
  const spoilt = [...days.values()].filter(({ isSpoilt }) => isSpoilt);
  const repaired = spoilt.length === 0 ? undefined : await daysOf(source, ...placeOf(spoilt), true);

  const depths = new Map<string, number>();
  const means = [...days].flatMap(([key, one]) => {
    const { measurement, day, means } = one.isSpoilt ? (repaired?.get(key) ?? { ...one, means: [] }) : one;
    const depth = depths.get(measurement) ?? depthOf(measurement, source.measurement);
    if (Number.isNaN(depth) || means.length === 0 || (!depths.has(measurement) && depths.size === MAX_DEPTHS))
      return [];
    depths.set(measurement, depth);
    return [{ day, depth, value: means.reduce((sum, mean) => sum + mean, 0) / means.length }];
  });
  return DailySeries.of(means);
}

function placeOf(days: readonly Day[]): [measurements: string[], window: Window] {
  const [first, last] = days.reduce(
    ([min, max], { day }) => [Math.min(min, day), Math.max(max, day)],
    [Number.POSITIVE_INFINITY, 0],
  );
  return [
    [...new Set(days.map(({ measurement }) => measurement))],
    { from: first! * DAY_MS, to: (last! + 1) * DAY_MS },
  ];
}

/**
 * @param isSifted leaves implausible values out, which takes InfluxDB some forty times longer: it then has to look at
 *   every value instead of asking its storage for windowed aggregates
 */
async function daysOf(
  { readings, tags }: Source,
  measurements: readonly string[],
  window: Window,
  isSifted = false,
): Promise<Map<string, Day>> {
  const isOfLake = Object.entries(tags).map(([tag, value]) => ` and r[${quoted(tag)}] == ${quoted(value)}`);
  const { min, max } = PLAUSIBLE;
  const values = [
    pointsOf(readings.bucket, window) + measurementFilter(measurements),
    `|> filter(fn: (r) => r._field == "value"${isOfLake.join('')})`,
    ...(isSifted ? [`|> filter(fn: (r) => r._value >= ${min.toFixed(1)} and r._value <= ${max.toFixed(1)})`] : []),
  ].join(' ');
  // Written out for each: a stream that has a name and is used twice is not aggregated by the storage.
  const flux = (isSifted ? ['mean'] : ['mean', 'min', 'max']).map(
    (fn) =>
      `${values} |> aggregateWindow(every: 1d, fn: ${fn}, createEmpty: false, timeSrc: "_start") |> keep(columns: ["_time", "_measurement", "_value"]) |> yield(name: "${fn}")`,
  );
  const days = new Map<string, Day>();
  for await (const row of query(readings, flux.join('\n'))) {
    const measurement = cellOf(row, '_measurement');
    const value = Number(cellOf(row, '_value'));
    const day = Math.floor(Date.parse(cellOf(row, '_time')) / DAY_MS);
    const key = `${day} ${measurement}`;
    const one = days.get(key) ?? { measurement, day, means: [], isSpoilt: false };
    days.set(key, one);
    if (cellOf(row, 'result') === 'mean') one.means.push(value);
    else if (!(value >= min && value <= max)) one.isSpoilt = true;
  }
  return days;
}

/** Metres, NaN if the name has no depth where the pattern has it. */
function depthOf(measurement: string, pattern: string): number {
  const [before = '', after = ''] = pattern.split('<depth>');
  const written = measurement.slice(before.length, measurement.length - after.length);
  return DEPTH.test(written) ? Number(written.replace('_', '.')) : Number.NaN;
}
