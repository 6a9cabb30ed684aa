import type { Series, ValueType } from '../store.ts';
import { FluxError } from './errors.ts';
import { type Predicate, residual } from './predicate.ts';
import { type Run, Stream } from './stream.ts';
import { type Column, constant, GroupKey, type KeyColumn, Table } from './table.ts';
import { floorDivide, NANOSECONDS_PER_SECOND } from './time.ts';
import type { Cell, RecordValue, ScalarType, Value } from './values.ts';
import type { Bounds } from './window.ts';

/** What `from |> range |> filter |> group` reads: series chosen in memory, their points fetched by SQL. */

export const SCALAR: Readonly<Record<ValueType, ScalarType>> = {
  float: 'float',
  integer: 'int',
  unsigned: 'uint',
  string: 'string',
  boolean: 'bool',
};

/** Rows that one script may read into memory. */
export const MAX_ROWS = 5_000_000;
/** Series whose points are fetched by one query, so that a long answer streams. */
const BATCH_SERIES = 256;

export interface Selection {
  readonly bucketId: string;
  readonly range: Bounds;
  readonly filters: readonly Predicate[];
  /** Columns of `group(columns:)`, if the read is grouped. */
  readonly groupBy?: readonly string[];
}

/** A series that matches, and which of its rows do. */
export interface ChosenSeries {
  readonly series: Series;
  readonly labels: SeriesRecord;
  /** SQL condition on `value`; undefined = all rows. */
  readonly condition: string | undefined;
}

/** A bucket nobody bounded yet: only `range` can be applied to it. */
export class BucketSource extends Stream {
  readonly bucketId: string;
  constructor(bucketId: string, bucketName: string) {
    super('from', [], () => {
      throw new FluxError(
        `error in building plan while starting program: cannot submit unbounded read to "${bucketName}"; try bounding 'from' with a call to 'range'`,
      );
    });
    this.bucketId = bucketId;
  }
}

/** A bounded read, which filters, `group` and aggregates can still become part of. */
export class Read extends Stream {
  readonly selection: Selection;
  constructor(selection: Selection) {
    super(selection.groupBy ? 'group' : 'range', [], (run) => readTables(selection, run), selection.range);
    this.selection = selection;
  }

  filtered(filters: readonly Predicate[]): Read {
    return new Read({ ...this.selection, filters: [...this.selection.filters, ...filters] });
  }
}

/** A series' tags, measurement and field as the record that a filter sees. */
class SeriesRecord implements RecordValue {
  readonly labels: readonly string[];
  readonly #values: ReadonlyMap<string, string>;

  constructor({ measurement, field, tags }: Series) {
    const values = new Map(tags).set('_field', field).set('_measurement', measurement);
    this.labels = [...values.keys()].sort();
    this.#values = values;
  }

  get(label: string): Value | undefined {
    return this.#values.get(label);
  }

  text(label: string): string | undefined {
    return this.#values.get(label);
  }
}

/** The series of the selection in the order of InfluxDB's index: measurement, tag set, field. */
export function chooseSeries({ bucketId, filters }: Selection, run: Run): ChosenSeries[] {
  const chosen: ChosenSeries[] = [];
  for (const series of run.store.series(bucketId)) {
    const labels = new SeriesRecord(series);
    const left = filters.map((filter) => residual(filter, labels, series.type));
    if (left.includes(false)) continue;
    const conditions = left.filter((one) => typeof one === 'string');
    chosen.push({ series, labels, condition: conditions.length > 0 ? conditions.join(' AND ') : undefined });
  }
  return chosen.sort((a, b) => compareSeries(a.series, b.series));
}

function compareSeries(a: Series, b: Series): number {
  return compare(a.measurement, b.measurement) || compareTags([...a.tags], [...b.tags]) || compare(a.field, b.field);
}

