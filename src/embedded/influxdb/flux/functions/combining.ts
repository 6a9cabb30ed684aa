import { callError } from '../errors.ts';
import { Builtin } from '../interpreter.ts';
import { located, type Run, Stream } from '../stream.ts';
import { type Column, GroupKey, type Table, TableCollector } from '../table.ts';
import type { RecordValue, Value } from '../values.ts';

/** `union` and `join`: one stream of two or more. */

const union = new Builtin('union(tables: array)', (args) => {
  const streams = args.value<readonly Value[]>('tables');
  if (streams.length < 2 || !streams.every((one) => one instanceof Stream)) {
    throw callError('union', args.span, 'union must have at least two streams as input');
  }
  const inputs = streams as readonly Stream[];
  const collect = async function* (run: Run) {
    const collector = new TableCollector();
    for (const stream of inputs) for await (const table of stream.tables(run)) collector.add(table);
    yield* collector.sorted();
  };
  const kind = { status: 500, code: 'internal error' };
  return new Stream('union', inputs, (run) => located('union', args.span, () => collect(run), kind));
});

/** Inner join: rows of two streams that agree in the `on` columns. Other columns of one name get the stream's name too. */
const join = new Builtin('join(tables: record, on?: [string], method?: string)', (args) => {
  const record = args.value<RecordValue>('tables');
  const on = args.value<readonly string[]>('on', []);
  if (args.value('method', 'inner') !== 'inner')
    throw callError('join', args.span, 'only the inner method is supported');
  const [left, right] = record.labels.toSorted().map((name) => ({ name, stream: record.get(name) }));
  if (!(left?.stream instanceof Stream) || !(right?.stream instanceof Stream) || record.labels.length !== 2) {
    throw callError('join', args.span, 'join must have exactly two streams as input');
  }
  const [a, b] = [left.stream, right.stream];
  return new Stream('join', [a, b], async function* (run) {
    const collector = new TableCollector();
    const rightTables: Table[] = [];
    for await (const table of b.tables(run)) rightTables.push(table);
    for await (const table of a.tables(run)) {
      for (const other of rightTables)
        joinTables({ name: left.name, table }, { name: right.name, table: other }, on, collector);
    }
    yield* collector.sorted();
  });
});

interface Side {
  readonly name: string;
  readonly table: Table;
}

function joinTables(left: Side, right: Side, on: readonly string[], collector: TableCollector): void {
  const onColumns = ({ table }: Side) => on.map((label) => table.column(label));
  const [leftOn, rightOn] = [onColumns(left), onColumns(right)];
  if ([...leftOn, ...rightOn].includes(undefined)) return;
  const idOf = (columns: readonly (Column | undefined)[], row: number) =>
    JSON.stringify(columns.map((column) => String(column!.cells[row])));
  const matches = new Map<string, number[]>();
  for (let row = 0; row < right.table.length; row++) {
    const id = idOf(rightOn, row);
    const rows = matches.get(id);
    if (rows) rows.push(row);
    else matches.set(id, [row]);
  }
  const pairs: [number, number][] = [];
  for (let row = 0; row < left.table.length; row++) {
    for (const match of matches.get(idOf(leftOn, row)) ?? []) pairs.push([row, match]);
  }
  if (pairs.length === 0) return;
  const named = (side: Side, other: Side) => (label: string) =>
    !on.includes(label) && other.table.column(label) ? `${label}_${side.name}` : label;
  const [leftName, rightName] = [named(left, right), named(right, left)];
  const columns = [
    ...left.table.columns.map(({ label, type, cells }) => ({
      label: leftName(label),
      type,
      cells: pairs.map(([row]) => cells[row]!),
    })),
    ...right.table.columns
      .filter(({ label }) => !on.includes(label))
      .map(({ label, type, cells }) => ({ label: rightName(label), type, cells: pairs.map(([, row]) => cells[row]!) })),
  ].sort((one, two) => (one.label < two.label ? -1 : 1));
  const key = [
    ...left.table.key.columns.map((column) => ({ ...column, label: leftName(column.label) })),
    ...right.table.key.columns
      .filter(({ label }) => !on.includes(label))
      .map((column) => ({ ...column, label: rightName(column.label) })),
  ].sort((one, two) => (one.label < two.label ? -1 : 1));
  collector.append(new GroupKey(key), columns, pairs.length);
}

export const combining: readonly Builtin[] = [union, join];
