import type { Series, ValueType } from '../store.ts';
import { type Aggregate, difference, type Selector, wrap } from './aggregates.ts';
import type { Span } from './ast.ts';
import { FluxError, formatSpan } from './errors.ts';
import {
  type ChosenSeries,
  chooseSeries,
  groupKey,
  type Read,
  rowsSql,
  SCALAR,
  sameQuery,
  seriesGroups,
  tagLabels,
  takeRows,
  typeClash,
} from './source.ts';
import { type Run, Stream } from './stream.ts';
import { type Column, constant, type GroupKey, Table } from './table.ts';
import { floorDivide } from './time.ts';
import type { Cell, ScalarType } from './values.ts';
import type { Bounds, Windows } from './window.ts';

/**
 * Aggregates of a bounded read, with or without windows, computed where the points are: SQL groups by series and
 * window, and what comes back is one row for each. Here the rows of grouped series are joined and laid out.
 *
 * InfluxDB lays the same result out differently when its own storage computes it (`_value` before the tags, tables in
 * index order) and when its query engine does (key columns first, tables in key order), so we know which it would be.
 */

export interface WindowedRead {
  readonly read: Read;
  /** None: one window, the whole range. */
  readonly windows: Windows | undefined;
  readonly createEmpty: boolean;
}

export interface AggregateSpec extends WindowedRead {
  readonly fn: Aggregate | Selector;
  /** For errors. */
  readonly call: { readonly name: string; readonly span: Span };
  /** A window without rows is a row of nulls, not an empty table. */
  readonly fillEmpty: boolean;
  /** Set when the windows' rows are joined to one table per series: what `_time` is. */
  readonly timeFrom: '_start' | '_stop' | undefined;
}

/** One window's result for one group of series. */
interface Result {
  readonly window: Bounds;
  readonly value: Cell;
  /** Of the selected row, when its own time is wanted. */
  readonly time: bigint | undefined;
  readonly series: ChosenSeries;
  readonly empty: boolean;
}

export class AggregateRead extends Stream {
  readonly spec: AggregateSpec;
  constructor(spec: AggregateSpec) {
    super(spec.fn.name, [], (run) => aggregateTables(spec, run), spec.read.selection.range);
    this.spec = spec;
  }
}

const isSelector = (fn: Aggregate | Selector): fn is Selector => 'choose' in fn;
const STORAGE_FUNCTIONS = new Set(['count', 'sum', 'mean', 'min', 'max', 'first', 'last']);

/** Whether InfluxDB's storage would compute it, rather than its query engine. */
function isStorageWork({ read, windows, fn }: AggregateSpec): boolean {
  if (!STORAGE_FUNCTIONS.has(fn.name) || read.uses > 1) return false;
  if (read.selection.groupBy) return !windows && fn.name !== 'mean';
  if (!windows) return true;
  const { every, period, offset, location } = windows.spec;
  return every.equals(period) && !offset.isNegative && location.zone === 'UTC' && location.offset.isZero;
}

async function* aggregateTables(spec: AggregateSpec, run: Run): AsyncGenerator<Table> {
  const { selection } = spec.read;
  const chosen = chooseSeries(selection, run);
  const partials = await fetchPartials(spec, chosen, run);
  const collected: Table[] = [];
  const storage = isStorageWork(spec);
  const arrives = storage || (spec.timeFrom !== undefined && isTimeFirst(spec.fn));
  for (const group of seriesGroups(selection, chosen)) {
    const present = group.filter(({ series }) => partials.has(series));
    const first = present[0];
    if (!first) continue;
    const clash = present.find(({ series }) => series.type !== first.series.type);
    const counts = storage && spec.fn.name === 'count';
    if (clash && !counts) throw typeClash(first.series, clash.series);
    const tables = layOut(spec, present, combine(spec, present, partials), storage);
    if (arrives) yield* tables;
    else collected.push(...tables);
  }
  yield* collected.sort((a, b) => a.key.compare(b.key));
}

/** InfluxDB's own operator for windowed counts, sums and means puts `_time` first and `_value` last. */
function isTimeFirst(fn: Aggregate | Selector): boolean {
  return fn.name === 'count' || fn.name === 'sum' || fn.name === 'mean';
}

// --- SQL

/** What SQL answers for one series and window. */
interface Partial {
  readonly count: number;
  readonly value: Cell | readonly Cell[];
  readonly time: bigint | undefined;
}

interface SeriesPartials {
  readonly windows: readonly Bounds[];
  readonly byWindow: ReadonlyMap<number, Partial>;
}

/** Whether SQL has it: another selector's rows are chosen in memory. */
export function isKnown(fn: Aggregate | Selector): boolean {
  return fn.name in VALUE_SQL;
}

