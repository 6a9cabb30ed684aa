import type { Series } from '../store.ts';
import {
  type AggregateSpec,
  fetchPartials,
  isSelector,
  type Partial,
  type SeriesPartials,
  STORAGE_FUNCTIONS,
} from './aggregate-sql.ts';
import { type Aggregate, difference, type Selector, wrap } from './aggregates.ts';
import { type ChosenSeries, chooseSeries, groupKey, SCALAR, seriesGroups, tagLabels, typeClash } from './source.ts';
import { type Run, Stream } from './stream.ts';
import { type Column, constant, type GroupKey, Table } from './table.ts';
import type { Cell, ScalarType } from './values.ts';
import type { Bounds, NumberedWindow } from './window.ts';

/**
 * Aggregates of a bounded read, with or without windows, computed where the points are: SQL groups by series and
 * window, and what comes back is one row for each. Here the rows of grouped series are joined and laid out.
 *
 * InfluxDB lays the same result out differently when its own storage computes it (`_value` before the tags, tables in
 * index order) and when its query engine does (key columns first, tables in key order), so we know which it would be.
 */

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

// --- joining the series of a group

function combine(
  spec: AggregateSpec,
  group: readonly ChosenSeries[],
  partials: ReadonlyMap<Series, SeriesPartials>,
): Result[] {
  const type = SCALAR[group[0]!.series.type];
  const byWindow = group.map(({ series }) => partials.get(series)!);
  const storageGroup = spec.read.selection.groupBy !== undefined && isStorageWork(spec);
  const results: Result[] = [];
  for (const window of windowsOf(spec, byWindow)) {
    const parts = group.flatMap((series, place) => {
      const partial = byWindow[place]!.get(window.index);
      return partial ? [{ series, partial }] : [];
    });
    if (parts.length > 0) results.push({ window, empty: false, ...join(spec.fn, parts, type, storageGroup) });
    else if (spec.createEmpty) {
      const value = spec.fn.name === 'count' ? 0n : null;
      results.push({ window, value, time: undefined, series: group[0]!, empty: true });
    }
  }
  return results;
}

/** All windows of the range if empty ones are wanted, or those in which the group has rows. */
function windowsOf(
  { read, windows, createEmpty }: AggregateSpec,
  byWindow: readonly SeriesPartials[],
): NumberedWindow[] {
  const { range } = read.selection;
  if (!windows) return [{ ...range, index: 0 }];
  if (createEmpty) return windows.overlapping(range, range);
  const numbers = new Set(byWindow.flatMap((partials) => [...partials.keys()]));
  return [...numbers].sort((a, b) => a - b).map((index) => windows.numbered(index, range));
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
  return { ...joined, value: joinAggregates(fn, values, total, type) };
}

/** @param values what SQL answered for each of the series: see `VALUE_SQL` */
function joinAggregates(fn: Aggregate, values: readonly Partial['value'][], total: number, type: ScalarType): Cell {
  if (fn.name === 'count') return BigInt(total);
  if (fn.name === 'mean') return (values as Cell[]).reduce<number>((sum, value) => sum + Number(value), 0) / total;
  if (fn.name === 'sum' && type === 'float') return (values as number[]).reduce((sum, value) => sum + value);
  if (fn.name === 'sum')
    return wrap(
      (values as bigint[]).reduce((sum, value) => sum + value, 0n),
      type,
    );
  if (fn.name !== 'spread') return fn.compute((values as Cell[][]).flat(), type);
  const pairs = values as readonly (readonly [NonNullable<Cell>, NonNullable<Cell>])[];
  const least = pairs.map(([value]) => value).reduce((a, b) => (b < a ? b : a));
  const greatest = pairs.map(([, value]) => value).reduce((a, b) => (b > a ? b : a));
  return difference(greatest, least, type);
}

function choosePart(fn: Selector, parts: readonly Part[], byTime: boolean): Part {
  const beats = ({ partial: one }: Part, { partial: best }: Part): boolean => {
    if (fn.name === 'min') return (one.value as number) < (best.value as number);
    if (fn.name === 'max') return (one.value as number) > (best.value as number);
    if (fn.name === 'first') return byTime && one.time! < best.time!;
    return !byTime || one.time! >= best.time!;
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
