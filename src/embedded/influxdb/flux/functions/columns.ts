import { callError, Fault, semanticError } from '../errors.ts';
import { type Arguments, Builtin } from '../interpreter.ts';
import { mapTables, type Stream, transformed } from '../stream.ts';
import { constant, GroupKey, type KeyColumn, Table, TableCollector } from '../table.ts';
import {
  type Cell,
  type FluxFunction,
  isScalar,
  type RecordValue,
  type Scalar,
  type ScalarType,
  toCell,
  typeOf,
} from '../values.ts';
import { caller, collected, withColumn } from './shared.ts';

/** Transformations of columns. */

/** `keep` and `drop`: by name, or by a function of the name. */
function choosing(name: 'keep' | 'drop', keeps: boolean): Builtin {
  return new Builtin(`${name}(<-tables: stream, columns?: [string], fn?: function)`, (args) => {
    const columns = args.get<readonly string[]>('columns');
    const fn = args.get<FluxFunction>('fn');
    if ((columns === undefined) === (fn === undefined)) {
      throw callError(name, args.span, `${name} error: neither column list nor predicate function provided`);
    }
    const call = fn && caller(fn, args, 'column');
    const isNamed = (label: string) => (call ? call(label) === true : columns!.includes(label));
    return collected(name, args, (table, collector) => {
      const kept = table.columns.filter(({ label }) => isNamed(label) === keeps);
      const key = table.key.columns.filter(({ label }) => isNamed(label) === keeps);
      collector.append(new GroupKey(key), kept, kept.length > 0 ? table.length : 0);
    });
  });
}

const rename = new Builtin('rename(<-tables: stream, columns?: record, fn?: function)', (args) => {
  const names = args.get<RecordValue>('columns');
  const fn = args.get<FluxFunction>('fn');
  if ((names === undefined) === (fn === undefined)) {
    throw callError('rename', args.span, 'rename error: neither map nor function provided');
  }
  const call = fn && caller(fn, args, 'column');
  const renamed = (label: string): string => {
    const name = call ? call(label) : (names!.get(label) ?? label);
    if (typeof name !== 'string') throw semanticError(args.span, `expected string but found ${typeOf(name)}`);
    return name;
  };
  return collected('rename', args, (table, collector) => {
    for (const label of names?.labels ?? []) {
      if (!table.column(label)) throw new Fault(`rename error: column "${label}" doesn't exist`);
    }
    const columns = table.columns.map((column) => ({ ...column, label: renamed(column.label) }));
    columns.forEach(({ label }, index) => {
      const first = columns.findIndex((column) => column.label === label);
      if (first < index)
        throw new Fault(`column ${first} and ${index} have the same name ("${label}") which is not allowed`);
    });
    const key = table.key.columns.map((column) => ({ ...column, label: renamed(column.label) }));
    collector.append(new GroupKey(key), columns, table.length);
  });
});

const duplicate = new Builtin('duplicate(<-tables: stream, column: string, as: string)', (args) =>
  duplicated(args.stream(), args.value<string>('column'), args.value<string>('as'), args),
);

/** A copy of a column under another name, replacing one of that name. */
export function duplicated(input: Stream, column: string, as: string, args: Arguments): Stream {
  const step = { kind: 'duplicate', column, as } as const;
  const apply = async function* (tables: AsyncIterable<Table> | Iterable<Table>) {
    const collector = new TableCollector();
    for await (const table of tables) {
      const from = table.column(column);
      if (!from) throw new Fault(`duplicate error: column "${column}" doesn't exist`);
      const copy = { ...from, label: as };
      const columns = table.column(as)
        ? table.columns.map((one) => (one.label === as ? copy : one))
        : [...table.columns, copy];
      const source = table.key.get(column);
      const key = table.key.columns.flatMap((one): KeyColumn[] => {
        if (one.label !== as) return [one];
        return source ? [{ ...source, label: as }] : [];
      });
      collector.append(new GroupKey(key), columns, table.length);
    }
    yield* collector.sorted();
  };
  return transformed('duplicate', args.span, input, apply, { step });
}

const set = new Builtin('set(<-tables: stream, key: string, value: string)', (args) => {
  const [label, value] = [args.value<string>('key'), args.value<string>('value')];
  return collected('set', args, (table, collector) => {
    const column = constant(label, 'string', value, table.length);
    const columns = table.column(label)
      ? table.columns.map((one) => (one.label === label ? column : one))
      : [...table.columns, column];
    const key = table.key.columns.map(
      (one): KeyColumn => (one.label === label ? { label, type: 'string', value } : one),
    );
    collector.append(new GroupKey(key), columns, table.length);
  });
});

const keys = new Builtin('keys(<-tables: stream, column?: string)', (args) => {
  const label = args.value('column', '_value');
  return collected('keys', args, (table, collector) => {
    const names = table.key.columns.map((key) => key.label);
    const columns = table.key.columns
      .filter((key) => key.label !== label)
      .map((key) => constant(key.label, key.type, key.value, names.length));
    collector.append(table.key, [...columns, { label, type: 'string', cells: names }], names.length);
  });
});

const fill = new Builtin('fill(<-tables: stream, column?: string, value?: any, usePrevious?: bool)', (args) => {
  const label = args.value('column', '_value');
  const value = args.get('value');
  const usePrevious = args.value('usePrevious', false);
  if ((value === undefined) !== usePrevious)
    throw callError('fill', args.span, 'fill requires exactly one of value or usePrevious');
  if (value !== undefined && !isScalar(value))
    throw callError(
      'fill',
      args.span,
      `value type for fill must be a valid primitive type (bool, int, uint, float, string, time). Got "${typeOf(value)}"`,
    );
  return mapTables('fill', args.span, args.stream(), (table) => {
    const column = table.column(label);
    if (value === undefined)
      return column ? withColumn(table, { ...column, cells: previousFilled(column.cells) }) : table;
    const type = typeOf(value) as ScalarType;
    if (column && column.type !== type) throw new Fault(`fill column type mismatch: ${column.type}/${type}`);
    const key = table.key.get(label);
    if (key && key.value !== null) return table;
    const cell = toCell(value as Scalar);
    const cells = column ? column.cells.map((one) => one ?? cell) : new Array<Cell>(table.length).fill(cell);
    const filled = withColumn(table, { label, type, cells });
    if (!key) return filled;
    const newKey = table.key.columns.map((one) => (one.label === label ? { ...one, value: cell } : one));
    return new Table(new GroupKey(newKey), filled.columns, filled.length);
  });
});

function previousFilled(cells: readonly Cell[]): Cell[] {
  let previous: Cell = null;
  return cells.map((cell) => (previous = cell ?? previous));
}

export const columns: readonly Builtin[] = [
  choosing('keep', true),
  choosing('drop', false),
  rename,
  duplicate,
  set,
  keys,
  fill,
];
