import { callError, semanticError } from '../errors.ts';
import { type Arguments, callFunction, checkArguments } from '../interpreter.ts';
import { type Stream, transformed } from '../stream.ts';
import { type Column, Table, TableCollector } from '../table.ts';
import { addDuration, Duration, NANOSECONDS_PER_SECOND } from '../time.ts';
import { type FluxFunction, fromCell, type RecordValue, Time, typeOf, type Value } from '../values.ts';

/** What the transformations share: rows as records, calls of functions given as arguments, times. */

/** A table's row as the record that a script's function sees: one object, moved from row to row. */
export class Row implements RecordValue {
  readonly labels: readonly string[];
  readonly #columns: ReadonlyMap<string, Column>;
  #row = 0;

  constructor(table: Table) {
    this.labels = table.columns.map(({ label }) => label);
    this.#columns = new Map(table.columns.map((column) => [column.label, column]));
  }

  moveTo(row: number): this {
    this.#row = row;
    return this;
  }

  get(label: string): Value | undefined {
    const column = this.#columns.get(label);
    return column && fromCell(column.cells[this.#row] ?? null, column.type);
  }
}

/** What a function of one parameter answers for a record. */
export function caller(fn: FluxFunction, args: Arguments, parameter: string): (value: Value) => Value {
  checkArguments(fn, [parameter], args.span);
  return (value) => callFunction(fn, new Map([[parameter, value]]), args.span, args.session);
}

/** A time, or a duration from now, or an int: seconds since 1970. */
export function toTime(value: Value, args: Arguments, name: string): bigint {
  if (value instanceof Time) return value.nanoseconds;
  if (value instanceof Duration) return addDuration(nowOf(args), value);
  if (typeof value === 'bigint') return value * NANOSECONDS_PER_SECOND;
  throw callError(name, args.span, `value is not a time, got ${typeOf(value)}`);
}

/** The script's `now()`, which `option now` may have set. */
export function nowOf({ session, span }: Arguments): bigint {
  const value = callFunction(session.globals.get('now') as FluxFunction, new Map(), span, session);
  if (!(value instanceof Time)) throw semanticError(span, `expected time but found ${typeOf(value)}`);
  return value.nanoseconds;
}

/** A transformation that collects what it makes of each table, and hands it out in the order of the group keys. */
export function collected(
  name: string,
  args: Arguments,
  visit: (table: Table, collector: TableCollector) => void,
): Stream {
  return transformed(name, args.span, args.stream(), async function* (tables) {
    const collector = new TableCollector();
    for await (const table of tables) visit(table, collector);
    yield* collector.sorted();
  });
}

export function withColumn(table: Table, column: Column): Table {
  const columns = table.column(column.label)
    ? table.columns.map((one) => (one.label === column.label ? column : one))
    : [...table.columns, column];
  return new Table(table.key, columns, table.length);
}

export function byLabel<T extends { readonly label: string }>(columns: readonly T[]): T[] {
  return columns.toSorted((a, b) => (a.label < b.label ? -1 : 1));
}
