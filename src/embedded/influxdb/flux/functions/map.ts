import { childrenOf, type Expression } from '../ast.ts';
import { Fault } from '../errors.ts';
import { Builtin, evaluate, predicateOf, Scope, type Session } from '../interpreter.ts';
import { transformed } from '../stream.ts';
import { type Column, GroupKey, keyOfRow, Table, TableCollector } from '../table.ts';
import {
  type Cell,
  type FluxFunction,
  isRecord,
  isScalar,
  NULL,
  Null,
  type ScalarType,
  toCell,
  typeOf,
  type Value,
} from '../values.ts';
import { regroup } from './grouping.ts';
import { byLabel, caller, Row } from './shared.ts';

/** `map`. */

const map = new Builtin('map(<-tables: stream, fn: function, mergeKey?: bool)', (args) => {
  const fn = args.value<FluxFunction>('fn');
  const call = caller(fn, args, 'r');
  const body = predicateOf(fn);
  const keepsOrder = isVectorized(body);
  return transformed('map', args.span, args.stream(), async function* (tables) {
    const collector = new TableCollector();
    for await (const table of tables) {
      if (table.length === 0) continue;
      const made = recordColumns(table, body, args.session) ?? mappedColumns(table, call);
      const columns = keepsOrder ? made : byLabel(made);
      const isKey = (label: string) => table.key.has(label);
      const mapped = new Table(keyOfRow(columns, 0, isKey), columns, table.length);
      const same = mapped.key.columns.every(({ label, value }) => isConstant(table, mapped.column(label)!, value));
      if (same) collector.add(mapped);
      else regroup(new Table(new GroupKey([]), columns, table.length), isKey, collector);
    }
    yield* collector.sorted();
  });
});

function isConstant(table: Table, column: Column, value: Cell): boolean {
  return table.column(column.label)?.cells === column.cells || column.cells.every((cell) => cell === value);
}

/**
 * InfluxDB has two ways to run a `map`: one works on whole columns and leaves them in their order, the other goes
 * row by row and sorts them by name. Which one it takes depends on what the function is made of.
 */
function isVectorized(fn: ReturnType<typeof predicateOf>): boolean {
  return fn?.body.kind === 'record' && fn.body.properties.every(({ value }) => isColumnwise(value, fn.parameter));
}

const COLUMNWISE = new Set<Expression['kind']>([
  'binary',
  'logical',
  'unary',
  'conditional',
  'string',
  'integer',
  'float',
  'time',
]);

function isColumnwise(expression: Expression, parameter: string): boolean {
  if (expression.kind === 'member') return isParameter(expression.object, parameter);
  if (expression.kind === 'call') {
    const { callee, args } = expression;
    return (
      callee.kind === 'identifier' &&
      callee.name === 'float' &&
      args.every(({ value }) => isColumnwise(value, parameter))
    );
  }
  return COLUMNWISE.has(expression.kind) && childrenOf(expression).every((child) => isColumnwise(child, parameter));
}

/** The usual `(r) => ({r with a: …})`, column by column: what it takes over from `r` is not touched. */
function recordColumns(
  table: Table,
  fn: ReturnType<typeof predicateOf>,
  session: Session,
): readonly Column[] | undefined {
  if (fn?.body.kind !== 'record') return undefined;
  const { parameter, body } = fn;
  if (body.with && !isParameter(body.with, parameter)) return undefined;
  const columns = new Map<string, Column>(body.with ? table.columns.map((column) => [column.label, column]) : []);
  const row = new Row(table);
  const scope = new Scope(fn.scope);
  scope.set(parameter, row);
  for (const { key, value } of body.properties) {
    const taken =
      value.kind === 'member' && isParameter(value.object, parameter) ? table.column(value.property) : undefined;
    const made = taken ? { ...taken, label: key } : new GrowingColumn(key);
    if (made instanceof GrowingColumn) {
      for (let index = 0; index < table.length; index++) {
        row.moveTo(index);
        made.set(index, evaluate(value, scope, session));
      }
    }
    const column = made instanceof GrowingColumn ? made.finished(table.length) : made;
    if (column) columns.set(key, column);
    else columns.delete(key);
  }
  return [...columns.values()];
}

function isParameter(expression: Expression, parameter: string): boolean {
  return expression.kind === 'identifier' && expression.name === parameter;
}

/** Any other function, record by record. */
function mappedColumns(table: Table, call: (value: Value) => Value): readonly Column[] {
  const row = new Row(table);
  const columns = new Map<string, GrowingColumn>();
  for (let index = 0; index < table.length; index++) {
    const record = call(row.moveTo(index));
    if (!isRecord(record)) throw new Fault(`map function must return an object, got ${typeOf(record)}`);
    for (const label of record.labels) {
      let column = columns.get(label);
      if (!column) {
        column = new GrowingColumn(label);
        columns.set(label, column);
      }
      column.set(index, record.get(label) ?? NULL);
    }
  }
  return [...columns.values()].flatMap((column) => column.finished(table.length) ?? []);
}

/** A column whose type shows with its first value. */
class GrowingColumn {
  readonly #label: string;
  readonly #cells: Cell[] = [];
  #type: ScalarType | undefined;

  constructor(label: string) {
    this.#label = label;
  }

  set(row: number, value: Value): void {
    if (!isScalar(value)) {
      throw new Fault(
        `map object property "${this.#label}" is ${typeOf(value)} type which is not supported in a flux table`,
      );
    }
    const type = value instanceof Null ? value.type : (typeOf(value) as ScalarType);
    this.#type ??= type;
    if (type !== undefined && type !== this.#type) {
      throw new Fault(
        `map regroups rows such that column "${this.#label}" would include values of two different data types: ${this.#type}, ${type}`,
      );
    }
    while (this.#cells.length < row) this.#cells.push(null);
    this.#cells.push(toCell(value));
  }

  /** None if no value was more than an untyped null. */
  finished(length: number): Column | undefined {
    while (this.#cells.length < length) this.#cells.push(null);
    return this.#type && { label: this.#label, type: this.#type, cells: this.#cells };
  }
}

export const mapping: readonly Builtin[] = [map];
