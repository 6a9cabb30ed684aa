import type { Expression } from '../ast.ts';
import { Fault } from '../errors.ts';
import { Builtin, predicateOf } from '../interpreter.ts';
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
import { byLabel, caller, rowsOf } from './shared.ts';

/** `map`. */

const map = new Builtin('map(<-tables: stream, fn: function, mergeKey?: bool)', (args) => {
  const fn = args.value<FluxFunction>('fn');
  const call = caller(fn, args, 'r');
  const keepsOrder = isVectorized(fn);
  return transformed('map', args.span, args.stream(), async function* (tables) {
    const collector = new TableCollector();
    for await (const table of tables) {
      if (table.length === 0) continue;
      const mappedTo = mappedColumns(table, call);
      const columns = keepsOrder ? mappedTo : byLabel(mappedTo);
      const length = table.length;
      const isKey = (label: string) => table.key.has(label);
      const mapped = new Table(keyOfRow(columns, 0, isKey), columns, length);
      const same = mapped.key.columns.every(({ label, value }) =>
        mapped.column(label)!.cells.every((cell) => cell === value),
      );
      if (same) collector.add(mapped);
      else regroup(new Table(new GroupKey([]), columns, length), isKey, collector);
    }
    yield* collector.sorted();
  });
});

/**
 * InfluxDB has two ways to run a `map`: one works on whole columns and leaves them in their order, the other goes
 * row by row and sorts them by name. Which one it takes depends on what the function is made of.
 */
function isVectorized(fn: FluxFunction): boolean {
  const parts = predicateOf(fn);
  if (parts?.body.kind !== 'record') return false;
  return parts.body.properties.every(({ value }) => isColumnwise(value, parts.parameter));
}

function isColumnwise(expression: Expression, parameter: string): boolean {
  switch (expression.kind) {
    case 'member':
      return expression.object.kind === 'identifier' && expression.object.name === parameter;
    case 'binary':
    case 'logical':
      return isColumnwise(expression.left, parameter) && isColumnwise(expression.right, parameter);
    case 'unary':
      return isColumnwise(expression.argument, parameter);
    case 'conditional':
      return [expression.test, expression.consequent, expression.alternate].every((part) =>
        isColumnwise(part, parameter),
      );
    case 'call':
      return (
        expression.callee.kind === 'identifier' &&
        expression.callee.name === 'float' &&
        expression.args.every(({ value }) => isColumnwise(value, parameter))
      );
    case 'string':
    case 'integer':
    case 'float':
    case 'time':
      return true;
    default:
      return false;
  }
}

function mappedColumns(table: Table, call: (value: Value) => Value): Column[] {
  const row = rowsOf(table);
  const columns = new Map<string, { label: string; type: ScalarType | undefined; cells: Cell[] }>();
  for (let index = 0; index < table.length; index++) {
    const record = call(row(index));
    if (!isRecord(record)) throw new Fault(`map function must return an object, got ${typeOf(record)}`);
    for (const label of record.labels) {
      const value = record.get(label) ?? NULL;
      if (!isScalar(value))
        throw new Fault(
          `map object property "${label}" is ${typeOf(value)} type which is not supported in a flux table`,
        );
      const type = value instanceof Null ? value.type : (typeOf(value) as ScalarType);
      let column = columns.get(label);
      if (!column) columns.set(label, (column = { label, type, cells: new Array<Cell>(index).fill(null) }));
      column.type ??= type;
      if (type !== undefined && column.type !== type)
        throw new Fault(
          `map regroups rows such that column "${label}" would include values of two different data types: ${column.type}, ${type}`,
        );
      column.cells[index] = toCell(value);
    }
  }
  return [...columns.values()].flatMap(({ label, type, cells }) => {
    if (type === undefined) return [];
    while (cells.length < table.length) cells.push(null);
    return [{ label, type, cells }];
  });
}

export const mapping: readonly Builtin[] = [map];
