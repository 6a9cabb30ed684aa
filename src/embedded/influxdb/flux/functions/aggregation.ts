import type { Aggregate, Selector } from '../aggregates.ts';
import * as aggregates from '../aggregates.ts';
import { callError, Fault } from '../errors.ts';
import { type Arguments, Builtin, callFunction } from '../interpreter.ts';
import { planAggregate, planFill, planWindow } from '../planner.ts';
import { mapTables, Stream } from '../stream.ts';
import { constant, type Table } from '../table.ts';
import { Duration, INFINITE } from '../time.ts';
import { type FluxFunction, isRecord, type RecordValue, type Value } from '../values.ts';
import { type Location, Windows } from '../window.ts';
import { filledEmpty } from '../windowing.ts';
import { duplicated } from './columns.ts';
import { collected } from './shared.ts';

/** Aggregates, selectors and windows. */

function aggregate(args: Arguments, fn: Aggregate, name: string): Stream {
  const label = args.value('column', '_value');
  return planAggregate(args.stream(), fn, label, { name, span: args.span }, (step) =>
    withStep(
      step,
      collected(name, args, (table, collector) => {
        const column = table.column(label);
        if (!column) throw new Fault(`column "${label}" does not exist`);
        if (table.key.has(label)) throw new Fault('cannot aggregate columns that are part of the group key');
        const type = fn.resultType(column.type);
        if (!type) throw new Fault(`unsupported aggregate column type ${column.type}`);
        const keys = table.key.columns.map((key) => constant(key.label, key.type, key.value, 1));
        collector.append(table.key, [...keys, { label, type, cells: [fn.compute(column.cells, column.type)] }], 1);
      }),
    ),
  );
}

function select(args: Arguments, fn: Selector, name: string = fn.name): Stream {
  const label = args.value('column', '_value');
  return planAggregate(args.stream(), fn, label, { name, span: args.span }, (step) =>
    withStep(
      step,
      collected(name, args, (table, collector) => {
        const column = table.column(label);
        if (!column) throw new Fault(`no column "${label}" exists`);
        if (!fn.supports(column.type)) throw new Fault(`unsupported selector column type ${column.type}`);
        const row = fn.choose(column.cells);
        collector.add(table.rows(row === undefined ? [] : [row]));
      }),
    ),
  );
}

function withStep(step: Stream['step'], stream: Stream): Stream {
  return new Stream(stream.operation, stream.inputs, (run) => stream.tables(run), stream.bounds, step);
}

const simple = (fn: Aggregate) =>
  new Builtin(`${fn.name}(<-tables: stream, column?: string)`, (args) => aggregate(args, fn, fn.name));
const selecting = (fn: Selector) =>
  new Builtin(`${fn.name}(<-tables: stream, column?: string)`, (args) => select(args, fn));

const stddev = new Builtin('stddev(<-tables: stream, column?: string, mode?: string)', (args) => {
  const mode = args.value('mode', 'sample');
  if (mode !== 'sample' && mode !== 'population')
    throw callError('stddev', args.span, `"${mode}" is not a valid standard deviation mode`);
  return aggregate(args, aggregates.stddev(mode), 'stddev');
});

function quantileOf(args: Arguments, name: 'quantile' | 'median', q: number): Stream {
  const method = args.value('method', 'estimate_tdigest');
  const compression = args.value('compression', 0);
  if (q < 0 || q > 1) throw callError('quantile', args.span, 'quantile must be between 0 and 1');
  if (compression !== 0 && method !== 'estimate_tdigest') {
    throw callError('quantile', args.span, 'compression parameter is only valid for method estimate_tdigest');
  }
  switch (method) {
    case 'estimate_tdigest':
      return aggregate(args, aggregates.estimatedQuantile(q, compression || 1000), name);
    case 'exact_mean':
      return aggregate(args, aggregates.exactQuantile(q), name);
    case 'exact_selector':
      return select(args, quantileSelector(q), name);
    default:
      throw callError('quantile', args.span, `unknown quantile method "${method}"`);
  }
}

/** The row whose value is the first to reach the quantile. */
function quantileSelector(q: number): Selector {
  return {
    name: 'quantile_selector',
    supports: (type) => type !== 'bool',
    choose(cells) {
      const rows = [...cells.keys()].filter((row) => cells[row] !== null);
      rows.sort((a, b) => (cells[a]! < cells[b]! ? -1 : cells[a]! > cells[b]! ? 1 : 0));
      return rows[Math.max(0, Math.ceil(q * rows.length) - 1)];
    },
  };
}

