import type { Series, ValueType } from '../store.ts';
import type { Aggregate, Selector } from './aggregates.ts';
import type { Span } from './ast.ts';
import { FluxError, formatSpan } from './errors.ts';
import { type ChosenSeries, type Read, rowsSql, SCALAR, sameQuery, takeRows } from './source.ts';
import type { Run } from './stream.ts';
import { floorDivide } from './time.ts';
import type { Cell } from './values.ts';
import type { Bounds, NumberedWindow, Windows } from './window.ts';

/** The SQL of windowed aggregates: one row for each series and window comes back. */

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

export const isSelector = (fn: Aggregate | Selector): fn is Selector => 'choose' in fn;
/** What InfluxDB's storage computes; the rest is its query engine's. */
export const STORAGE_FUNCTIONS: ReadonlySet<string> = new Set(['count', 'sum', 'mean', 'min', 'max', 'first', 'last']);

/** What SQL answers for one series and window. */
export interface Partial {
  readonly count: number;
  readonly value: Cell | readonly Cell[];
  readonly time: bigint | undefined;
}

/** By the number of the window. */
export type SeriesPartials = ReadonlyMap<number, Partial>;

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

/** The aggregate of each chosen series that has points, window by window. */
export async function fetchPartials(
  spec: AggregateSpec,
  chosen: readonly ChosenSeries[],
  run: Run,
): Promise<Map<Series, SeriesPartials>> {
  const found = new Map<Series, SeriesPartials>();
  for (const group of sameQuery(chosen)) {
    const rows = await rowsSql(group, spec.read.selection.range, run);
    await assertSupported(spec, group[0]!.series.type, rows, run);
    const sql = await windowSql(spec, rows, run);
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
      if (!byWindow) {
        byWindow = new Map();
        bySeries.set(ids[i]!, byWindow);
      }
      if (windows[i] === null) continue; // in no window, but the series is there
      const value = values[i];
      const cell = isListValue(value) ? value.items : (value as Cell);
      byWindow.set(Number(windows[i]), { count: Number(counts[i]), value: cell, time: times[i] ?? undefined });
    }
    for (const { series } of group) {
      const byWindow = bySeries.get(series.id);
      if (byWindow) found.set(series, byWindow);
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

/** More boundaries than this are compared in SQL rather than looked up. */
const MAX_LOOKUP = 50_000;

/** Rows (series, time, value, w) where w is the number of the window. A row may be in several windows. */
async function windowSql({ read, windows, createEmpty }: AggregateSpec, rows: string, run: Run): Promise<string> {
  const { range } = read.selection;
  const columns = 'SELECT series, time, value';
  if (!windows || windows.isInfinite) return `${columns}, 0 AS w FROM (${rows}) AS p`;
  const { grid } = windows;
  if (grid)
    return `${columns}, ${floorSql(`time - (${grid.zero})`, grid.length, range.start >= grid.zero)} AS w FROM (${rows}) AS p`;
  // A range may begin in 1677: of many windows only those where there is data, unless empty ones are wanted.
  const span = createEmpty || windows.roughCount(range) < MAX_LOOKUP ? range : await dataSpan(rows, run);
  const bounds = span ? windows.overlapping(span, range) : [];
  if (bounds.length === 0) return `${columns}, NULL AS w FROM (${rows}) AS p`;
  const lookup = windows.spec.every.equals(windows.spec.period) ? lookupTable(bounds) : undefined;
  if (lookup) {
    const cell = `(p.time - (${lookup.begin})) // ${lookup.step}`;
    return `${columns}, w FROM (${rows}) AS p JOIN (${lookup.table}) AS l ON ${cell} = l.cell`;
  }
  const list = (side: 'start' | 'stop' | 'index') => `unnest([${bounds.map((one) => one[side]).join(',')}]::BIGINT[])`;
  const table = `SELECT ${list('index')} AS w, ${list('start')} AS start, ${list('stop')} AS stop`;
  // A series none of whose rows is in a window still has its empty windows.
  const join = createEmpty ? 'LEFT JOIN' : 'JOIN';
  return `${columns}, w FROM (${rows}) AS p ${join} (${table}) AS l ON p.time >= l.start AND p.time < l.stop`;
}

function floorSql(dividend: string, divisor: bigint, isPositive: boolean): string {
  const quotient = `(${dividend}) // ${divisor}`;
  return isPositive ? quotient : `${quotient} - CASE WHEN (${dividend}) % ${divisor} < 0 THEN 1 ELSE 0 END`;
}

/**
 * Windows of a time zone or of months differ in length, but all begin a multiple of some step (an hour, say) apart:
 * a table of all steps tells the window of each.
 */
function lookupTable(bounds: readonly NumberedWindow[]): { table: string; begin: bigint; step: bigint } | undefined {
  // The first and the last may be clipped; the second begins where windows begin.
  const [first, second] = bounds;
  if (!first || !second) return undefined;
  const step = bounds.slice(1).reduce((divisor, { start }) => greatestDivisor(divisor, start - second.start), 0n);
  if (step === 0n) return undefined;
  const begin = second.start - step * ceilDivide(second.start - first.start, step);
  if (ceilDivide(bounds.at(-1)!.stop - begin, step) > MAX_LOOKUP) return undefined;
  const numbers: number[] = [];
  for (const { stop, index } of bounds) {
    while (begin + BigInt(numbers.length) * step < stop) numbers.push(index);
  }
  const table = `SELECT unnest([${numbers.join(',')}]) AS w, unnest(range(${numbers.length})) AS cell`;
  return { table, begin, step };
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
