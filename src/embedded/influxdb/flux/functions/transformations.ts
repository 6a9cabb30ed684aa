import { compareCells, type Column, constant, GroupKey, type KeyColumn, keyOfRow, Table, TableCollector } from '../table.ts';
import { type Arguments, Builtin, callFunction, checkArguments, predicateOf, Scope, evaluate } from '../interpreter.ts';
import { callError, FluxError, semanticError } from '../errors.ts';
import type { Expression } from '../ast.ts';
import { planFilter, planGroup, planRange } from '../planner.ts';
import { usesLabels } from '../predicate.ts';
import { Fault, mapTables, Stream, transformed } from '../stream.ts';
import { addDuration, Duration, NANOSECONDS_PER_SECOND } from '../time.ts';
import {
  type Cell,
  type FluxFunction,
  formatCell,
  fromCell,
  isRecord,
  isScalar,
  NULL,
  Null,
  type RecordValue,
  type Scalar,
  type ScalarType,
  Time,
  toCell,
  typeOf,
  type Value,
} from '../values.ts';

/** Transformations that keep, drop, choose, order or regroup what is there. */

/** A table's row as the record that a script's function sees. */
class Row implements RecordValue {
  readonly labels: readonly string[];
  readonly #columns: ReadonlyMap<string, Column>;
  readonly #row: number;

  constructor(labels: readonly string[], columns: ReadonlyMap<string, Column>, row: number) {
    this.labels = labels;
    this.#columns = columns;
    this.#row = row;
  }

