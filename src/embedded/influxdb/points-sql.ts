import type { ValueType } from './catalog.ts';

/** The SQL of what the store asks of its points tables. */

export const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

/** Points with `start <= time < stop` (ns) that have been applied up to `seq`. */
export interface Range {
  readonly start: bigint;
  readonly stop: bigint;
  readonly seq: number;
}

/**
 * A relation (series, time, value) of the latest points.
 * @param single series that hold no point twice
 * @param repeated series that may
 */
export function latestPoints(
  type: ValueType,
  single: readonly number[],
  repeated: readonly number[],
  range: Range,
): string {
  const rows = (ids: readonly number[]) =>
    `FROM points_${type} WHERE ${inList(ids)} AND time >= ${int64(range.start)} AND time < ${int64(range.stop)} AND seq <= ${range.seq}`;
  const asTheyLie = `SELECT series, time, value ${rows(single)}`;
  if (repeated.length === 0) return asTheyLie;
  const latest = `SELECT series, time, arg_max(value, seq) AS value ${rows(repeated)} GROUP BY series, time`;
  return single.length === 0 ? latest : `${asTheyLie} UNION ALL ${latest}`;
}

/** Deletes what later points up to `seq` have overwritten. */
export function deleteOverwritten(type: ValueType, ids: readonly number[], seq: number): string {
  const ranked = `SELECT rowid, row_number() OVER (PARTITION BY series, time ORDER BY seq DESC) AS age
    FROM points_${type} WHERE ${inList(ids)} AND seq <= ${seq}`;
  return `DELETE FROM points_${type} WHERE rowid IN (SELECT rowid FROM (${ranked}) WHERE age > 1)`;
}

/** Deletes the points with `start <= time <= stop` (ns). */
export function deleteBetween(type: ValueType, ids: readonly number[], start: bigint, stop: bigint): string {
  return `DELETE FROM points_${type} WHERE ${inList(ids)} AND time BETWEEN ${int64(start)} AND ${int64(stop)}`;
}

/** A literal; a plain negative one of this size would be taken for a wider type. */
function int64(value: bigint): string {
  const clamped = value < MIN_INT64 ? MIN_INT64 : value > MAX_INT64 ? MAX_INT64 : value;
  return `'${clamped}'::BIGINT`;
}

/** `column IN (…)`, of numbers that the store made. */
export function inList(ids: readonly number[], column = 'series'): string {
  return ids.length === 0 ? 'false' : `${column} IN (${ids.join(',')})`;
}
