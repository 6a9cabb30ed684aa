import { escape as escapeName } from '@influxdata/influxdb-client';
import { DateTime } from 'luxon';
import { cellOf, measurementFilter, pointsOf, quoted } from '../shared/flux.ts';
import { type Connection, query } from '../shared/influx.ts';
import type { Window } from '../shared/window.ts';
import type { Statistic } from './statistics.ts';
import { type Quantity, type Survey, surveyed } from './survey.ts';

/** One quantity of one datacenter in one window: the fields of its point, all floats. */
export interface Aggregate {
  readonly measurement: string;
  readonly datacenterId: string;
  readonly fields: ReadonlyMap<string, number>;
}

/** How many values one query may be of: what sorts them holds them in memory. One quantity is not divided. */
const MAX_VALUES = 500_000;

/**
 * The aggregates of a window. InfluxDB computes them, pooled over the devices of a datacenter; what comes over the
 * network is a row for each.
 * @throws ActionError `INFLUX_UNREACHABLE` or `INFLUX_FAILED`
 */
export async function aggregated(
  source: Connection,
  window: Window,
  measurements: readonly string[],
  statistics: readonly Statistic[],
): Promise<{ aggregates: Aggregate[]; notNumeric: ReadonlySet<string> }> {
  const survey = await surveyed(source, window, measurements);
  const fields = new Map(survey.quantities.map((quantity) => [keyOf(quantity), fieldsOf(quantity, statistics)]));
  for (const names of batches(survey)) {
    const flux = statisticsFlux(source, window, names, statistics, survey);
    if (flux === '') break;
    for await (const row of query(source, flux)) {
      const value = Number(cellOf(row, '_value'));
      const key = keyOf({ measurement: cellOf(row, '_measurement'), datacenterId: cellOf(row, 'datacenter_id') });
      // one value has no deviation (NaN); a value that came after the survey waits for the next time
      if (Number.isFinite(value)) fields.get(key)?.set(cellOf(row, 'result'), value);
    }
  }
  const aggregates = survey.quantities.map(({ measurement, datacenterId }) => ({
    measurement,
    datacenterId,
    fields: fields.get(keyOf({ measurement, datacenterId }))!,
  }));
  return { aggregates: aggregates.filter((one) => one.fields.size > 0), notNumeric: survey.notNumeric };
}

function fieldsOf({ first, last }: Quantity, statistics: readonly Statistic[]): Map<string, number> {
  const known: Readonly<Record<string, number>> = { first, last };
  return new Map(statistics.filter(({ flux }) => !flux).map(({ field }) => [field, known[field]!]));
}

/** Measurements that are aggregated by one query. */
function batches({ quantities }: Survey): string[][] {
  const counts = new Map<string, number>();
  for (const { measurement, count } of quantities) counts.set(measurement, (counts.get(measurement) ?? 0) + count);
  const batches: string[][] = [];
  let room = 0;
  for (const [measurement, count] of counts) {
    if (count > room) {
      batches.push([]);
      room = MAX_VALUES;
    }
    batches.at(-1)!.push(measurement);
    room -= count;
  }
  return batches;
}

function statisticsFlux(
  { bucket }: Connection,
  window: Window,
  measurements: readonly string[],
  statistics: readonly Statistic[],
  { integers }: Survey,
): string {
  const computed = statistics.filter(({ flux }) => flux);
  if (computed.length === 0) return '';
  const isOne = measurements.map((name) => `r._measurement == ${quoted(name)}`).join(' or ');
  const asFloat = measurements.some((name) => integers.has(name)) ? ' |> toFloat()' : '';
  return [
    `values = ${pointsOf(bucket, window)} |> filter(fn: (r) => r._field == "value" and (${isOne}))${asFloat} |> group(columns: ["datacenter_id", "_measurement"])`,
    ...computed.map(({ field, flux }) => `values |> ${flux} |> yield(name: ${quoted(field)})`),
  ].join('\n');
}

/** The point as a line; its time is the window's start. With `dateTags` it carries the date in the zone as tags. */
export function lineOf(
  { measurement, datacenterId, fields }: Aggregate,
  { from }: Window,
  { zone, dateTags }: { zone: string; dateTags: boolean },
): string {
  const { year, month, day } = DateTime.fromMillis(from, { zone });
  const tags = [
    ...(datacenterId === '' ? [] : [`,datacenter_id=${escapeName.tag(datacenterId)}`]),
    ...(dateTags ? [`,day=${day},month=${month},year=${year}`] : []),
  ];
  const values = [...fields].map(([field, value]) => `${field}=${value}`);
  return `${escapeName.measurement(measurement)}${tags.join('')} ${values.join(',')} ${from}000000`;
}

/** Whether the bucket has these very aggregates for this window already. */
export async function isStored(
  target: Connection,
  window: Window,
  measurements: readonly string[],
  aggregates: readonly Aggregate[],
): Promise<boolean> {
  const stored = new Map<string, number>();
  const start = { from: window.from, to: window.from + 1 };
  for await (const row of query(target, `${pointsOf(target.bucket, start)}${measurementFilter(measurements)}`)) {
    const key = keyOf({ measurement: cellOf(row, '_measurement'), datacenterId: cellOf(row, 'datacenter_id') });
    stored.set(`${key}\0${cellOf(row, '_field')}`, Number(cellOf(row, '_value')));
  }
  return aggregates.every((aggregate) =>
    [...aggregate.fields].every(([field, value]) => stored.get(`${keyOf(aggregate)}\0${field}`) === value),
  );
}

function keyOf({ measurement, datacenterId }: { measurement: string; datacenterId: string }): string {
  return `${measurement}\0${datacenterId}`;
}