const VALUE_SQL: Readonly<Record<string, string>> = {
  count: 'NULL',
  sum: 'sum(value)',
  mean: 'sum(value)',
  min: 'min(value)',
  max: 'max(value)',
  first: 'arg_min(value, time)',
  last: 'arg_max(value, time)',
  spread: '[min(value), max(value)]',
  stddev: 'list(value ORDER BY time)',
  quantile: 'list(value ORDER BY time)',
};

async function fetchPartials(
  spec: AggregateSpec,
  chosen: readonly ChosenSeries[],
  run: Run,
): Promise<Map<Series, SeriesPartials>> {
  const found = new Map<Series, SeriesPartials>();
  for (const group of sameQuery(chosen)) {
    const rows = await rowsSql(group, spec.read.selection.range, run);
    await assertSupported(spec, group[0]!.series.type, rows, run);
    const { sql, windowsOf } = await windowSql(spec, rows, run);
    const { columns, rowCount } = await run.store.query(`${resultSql(spec, sql)} LIMIT ${run.rowsLeft + 1}`);
    const isList = VALUE_SQL[spec.fn.name]!.startsWith('list');
    const [ids, windows, counts, values, times] = columns as [
      number[],
      (bigint | number)[],
      bigint[],
      unknown[],
      (bigint | null)[],
    ];
    takeRows(run, isList ? Number(counts.reduce((total, one) => total + BigInt(one), 0n)) : rowCount);
    const bySeries = new Map<number, Map<number, Partial>>();
    for (let i = 0; i < rowCount; i++) {
      let byWindow = bySeries.get(ids[i]!);
      if (!byWindow) bySeries.set(ids[i]!, (byWindow = new Map()));
      if (windows[i] === null) continue; // in no window, but the series is there
      const value = values[i];
      const cell = isListValue(value) ? value.items : (value as Cell);
      byWindow.set(Number(windows[i]), { count: Number(counts[i]), value: cell, time: times[i] ?? undefined });
    }
    const indices = [...bySeries.values()].flatMap((byWindow) => [...byWindow.keys()]);
    const bounds = windowsOf(indices);
    for (const { series } of group) {
      const byWindow = bySeries.get(series.id);
      if (byWindow) found.set(series, { windows: bounds, byWindow });
    }
  }
  return found;
}

function isListValue(value: unknown): value is { items: readonly Cell[] } {
  return typeof value === 'object' && value !== null && 'items' in value;
}

/** @throws FluxError if there are rows and they can't be aggregated so */
async function assertSupported({ fn, call }: AggregateSpec, type: ValueType, rows: string, run: Run): Promise<void> {
  const supported = isSelector(fn) ? fn.supports(SCALAR[type]) : fn.resultType(SCALAR[type]) !== undefined;
  if (supported || (await run.store.query(`SELECT 1 FROM (${rows}) AS r LIMIT 1`)).rowCount === 0) return;
  if (!STORAGE_FUNCTIONS.has(fn.name)) {
    throw new FluxError(
      `runtime error @${formatSpan(call.span)}: ${call.name}: unsupported aggregate column type ${SCALAR[type]}`,
    );
  }
  const message = `unsupported input type for ${fn.name} aggregate: ${type}`;
  throw isSelector(fn) ? new FluxError(message, { status: 500, code: 'internal error' }) : new FluxError(message);
}

/** SELECT series, window, count, value, time, one row per series and window. */
function resultSql({ fn, timeFrom }: AggregateSpec, rows: string): string {
  const value = VALUE_SQL[fn.name]!;
  const groups = `FROM (${rows}) AS r GROUP BY series, w`;
  if (fn.name === 'first') return `SELECT series, w, count(*), ${value}, min(time) ${groups}`;
  if (fn.name === 'last') return `SELECT series, w, count(*), ${value}, max(time) ${groups}`;
  if (!isSelector(fn) || timeFrom !== undefined) return `SELECT series, w, count(*), ${value}, NULL ${groups}`;
  // The earliest row that has the extreme value.
  return `SELECT r.series, r.w, any_value(e.n), any_value(e.v), min(r.time) FROM (${rows}) AS r
    JOIN (SELECT series, w, count(*) AS n, ${value} AS v ${groups}) AS e
    ON r.series = e.series AND r.w = e.w AND r.value = e.v GROUP BY r.series, r.w`;
}

interface WindowSql {
  /** Rows (series, time, value, w): w numbers the window. A row may be in several windows. */
  readonly sql: string;
  /** The windows that the given numbers stand for, and those between if empty ones are wanted; numbered by place. */
  readonly windowsOf: (found: readonly number[]) => readonly Bounds[];
}

/** More boundaries than this are compared in SQL rather than looked up. */
const MAX_LOOKUP = 50_000;