function compareTags(a: readonly (readonly [string, string])[], b: readonly (readonly [string, string])[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compare(a[i]![0], b[i]![0]) || compare(a[i]![1], b[i]![1]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** One SQL query's worth of series: those of one type with the same condition. */
export function sameQuery(chosen: readonly ChosenSeries[]): ChosenSeries[][] {
  const groups = groupBy(chosen, ({ series, condition }) => `${series.type} ${condition ?? ''}`);
  return [...groups.values()];
}

/** SQL of the matching rows (series, time, value) of series that `sameQuery` put together. */
export async function rowsSql(chosen: readonly ChosenSeries[], range: Bounds, run: Run): Promise<string> {
  const { series, condition } = chosen[0]!;
  const ids = chosen.map((one) => one.series.id);
  const points = await run.store.pointsSql(series.type, ids, range.start, range.stop);
  return condition === undefined ? points : `SELECT series, time, value FROM (${points}) AS p WHERE ${condition}`;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

/** The groups that the tables are made of: single series, or the series that `groupBy` puts together. */
export function seriesGroups(selection: Selection, chosen: readonly ChosenSeries[]): ChosenSeries[][] {
  const { groupBy: columns } = selection;
  if (!columns) return chosen.map((one) => [one]);
  const sortKey = ({ labels }: ChosenSeries) => columns.map((label) => `${labels.text(label) || '\xff'}\0`).join('');
  const groups = groupBy(chosen, sortKey);
  return [...groups].sort(([a], [b]) => compare(a, b)).map(([, group]) => group);
}

/** The key of a group's table, with the bounds of the range or of one window. */
export function groupKey(selection: Selection, group: readonly ChosenSeries[], bounds: Bounds): GroupKey {
  const { labels } = group[0]!;
  const tags: KeyColumn[] = selection.groupBy
    ? selection.groupBy
        .filter((label) => label !== '_start' && label !== '_stop')
        .map((label) => ({ label, type: 'string', value: labels.text(label) ?? '' }))
    : labels.labels.map((label) => ({ label, type: 'string', value: labels.text(label)! }));
  return new GroupKey([
    { label: '_start', type: 'time', value: bounds.start },
    { label: '_stop', type: 'time', value: bounds.stop },
    ...tags,
  ]);
}

/** Labels of all tag columns that a group's rows have, in order. */
export function tagLabels(group: readonly ChosenSeries[]): string[] {
  if (group.length === 1) return [...group[0]!.labels.labels];
  return [...new Set(group.flatMap(({ labels }) => labels.labels))].sort();
}

interface Points {
  readonly times: readonly bigint[];
  readonly values: readonly Cell[];
}

async function* readTables(selection: Selection, run: Run): AsyncGenerator<Table> {
  const groups = seriesGroups(selection, chooseSeries(selection, run));
  for (let from = 0; from < groups.length; ) {
    const batch = [groups[from++]!];
    let size = batch[0]!.length;
    while (from < groups.length && size + groups[from]!.length <= BATCH_SERIES) {
      size += groups[from]!.length;
      batch.push(groups[from++]!);
    }
    const points = await fetchPoints(batch.flat(), selection.range, run);
    for (const group of batch) yield* groupTable(selection, group, points);
  }
}

async function fetchPoints(chosen: readonly ChosenSeries[], range: Bounds, run: Run): Promise<Map<Series, Points>> {
  const points = new Map<Series, Points>();
  for (const group of sameQuery(chosen)) {
    const rows = await rowsSql(group, range, run);
    const { columns, rowCount } = await run.store.query(
      `SELECT series, time, value FROM (${rows}) AS r ORDER BY series, time LIMIT ${run.rowsLeft + 1}`,
    );
    takeRows(run, rowCount);
    const [ids, times, values] = columns as [number[], bigint[], Cell[]];
    const byId = new Map(group.map(({ series }) => [series.id, series]));
    for (let from = 0; from < rowCount; ) {
      let to = from + 1;
      while (to < rowCount && ids[to] === ids[from]) to++;
      points.set(byId.get(ids[from]!)!, { times: times.slice(from, to), values: values.slice(from, to) });
      from = to;
    }
  }
  return points;
}

/** @throws FluxError when the script has read all the rows it may */
export function takeRows(run: Run, rows: number): void {
  run.rowsLeft -= rows;
  if (run.rowsLeft < 0) {
    throw new FluxError(
      `the query reads more than ${MAX_ROWS} rows; narrow its range or filter, or aggregate right after them`,
    );
  }
}

/** A group whose series differ in type ends in an error after the rows that still fit, as in InfluxDB. */
function* groupTable(
  selection: Selection,
  group: readonly ChosenSeries[],
  points: ReadonlyMap<Series, Points>,
): Generator<Table> {
  const present = group.filter(({ series }) => points.has(series));
  const first = present[0];
  if (!first) return;
  const clash = present.findIndex(({ series }) => series.type !== first.series.type);
  const fitting = clash < 0 ? present : present.slice(0, clash);
  const read = fitting.map(({ series }) => points.get(series)!);
  const lengths = read.map(({ times }) => times.length);
  const length = lengths.reduce((total, one) => total + one, 0);
  const { range } = selection;
  const columns: Column[] = [
    constant('_start', 'time', range.start, length),
    constant('_stop', 'time', range.stop, length),
    { label: '_time', type: 'time', cells: read.length === 1 ? read[0]!.times : read.flatMap(({ times }) => times) },
    {
      label: '_value',
      type: SCALAR[first.series.type],
      cells: read.length === 1 ? read[0]!.values : read.flatMap(({ values }) => values),
    },
    ...tagLabels(present).map((label) => tagColumn(label, fitting, lengths)),
  ];
  yield new Table(groupKey(selection, present, range), columns, length);
  if (clash >= 0) throw typeClash(first.series, present[clash]!.series);
}

export function typeClash(a: Series, b: Series): FluxError {
  return new FluxError(`schema collision: cannot group ${a.type} and ${b.type} types together`);
}

function tagColumn(label: string, group: readonly ChosenSeries[], lengths: readonly number[]): Column {
  const cells = group.map(({ labels }, index) => new Array<Cell>(lengths[index]!).fill(labels.text(label) ?? ''));
  return { label, type: 'string', cells: cells.length === 1 ? cells[0]! : cells.flat() };
}

/** `keep |> group |> distinct` of one tag: the values that it has in series with points in the range, in order. */
export function tagValuesOf(input: Stream, tag: string): Stream {
  return new Stream('distinct', [input], async function* (run) {
    const values = new Set<Cell>();
    if (input instanceof Read) {
      const chosen = chooseSeries(input.selection, run);
      // Of measurements it keeps one list, whatever the time.
      const known = tag === '_measurement' && chosen.every(({ condition }) => condition === undefined);
      const found = known ? chosen : await withPoints(chosen, input.selection, run);
      for (const { labels } of found) values.add(labels.text(tag) ?? null);
    } else
      for await (const table of input.tables(run)) for (const cell of table.column(tag)?.cells ?? []) values.add(cell);
    yield listTable([...values].filter((value) => value !== null).sort());
  });
}

/** `keys |> keep |> distinct`: the names of all key columns of series with points in the range, the bounds first. */
export function tagKeysOf(input: Stream): Stream {
  const bounds = ['_start', '_stop'];
  return new Stream('distinct', [input], async function* (run) {
    const names = new Set<string>();
    if (input instanceof Read) {
      const found = await withPoints(chooseSeries(input.selection, run), input.selection, run);
      for (const { labels } of found) for (const label of labels.labels) names.add(label);
    } else for await (const { key } of input.tables(run)) for (const { label } of key.columns) names.add(label);
    const others = [...names].filter((name) => !bounds.includes(name)).sort();
    yield listTable([...bounds, ...others]);
  });
}

function listTable(cells: readonly Cell[]): Table {
  return new Table(new GroupKey([]), [{ label: '_value', type: 'string', cells }], cells.length);
}

/** InfluxDB answers such questions from the indexes of its shards: the range is widened to the shards that it touches. */
async function withPoints(chosen: readonly ChosenSeries[], selection: Selection, run: Run): Promise<ChosenSeries[]> {
  const range = shardsOf(selection, run);
  const present = new Set<number>();
  for (const group of sameQuery(chosen)) {
    const { columns } = await run.store.query(`SELECT DISTINCT series FROM (${await rowsSql(group, range, run)}) AS r`);
    for (const id of (columns[0] ?? []) as number[]) present.add(id);
  }
  return chosen.filter(({ series }) => present.has(series.id));
}

const DAY = 86_400n * NANOSECONDS_PER_SECOND;

/** A shard covers a week from Monday, less if the bucket keeps its points for less than half a year. */
function shardsOf({ bucketId, range }: Selection, run: Run): Bounds {
  const keptDays = (run.store.bucketById(bucketId)?.retentionSeconds ?? 0) / 86_400;
  const length = keptDays === 0 || keptDays > 180 ? 7n * DAY : keptDays >= 2 ? DAY : DAY / 24n;
  const monday = 4n * DAY; // 1970-01-05
  const start = floorDivide(range.start - monday, length) * length + monday;
  const stop = (floorDivide(range.stop - monday, length) + 1n) * length + monday;
  const limit = 2n ** 63n;
  return { start: start < -limit ? -limit : start, stop: stop >= limit ? limit - 1n : stop };
}