const quantile = new Builtin(
  'quantile(<-tables: stream, column?: string, q: float, compression?: float, method?: string)',
  (args) => quantileOf(args, 'quantile', args.value<number>('q')),
);
const median = new Builtin('median(<-tables: stream, column?: string, compression?: float, method?: string)', (args) =>
  quantileOf(args, 'median', 0.5),
);

// --- windows

function locationOf(args: Arguments): Location {
  const value = args.get<RecordValue>('location') ?? (args.session.globals.get('location') as RecordValue);
  const [zone, offset] = isRecord(value) ? [value.get('zone'), value.get('offset')] : [];
  if (typeof zone !== 'string' || !(offset instanceof Duration)) {
    throw callError('window', args.span, 'expected location to be a record of zone and offset');
  }
  return { zone, offset };
}

function windowsOf(args: Arguments): Windows {
  const zero = new Duration(0, 0n);
  const every = args.value('every', zero);
  const period = args.value('period', zero);
  if (every.isZero && period.isZero) {
    throw callError(
      'window',
      args.span,
      'window function requires at least one of "every" or "period" to be set and non-zero',
    );
  }
  if (every.isNegative) throw callError('window', args.span, 'parameter "every" must be non-negative');
  return new Windows({
    every: every.isZero ? period : every,
    period: period.isZero ? every : period,
    offset: args.value('offset', zero),
    location: locationOf(args),
  });
}

const window = new Builtin(
  'window(<-tables: stream, every?: duration, period?: duration, offset?: duration, location?: record, timeColumn?: string, startColumn?: string, stopColumn?: string, createEmpty?: bool)',
  (args) => {
    const columns = {
      timeColumn: args.value('timeColumn', '_time'),
      startColumn: args.value('startColumn', '_start'),
      stopColumn: args.value('stopColumn', '_stop'),
      createEmpty: args.value('createEmpty', false),
    };
    return planWindow(args.stream(), windowsOf(args), columns, args.span);
  },
);

const aggregateWindow = new Builtin(
  'aggregateWindow(<-tables: stream, every: duration, period?: duration, fn: function, offset?: duration, location?: record, column?: string, timeSrc?: string, timeDst?: string, createEmpty?: bool)',
  (args) => {
    const createEmpty = args.value('createEmpty', true);
    const timeDst = args.value('timeDst', '_time');
    const columns = { timeColumn: '_time', startColumn: '_start', stopColumn: '_stop', createEmpty };
    const windowed = planWindow(args.stream(), windowsOf(args), columns, args.span);
    const fn = args.value<FluxFunction>('fn');
    const piped = fn.parameters.find((parameter) => parameter.piped);
    if (!piped) throw callError('aggregateWindow', args.span, 'fn does not take a pipe argument');
    const fnArgs = new Map<string, Value>([
      [piped.name, windowed],
      ['column', args.value('column', '_value')],
    ]);
    const aggregated = callFunction(fn, fnArgs, args.span, args.session);
    if (!(aggregated instanceof Stream))
      throw callError('aggregateWindow', args.span, 'fn must answer a stream of tables');
    const filled = createEmpty ? fillEmpty(aggregated, args) : aggregated;
    const timed = duplicated(filled, args.value('timeSrc', '_stop'), timeDst, args);
    const infinite = new Windows({
      every: INFINITE,
      period: INFINITE,
      offset: new Duration(0, 0n),
      location: { zone: 'UTC', offset: new Duration(0, 0n) },
    });
    return planWindow(timed, infinite, { ...columns, timeColumn: timeDst, createEmpty: false }, args.span);
  },
);

function fillEmpty(input: Stream, args: Arguments): Stream {
  return planFill(input, (step) =>
    withStep(
      step,
      mapTables('fill', args.span, input, (table: Table) => filledEmpty(table)),
    ),
  );
}

export const aggregations: readonly Builtin[] = [
  simple(aggregates.count),
  simple(aggregates.sum),
  simple(aggregates.mean),
  simple(aggregates.spread),
  selecting(aggregates.selectors.first),
  selecting(aggregates.selectors.last),
  selecting(aggregates.selectors.min),
  selecting(aggregates.selectors.max),
  stddev,
  quantile,
  median,
  window,
  aggregateWindow,
];