async function windowSql({ read, windows, createEmpty }: AggregateSpec, rows: string, run: Run): Promise<WindowSql> {
  const { range } = read.selection;
  if (!windows || windows.isInfinite) {
    return { sql: `SELECT series, time, value, 0 AS w FROM (${rows}) AS p`, windowsOf: () => [range] };
  }
  // Only as far as there is data, unless empty windows are wanted: a range may begin in 1677.
  const span = createEmpty ? range : await dataSpan(rows, run);
  const bounds = span ? windows.overlapping(span, range) : [];
  const windowsOf = () => bounds;
  const first = bounds[0];
  if (!first) return { sql: `SELECT series, time, value, 0 AS w FROM (${rows}) AS p`, windowsOf };
  const { every, period } = windows.spec;
  const contiguous = every.equals(period);
  const last = bounds.at(-1)!;
  if (contiguous && every.months === 0 && bounds.length > 2) {
    const length = bounds[1]!.stop - bounds[1]!.start;
    const regular = bounds.slice(1, -1).every(({ start, stop }) => stop - start === length);
    // The first and last may be clipped; the second tells where windows begin.
    if (regular)
      return {
        sql: `SELECT series, time, value, (time - (${bounds[1]!.start - length})) // ${length} AS w FROM (${rows}) AS p`,
        windowsOf,
      };
  }
  if (contiguous) {
    const step = bounds.slice(1).reduce((divisor, { start }) => greatestDivisor(divisor, start - bounds[1]!.start), 0n);
    const begin =
      bounds.length > 1
        ? bounds[1]!.start - step * ceilDivide(bounds[1]!.start - first.start, step || 1n)
        : first.start;
    const cells = step === 0n ? 0n : ceilDivide(last.stop - begin, step);
    if (step > 0n && cells <= MAX_LOOKUP) {
      const numbers: number[] = [];
      bounds.forEach(({ stop }, index) => {
        while (begin + BigInt(numbers.length) * step < stop) numbers.push(index);
      });
      const lookup = `SELECT unnest([${numbers.join(',')}]) AS w, unnest(range(${numbers.length})) AS cell`;
      return {
        sql: `SELECT series, time, value, w FROM (${rows}) AS p JOIN (${lookup}) AS l ON (p.time - (${begin})) // ${step} = l.cell`,
        windowsOf,
      };
    }
  }
  const list = (side: 'start' | 'stop') => `unnest([${bounds.map((one) => one[side]).join(',')}]::BIGINT[])`;
  const table = `SELECT unnest(range(${bounds.length})) AS w, ${list('start')} AS start, ${list('stop')} AS stop`;
  return {
    sql: `SELECT series, time, value, w FROM (${rows}) AS p ${createEmpty ? 'LEFT' : ''} JOIN (${table}) AS l ON p.time >= l.start AND p.time < l.stop`,
    windowsOf,
  };
}

async function dataSpan(rows: string, run: Run): Promise<Bounds | undefined> {
  const { columns } = await run.store.query(`SELECT min(time), max(time) FROM (${rows}) AS p`);
  const [start, stop] = [columns[0]?.[0], columns[1]?.[0]] as [bigint | null, bigint | null];
  return start === null || stop === null ? undefined : { start, stop: stop + 1n };
}

function greatestDivisor(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a < 0n ? -a : a;
}

function ceilDivide(a: bigint, b: bigint): bigint {
  return -floorDivide(-a, b);
}

// --- joining the series of a group

function combine(
  spec: AggregateSpec,
  group: readonly ChosenSeries[],
  partials: ReadonlyMap<Series, SeriesPartials>,
): Result[] {
  const type = SCALAR[group[0]!.series.type];
  const { windows } = partials.get(group[0]!.series)!;
  const storageGroup = spec.read.selection.groupBy !== undefined && isStorageWork(spec);
  const results: Result[] = [];
  windows.forEach((window, index) => {
    const parts = group.flatMap((series) => {
      const partial = partials.get(series.series)!.byWindow.get(index);
      return partial ? [{ series, partial }] : [];
    });
    if (parts.length > 0) results.push({ window, empty: false, ...join(spec.fn, parts, type, storageGroup) });
    else if (spec.createEmpty) {
      const value = spec.fn.name === 'count' ? 0n : null;
      results.push({ window, value, time: undefined, series: group[0]!, empty: true });
    }
  });
  return results;
}

interface Part {
  readonly series: ChosenSeries;
  readonly partial: Partial;
}