  get(label: string): Value | undefined {
    const column = this.#columns.get(label);
    return column && fromCell(column.cells[this.#row] ?? null, column.type);
  }
}

/** The rows of a table as records. */
export function rowsOf(table: Table): (row: number) => RecordValue {
  const labels = table.columns.map(({ label }) => label);
  const columns = new Map(table.columns.map((column) => [column.label, column]));
  return (row) => new Row(labels, columns, row);
}

/** What a function of one parameter answers for a record. */
export function caller(fn: FluxFunction, args: Arguments, parameter: string): (value: Value) => Value {
  checkArguments(fn, [parameter], args.span);
  return (value) => callFunction(fn, new Map([[parameter, value]]), args.span, args.session);
}

// --- range, filter

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

const range = new Builtin('range(<-tables: stream, start: any, stop?: any)', (args) => {
  const start = toTime(args.value('start'), args, 'range');
  const stop = args.get('stop') === undefined ? nowOf(args) : toTime(args.value('stop'), args, 'range');
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
          if (!times) throw new Fault('range error: supplied time column _time doesn\'t exist');
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
  if (!has('_start')) columns.push(bound('_start', start));
  if (!has('_stop')) columns.push(bound('_stop', stop));
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
  if (onEmpty !== 'keep' && onEmpty !== 'drop') {
    throw callError('filter', args.span, `invalid value for parameter \`onEmpty\`: must be "keep" or "drop", got "${onEmpty}"`);
  }
  const inMemory = (input: Stream, rest: readonly Expression[] | undefined) => {
    const holds = predicate(fn, rest, args);
    return mapTables('filter', args.span, input, (table) => {
      const rows = holds(table);
      return rows.length === 0 && onEmpty === 'drop' ? undefined : rows.length === table.length ? table : table.rows(rows);
    });
  };
  if (onEmpty === 'keep') return inMemory(args.stream(), undefined);
  return planFilter(args.stream(), fn, args.session, inMemory);
});

/** The rows for which the function (or, if given, each of these parts of it) is true. */
function predicate(fn: FluxFunction, rest: readonly Expression[] | undefined, args: Arguments): (table: Table) => readonly number[] {
  const parts = predicateOf(fn);
  const call = parts
    ? (row: Value) => {
        const scope = new Scope(parts.scope);
        scope.set(parts.parameter, row);
        return (rest ?? [parts.body]).every((part) => isTrue(evaluate(part, scope, args.session), args));
      }
    : caller(fn, args, 'r');
  return (table) => {
    const row = rowsOf(table);
    const all = [...new Array(table.length).keys()];
    const isOfKey = parts && (rest ?? [parts.body]).every((part) => usesLabels(part, parts.parameter, (label) => table.key.has(label)));
    if (isOfKey) return table.length > 0 && isTrue(call(row(0)), args) ? all : [];
    return all.filter((index) => isTrue(call(row(index)), args));
  };
}

function isTrue(value: Value, args: Arguments): boolean {
  if (typeof value === 'boolean') return value;
  if (value instanceof Null) return false;
  throw semanticError(args.span, `expected bool but found ${typeOf(value)} (argument fn)`);
}

// --- rows

const limit = new Builtin('limit(<-tables: stream, n: int, offset?: int)', (args) => {
  const n = Math.max(0, Number(args.value<bigint>('n')));
  const offset = Math.max(0, Number(args.value('offset', 0n)));
  return mapTables('limit', args.span, args.stream(), (table) => table.slice(offset, offset + n));
});

const tail = new Builtin('tail(<-tables: stream, n: int, offset?: int)', (args) => {
  const n = Math.max(0, Number(args.value<bigint>('n')));
  const offset = Math.max(0, Number(args.value('offset', 0n)));
  return mapTables('tail', args.span, args.stream(), (table) => {
    const end = Math.max(0, table.length - offset);
    return table.slice(Math.max(0, end - n), end);
  });
});

function sorted(input: Stream, columns: readonly string[], desc: boolean, args: Arguments): Stream {
  return mapTables('sort', args.span, input, (table) => {
    const by = columns.filter((label) => !table.key.has(label)).flatMap((label) => table.column(label) ?? []);
    const rows = [...new Array(table.length).keys()].sort((a, b) => {
      for (const { cells } of by) {
        const order = compareCells(cells[a]!, cells[b]!);
        if (order !== 0) return desc ? -order : order;
      }
      return 0;
    });
    return table.rows(rows);
  });
}

const sort = new Builtin('sort(<-tables: stream, columns?: [string], desc?: bool)', (args) =>
  sorted(args.stream(), args.value<readonly string[]>('columns', ['_value']), args.value('desc', false), args),
);

function extremes(name: 'top' | 'bottom', desc: boolean): Builtin {
  return new Builtin(`${name}(<-tables: stream, n: int, columns?: [string])`, (args) => {
    const n = Math.max(0, Number(args.value<bigint>('n')));
    const ordered = sorted(args.stream(), args.value<readonly string[]>('columns', ['_value']), desc, args);
    return mapTables('limit', args.span, ordered, (table) => table.slice(0, n));
  });
}

const distinct = new Builtin('distinct(<-tables: stream, column?: string)', (args) => {
  const label = args.value('column', '_value');
  return collected('distinct', args, (table, collector) => {
    const column = table.column(label);
    const cells = column ? (table.key.has(label) ? column.cells.slice(0, 1) : [...new Set(column.cells)]) : [''];
    const values = table.length === 0 && column && !table.key.has(label) ? [] : cells;
    const keys = table.key.columns
      .filter((key) => key.label !== '_value')
      .map((key) => constant(key.label, key.type, key.value, values.length));
    collector.append(table.key, [...keys, { label: '_value', type: column?.type ?? 'string', cells: values }], values.length);
  });
});

const unique = new Builtin('unique(<-tables: stream, column?: string)', (args) => {
  const label = args.value('column', '_value');
  return collected('unique', args, (table, collector) => {
    const column = table.column(label);
    if (!column) throw new Fault(`no column "${label}" exists`);
    const seen = new Set<Cell>();
    const rows = [...column.cells.keys()].filter((row) => {
      const cell = column.cells[row]!;
      return !seen.has(cell) && seen.add(cell);
    });
    collector.add(table.rows(rows));
  });
});

/** A transformation that collects what it makes of each table, and hands it out in the order of the group keys. */
export function collected(name: string, args: Arguments, visit: (table: Table, collector: TableCollector) => void): Stream {
  return transformed(name, args.span, args.stream(), async function* (tables) {
    const collector = new TableCollector();
    for await (const table of tables) visit(table, collector);
    yield* collector.sorted();
  });
}

// --- columns

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
      if (kept.length > 0) collector.append(new GroupKey(key), kept, table.length);
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
    if (new Set(columns.map(({ label }) => label)).size < columns.length) {
      throw new Fault(`rename error: column "${columns[0]!.label}" already exists`);
    }
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
    const key = table.key.columns.map((one): KeyColumn => (one.label === label ? { label, type: 'string', value } : one));
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

// --- groups

const group = new Builtin('group(<-tables: stream, columns?: [string], mode?: string)', (args) => {
  const columns = args.value<readonly string[]>('columns', []);
  const mode = args.value('mode', 'by');
  if (mode !== 'by' && mode !== 'except') throw callError('group', args.span, `invalid group mode: must be "by" or "except", got "${mode}"`);
  const inMemory = () => grouped(args.stream(), (label) => columns.includes(label) === (mode === 'by'), args);
  return mode === 'by' ? planGroup(args.stream(), columns, inMemory) : inMemory();
});

/** The rows regrouped by the columns that `isKey` picks. */
export function grouped(input: Stream, isKey: (label: string) => boolean, args: Arguments): Stream {
  return transformed('group', args.span, input, async function* (tables) {
    const collector = new TableCollector();
    for await (const table of tables) regroup(table, isKey, collector);
    yield* collector.sorted();
  });
}

/** Hands the rows to the collector by the values of the columns that `isKey` picks. */
export function regroup(table: Table, isKey: (label: string) => boolean, collector: TableCollector): void {
  const wanted = table.columns.filter(({ label }) => isKey(label));
  if (wanted.every(({ label }) => table.key.has(label))) {
    const key = table.key.columns.filter(({ label }) => isKey(label));
    collector.append(new GroupKey(key), table.columns, table.length);
    return;
  }
  const parts = new Map<string, { key: GroupKey; rows: number[] }>();
  for (let row = 0; row < table.length; row++) {
    const key = keyOfRow(table.columns, row, isKey);
    const part = parts.get(key.id);
    if (part) part.rows.push(row);
    else parts.set(key.id, { key, rows: [row] });
  }
  for (const { key, rows } of parts.values()) collector.append(key, table.rows(rows).columns, rows.length);
}

const union = new Builtin('union(tables: array)', (args) => {
  const streams = args.value<readonly Value[]>('tables');
  if (streams.length < 2 || !streams.every((one) => one instanceof Stream)) {
    throw callError('union', args.span, 'union must have at least two streams as input');
  }
  return new Stream('union', streams as Stream[], async function* (run) {
    const collector = new TableCollector();
    for (const stream of streams as Stream[]) for await (const table of stream.tables(run)) collector.add(table);
    yield* collector.sorted();
  });
});

// --- pivot

const pivot = new Builtin('pivot(<-tables: stream, rowKey: [string], columnKey: [string], valueColumn: string)', (args) => {
  const rowKey = args.value<readonly string[]>('rowKey');
  const columnKey = args.value<readonly string[]>('columnKey');
  const valueColumn = args.value<string>('valueColumn');
  for (const label of rowKey) {
    if (columnKey.includes(label)) throw callError('pivot', args.span, `column name found in both rowKey and columnKey: ${label}`);
  }
  if (rowKey.includes(valueColumn)) throw callError('pivot', args.span, `value column name found in rowKey: ${valueColumn}`);
  if (columnKey.includes(valueColumn)) throw callError('pivot', args.span, `value column name found in columnKey: ${valueColumn}`);
  return transformed('pivot', args.span, args.stream(), async function* (tables) {
    const pivoted = new Map<string, Pivot>();
    for await (const table of tables) {
      for (const label of rowKey) {
        if (!table.column(label)) throw new Fault(`specified row key column does not exist in table: ${label}`);
      }
      for (const label of columnKey) {
        if (!table.column(label)) throw new Fault(`specified column does not exist in table: ${label}`);
      }
      const value = table.column(valueColumn);
      if (!value) throw new Fault(`specified value column does not exist in table: ${valueColumn}`);
      const isKept = (label: string) => !columnKey.includes(label) && label !== valueColumn;
      const kept = table.columns.filter(({ label }) => isKept(label) && (table.key.has(label) || rowKey.includes(label)));
      const key = new GroupKey(table.key.columns.filter(({ label }) => isKept(label)));
      let target = pivoted.get(key.id);
      if (!target) pivoted.set(key.id, (target = new Pivot(key, kept)));
      target.add(table, rowKey, columnKey, value, kept);
    }
    const made = [...pivoted.values()].map((one) => one.table());
    yield* made.sort((a, b) => a.key.compare(b.key));
  });
});

/** One output table of a pivot while it grows. */
class Pivot {
  readonly #key: GroupKey;
  readonly #kept: { label: string; type: ScalarType; cells: Cell[] }[];
  readonly #pivoted = new Map<string, { label: string; type: ScalarType; cells: Cell[] }>();
  readonly #rows = new Map<string, number>();

  constructor(key: GroupKey, kept: readonly Column[]) {
    this.#key = key;
    this.#kept = kept.map(({ label, type }) => ({ label, type, cells: [] }));
  }

  add(table: Table, rowKey: readonly string[], columnKey: readonly string[], value: Column, kept: readonly Column[]): void {
    const rowColumns = rowKey.map((label) => table.column(label)!);
    const nameColumns = columnKey.map((label) => table.column(label)!);
    for (let row = 0; row < table.length; row++) {
      const id = rowColumns.map(({ cells }) => String(cells[row])).join('\0');
      const name = nameColumns.map(({ cells, type }) => formatCell(cells[row]!, type)).join('_');
      let at = this.#rows.get(id);
      if (at === undefined) {
        at = this.#rows.size;
        this.#rows.set(id, at);
        kept.forEach(({ cells }, index) => this.#kept[index]!.cells.push(cells[row]!));
      }
      let column = this.#pivoted.get(name);
      if (!column) {
        if (this.#kept.some(({ label }) => label === name)) {
          throw new Fault(`value "${name}" appears in a column key column, but a column named "${name}" already exists; consider renaming "${name}" to something else before pivoting`);
        }
        this.#pivoted.set(name, (column = { label: name, type: value.type, cells: [] }));
      }
      if (column.type !== value.type) {
        throw new Fault(`schema collision detected: column "${name}" is both of type ${value.type} and ${column.type}`);
      }
      column.cells[at] = value.cells[row]!;
    }
  }

  table(): Table {
    const length = this.#rows.size;
    const pivoted = [...this.#pivoted.values()].map(({ label, type, cells }) => ({
      label,
      type,
      cells: Array.from({ length }, (_, row) => cells[row] ?? null),
    }));
    return new Table(this.#key, [...this.#kept, ...pivoted], length);
  }
}

// --- values

const fill = new Builtin('fill(<-tables: stream, column?: string, value?: any, usePrevious?: bool)', (args) => {
  const label = args.value('column', '_value');
  const value = args.get('value');
  const usePrevious = args.value('usePrevious', false);
  if (value === undefined && !usePrevious) throw callError('fill', args.span, 'fill requires either value or usePrevious to be set');
  if (value !== undefined && usePrevious) throw callError('fill', args.span, 'fill requires at most one of value and usePrevious to be set');
  if (value !== undefined && !isScalar(value)) throw callError('fill', args.span, `value type for fill must be a valid primitive type (bool, int, uint, float, string, time). Got "${typeOf(value)}"`);
  return mapTables('fill', args.span, args.stream(), (table) => {
    const column = table.column(label);
    if (value === undefined) return column ? withColumn(table, { ...column, cells: previousFilled(column.cells) }) : table;
    const type = typeOf(value) as ScalarType;
    if (column && column.type !== type) throw new FluxError(`runtime error @${args.span.start.line}:${args.span.start.column}: fill: fill column type mismatch: ${column.type}/${type}`);
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

export function withColumn(table: Table, column: Column): Table {
  const columns = table.column(column.label)
    ? table.columns.map((one) => (one.label === column.label ? column : one))
    : [...table.columns, column];
  return new Table(table.key, columns, table.length);
}

const map = new Builtin('map(<-tables: stream, fn: function, mergeKey?: bool)', (args) => {
  const call = caller(args.value<FluxFunction>('fn'), args, 'r');
  return transformed('map', args.span, args.stream(), async function* (tables) {
    const collector = new TableCollector();
    for await (const table of tables) {
      if (table.length === 0) continue;
      const columns = mappedColumns(table, call, args);
      const length = table.length;
      const isKey = (label: string) => table.key.has(label);
      const mapped = new Table(keyOfRow(columns, 0, isKey), columns, length);
      const same = mapped.key.columns.every(({ label, value }) => mapped.column(label)!.cells.every((cell) => cell === value));
      if (same) collector.add(mapped);
      else regroup(new Table(new GroupKey([]), columns, length), isKey, collector);
    }
    yield* collector.sorted();
  });
});

function mappedColumns(table: Table, call: (value: Value) => Value, args: Arguments): Column[] {
  const row = rowsOf(table);
  const columns = new Map<string, { label: string; type: ScalarType | undefined; cells: Cell[] }>();
  for (let index = 0; index < table.length; index++) {
    const record = call(row(index));
    if (!isRecord(record)) throw semanticError(args.span, `expected record but found ${typeOf(record)} (argument fn)`);
    for (const label of record.labels) {
      const value = record.get(label) ?? NULL;
      if (!isScalar(value)) throw new Fault(`map object property "${label}" is ${typeOf(value)} type which is not supported in a flux table`);
      const type = value instanceof Null ? value.type : (typeOf(value) as ScalarType);
      let column = columns.get(label);
      if (!column) columns.set(label, (column = { label, type, cells: new Array<Cell>(index).fill(null) }));
      column.type ??= type;
      if (type !== undefined && column.type !== type) throw new Fault(`map regroups rows such that column "${label}" would include values of two different data types: ${column.type}, ${type}`);
      column.cells[index] = toCell(value);
    }
  }
  return [...columns.values()].flatMap(({ label, type, cells }) => {
    if (type === undefined) return [];
    while (cells.length < table.length) cells.push(null);
    return [{ label, type, cells }];
  });
}

export const transformations: readonly Builtin[] = [
  range, filter, limit, tail, sort, extremes('top', true), extremes('bottom', false), distinct, unique,
  choosing('keep', true), choosing('drop', false), rename, duplicate, set, keys, group, union, pivot, fill, map,
];
