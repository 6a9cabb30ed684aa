import type { Expression } from '../ast.ts';
import { literalType } from '../check.ts';
import { callError, Fault, semanticError } from '../errors.ts';
import { type Arguments, Builtin, evaluate, predicateOf, Scope } from '../interpreter.ts';
import { planFilter, planRange } from '../planner.ts';
import { usesLabels } from '../predicate.ts';
import { mapTables, type Stream, transformed } from '../stream.ts';
import { constant, GroupKey, type KeyColumn, Table, TableCollector } from '../table.ts';
import { Duration, NANOSECONDS_PER_SECOND } from '../time.ts';
import { type FluxFunction, Null, typeOf, type Value } from '../values.ts';
import { caller, nowOf, Row, toTime } from './shared.ts';

/** `range` and `filter`. */

const MEAN_MONTH = (BigInt(365.25 * 86_400) * NANOSECONDS_PER_SECOND) / 12n;

/** Unlike elsewhere, a month of a relative bound is no calendar month but a twelfth of 365.25 days. */
function rangeBound(value: Value, args: Arguments): bigint {
  if (!(value instanceof Duration)) return toTime(value, args, 'range');
  return nowOf(args) + BigInt(value.months) * MEAN_MONTH + value.nanoseconds;
}

const range = new Builtin('range(<-tables: stream, start: any, stop?: any)', (args) => {
  const start = rangeBound(args.value('start'), args);
  const stop = args.get('stop') === undefined ? nowOf(args) : rangeBound(args.value('stop'), args);
  const bounds = { start, stop };
  return planRange(args.stream(), bounds, () =>
    transformed(
      'range',
      args.span,
      args.stream(),
      async function* (tables) {
        const collector = new TableCollector();
        for await (const table of tables) {
          const times = table.column('_time');
          if (!times) throw new Fault("range error: supplied time column _time doesn't exist");
          if (times.type !== 'time') throw new Fault('range error: provided column _time is not of type time');
          const rows = [...times.cells.keys()].filter((row) => {
            const t = times.cells[row] as bigint | null;
            return t !== null && t >= start && t < stop;
          });
          collector.add(withBounds(table.rows(rows), start, stop));
        }
        yield* collector.sorted();
      },
      { bounds },
    ),
  );
});

function withBounds(table: Table, start: bigint, stop: bigint): Table {
  const bound = (label: string, value: bigint) => constant(label, 'time', value, table.length);
  const has = (label: string) => table.column(label) !== undefined;
  const columns = table.columns.map((column) =>
    column.label === '_start' ? bound('_start', start) : column.label === '_stop' ? bound('_stop', stop) : column,
  );
  if (!has('_stop')) columns.unshift(bound('_stop', stop));
  if (!has('_start')) columns.unshift(bound('_start', start));
  const key = table.key.columns.filter(({ label }) => label !== '_start' && label !== '_stop');
  const bounds: KeyColumn[] = [
    { label: '_start', type: 'time', value: start },
    { label: '_stop', type: 'time', value: stop },
  ];
  return new Table(new GroupKey([...bounds, ...key]), columns, table.length);
}

const filter = new Builtin('filter(<-tables: stream, fn: function, onEmpty?: string)', (args) => {
  const fn = args.value<FluxFunction>('fn');
  const onEmpty = args.value('onEmpty', 'drop');
  const answer = predicateOf(fn)?.body;
  const answerType = answer && literalType(answer);
  if (answerType) throw semanticError(args.span, `expected bool but found ${answerType} for return type (argument fn)`);
  if (onEmpty !== 'keep' && onEmpty !== 'drop') {
    throw callError('filter', args.span, `onEmpty must be keep or drop, was "${onEmpty}"`);
  }
  const inMemory = (input: Stream, rest: readonly Expression[] | undefined) => {
    const holds = predicate(fn, rest, args);
    return mapTables('filter', args.span, input, (table) => {
      const rows = holds(table);
      return rows.length === 0 && onEmpty === 'drop'
        ? undefined
        : rows.length === table.length
          ? table
          : table.rows(rows);
    });
  };
  if (onEmpty === 'keep') return inMemory(args.stream(), undefined);
  return planFilter(args.stream(), fn, args.session, inMemory);
});

/** The rows for which the function (or, if given, each of these parts of it) is true. */
function predicate(
  fn: FluxFunction,
  rest: readonly Expression[] | undefined,
  args: Arguments,
): (table: Table) => readonly number[] {
  const parts = predicateOf(fn);
  const scope = new Scope(parts?.scope);
  const call = parts
    ? (row: Value) => {
        scope.set(parts.parameter, row);
        return (rest ?? [parts.body]).every((part) => isTrue(evaluate(part, scope, args.session), args));
      }
    : caller(fn, args, 'r');
  return (table) => {
    const row = new Row(table);
    const all = [...new Array(table.length).keys()];
    const isOfKey =
      parts &&
      (rest ?? [parts.body]).every((part) => usesLabels(part, parts.parameter, (label) => table.key.has(label)));
    if (isOfKey) return table.length > 0 && isTrue(call(row), args) ? all : [];
    return all.filter((index) => isTrue(call(row.moveTo(index)), args));
  };
}

function isTrue(value: Value, args: Arguments): boolean {
  if (typeof value === 'boolean') return value;
  if (value instanceof Null) return false;
  throw semanticError(args.span, `expected bool but found ${typeOf(value)} (argument fn)`);
}

export const selecting: readonly Builtin[] = [range, filter];