/** @param byTime first and last go by time over all series; otherwise by the order of the rows, series after series */
function join(
  fn: Aggregate | Selector,
  parts: readonly Part[],
  type: ScalarType,
  byTime: boolean,
): Pick<Result, 'value' | 'time' | 'series'> {
  const chosen = isSelector(fn) ? choosePart(fn, parts, byTime) : parts[0]!;
  const joined = { time: chosen.partial.time, series: chosen.series };
  if (isSelector(fn)) return { ...joined, value: chosen.partial.value as Cell };
  const values = parts.map(({ partial }) => partial.value);
  const total = parts.reduce((sum, { partial }) => sum + partial.count, 0);
  switch (fn.name) {
    case 'count':
      return { ...joined, value: BigInt(total) };
    case 'sum':
      if (type === 'float') return { ...joined, value: (values as number[]).reduce((sum, value) => sum + value) };
      return {
        ...joined,
        value: wrap(
          (values as bigint[]).reduce((sum, value) => sum + value),
          type,
        ),
      };
    case 'mean':
      return { ...joined, value: (values as Cell[]).reduce<number>((sum, value) => sum + Number(value), 0) / total };
    case 'spread': {
      const [least, greatest] = [fnExtreme(values, 0, (a, b) => a < b), fnExtreme(values, 1, (a, b) => a > b)];
      return { ...joined, value: difference(greatest, least, type) };
    }
    default:
      return { ...joined, value: fn.compute((values as Cell[][]).flat(), type) };
  }
}

function fnExtreme(
  pairs: readonly Partial['value'][],
  at: 0 | 1,
  beats: (a: NonNullable<Cell>, b: NonNullable<Cell>) => boolean,
) {
  return (pairs as NonNullable<Cell>[][])
    .map((pair) => pair[at]!)
    .reduce((best, one) => (beats(one, best) ? one : best));
}

function choosePart(fn: Selector, parts: readonly Part[], byTime: boolean): Part {
  const beats = (one: Part, best: Part): boolean => {
    switch (fn.name) {
      case 'min':
        return (one.partial.value as number) < (best.partial.value as number);
      case 'max':
        return (one.partial.value as number) > (best.partial.value as number);
      case 'first':
        return byTime && one.partial.time! < best.partial.time!;
      default:
        return !byTime || one.partial.time! >= best.partial.time!;
    }
  };
  return parts.reduce((best, one) => (beats(one, best) ? one : best));
}

// --- tables

function layOut(
  spec: AggregateSpec,
  group: readonly ChosenSeries[],
  results: readonly Result[],
  storage: boolean,
): Table[] {
  const { read, fn, timeFrom, fillEmpty } = spec;
  const { selection } = read;
  const inputType = SCALAR[group[0]!.series.type];
  const type = isSelector(fn) ? inputType : fn.resultType(inputType)!;
  const tags = selection.groupBy && !isSelector(fn) ? undefined : tagLabels(group);
  if (timeFrom !== undefined) {
    const rows = isSelector(fn) && !fillEmpty ? results.filter(({ empty }) => !empty) : results;
    const key = groupKey(selection, group, selection.range);
    return [new Table(key, columnsOf(spec, key, rows, type, tags, storage), rows.length)];
  }
  return results.map((result) => {
    const key = groupKey(selection, group, result.window);
    const rows = isSelector(fn) && result.empty && !fillEmpty ? [] : [result];
    return new Table(key, columnsOf(spec, key, rows, type, tags, storage), rows.length);
  });
}

function columnsOf(
  { fn, timeFrom, windows }: AggregateSpec,
  key: GroupKey,
  rows: readonly Result[],
  type: ScalarType,
  tags: readonly string[] | undefined,
  storage: boolean,
): Column[] {
  const selector = isSelector(fn);
  const bound = (label: '_start' | '_stop') => constant(label, 'time', key.get(label)!.value, rows.length);
  const value: Column = { label: '_value', type, cells: rows.map((row) => row.value) };
  const time = ({ window, time: own }: Result): Cell => {
    if (timeFrom === undefined) return own ?? null;
    return timeFrom === '_start' ? window.start : window.stop;
  };
  const timeColumn: Column = { label: '_time', type: 'time', cells: rows.map(time) };
  const keyColumns = key.columns.map((column) => constant(column.label, column.type, column.value, rows.length));
  // The windows of its query engine take the key in the order of the columns.
  const windowedKey = [...keyColumns.slice(0, 2), ...keyColumns.slice(2).sort((a, b) => (a.label < b.label ? -1 : 1))];
  if (!selector && !storage) {
    if (timeFrom === undefined) return [...(windows ? windowedKey : keyColumns), value];
    return isTimeFirst(fn) ? [timeColumn, ...keyColumns, value] : [...windowedKey, value, timeColumn];
  }
  const tagCell = (label: string, row: Result): Cell =>
    row.empty && !key.has(label) ? null : (row.series.labels.text(label) ?? '');
  const tagColumns = tags
    ? tags.map((label): Column => ({ label, type: 'string', cells: rows.map((row) => tagCell(label, row)) }))
    : keyColumns.slice(2);
  const times = selector || timeFrom !== undefined ? [timeColumn] : [];
  return [bound('_start'), bound('_stop'), ...times, value, ...tagColumns];
}
