import { escape as escapeName, type Row } from '@influxdata/influxdb-client';
import { cellOf, measurementFilter, nanoseconds, pointsOf } from '../shared/flux.ts';
import { type Connection, query } from '../shared/influx.ts';
import type { Window } from '../shared/window.ts';

/** Columns of an answer that are no tags. */
const NOT_TAGS: ReadonlySet<string> = new Set([
  'result',
  'table',
  '_start',
  '_stop',
  '_time',
  '_value',
  '_field',
  '_measurement',
  '',
]);

/**
 * The points of a window as line protocol, a line for each field, as they come.
 * @throws ActionError `INFLUX_UNREACHABLE` or `INFLUX_FAILED`, also in the middle
 */
export async function* linesOf(
  connection: Connection,
  window: Window,
  measurements: readonly string[],
): AsyncGenerator<string> {
  const flux = `${pointsOf(connection.bucket, window)}${measurementFilter(measurements)}`;
  for await (const row of query(connection, flux)) yield lineOf(row);
}

function lineOf(row: Row): string {
  const { values, tableMeta } = row;
  const tags = tableMeta.columns
    .filter(({ label, index }) => !NOT_TAGS.has(label) && values[index])
    .map(({ label, index }) => `,${escapeName.tag(label)}=${escapeName.tag(values[index]!)}`);
  const series = escapeName.measurement(cellOf(row, '_measurement')) + tags.join('');
  const value = VALUE[tableMeta.column('_value').dataType] ?? escapeName.quoted;
  return `${series} ${escapeName.tag(cellOf(row, '_field'))}=${value(cellOf(row, '_value'))} ${nanoseconds(cellOf(row, '_time'))}`;
}

/** Digits go on as they were written. */
const VALUE: Readonly<Record<string, (text: string) => string>> = {
  double: (text) => text,
  long: (text) => `${text}i`,
  unsignedLong: (text) => `${text}u`,
  boolean: (text) => text,
};
