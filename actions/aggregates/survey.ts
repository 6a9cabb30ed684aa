import { cellOf, measurementFilter, nanoseconds, pointsOf } from '../shared/flux.ts';
import { type Connection, query } from '../shared/influx.ts';
import type { Window } from '../shared/window.ts';

/** What there is in a window: InfluxDB answers this from each series' first and last value and their number. */

/** The values of one quantity in one datacenter, of whichever devices. */
export interface Quantity {
  readonly measurement: string;
  /** '' for readings that have none. */
  readonly datacenterId: string;
  readonly count: number;
  readonly first: number;
  readonly last: number;
}

export interface Survey {
  readonly quantities: readonly Quantity[];
  /** Measurements that have integers too, which Flux must turn into floats first. */
  readonly integers: ReadonlySet<string>;
  /** Measurements that have text or booleans. */
  readonly notNumeric: ReadonlySet<string>;
}

interface End {
  readonly time: bigint;
  readonly device: string;
  readonly value: number;
}

/** @throws ActionError `INFLUX_UNREACHABLE` or `INFLUX_FAILED` */
export async function surveyed(
  connection: Connection,
  window: Window,
  measurements: readonly string[],
): Promise<Survey> {
  const flux = `series = ${pointsOf(connection.bucket, window)}${measurementFilter(measurements)} |> filter(fn: (r) => r._field == "value")
series |> count() |> yield(name: "count")
series |> first() |> yield(name: "first")
series |> last() |> yield(name: "last")`;
  const found = new Map<
    string,
    { measurement: string; datacenterId: string; count: number; first?: End; last?: End }
  >();
  const integers = new Set<string>();
  const notNumeric = new Set<string>();
  for await (const row of query(connection, flux)) {
    const text = (label: string) => cellOf(row, label);
    const [measurement, datacenterId] = [text('_measurement'), text('datacenter_id')];
    const key = `${measurement}\0${datacenterId}`;
    let quantity = found.get(key);
    if (!quantity) {
      quantity = { measurement, datacenterId, count: 0 };
      found.set(key, quantity);
    }
    const result = text('result');
    if (result === 'count') {
      quantity.count += Number(text('_value'));
      continue;
    }
    const type = row.tableMeta.column('_value').dataType;
    if (type === 'long' || type === 'unsignedLong') integers.add(measurement);
    else if (type !== 'double') notNumeric.add(measurement);
    const end = { time: nanoseconds(text('_time')), device: text('device_fingerprint'), value: Number(text('_value')) };
    if (result === 'first' && (!quantity.first || isBefore(end, quantity.first))) quantity.first = end;
    if (result === 'last' && (!quantity.last || isBefore(quantity.last, end))) quantity.last = end;
  }
  const quantities = [...found.values()]
    .filter(({ measurement }) => !notNumeric.has(measurement))
    .map(({ first, last, ...rest }) => ({ ...rest, first: first!.value, last: last!.value }));
  return { quantities, integers, notNumeric };
}

function isBefore(a: End, b: End): boolean {
  return a.time < b.time || (a.time === b.time && a.device < b.device);
}
