import { callError } from '../errors.ts';
import { type Arguments, Builtin } from '../interpreter.ts';
import { planGroup } from '../planner.ts';
import { type Stream, transformed } from '../stream.ts';
import { GroupKey, keyOfRow, type Table, TableCollector } from '../table.ts';

/** `group`. */

const group = new Builtin('group(<-tables: stream, columns?: [string], mode?: string)', (args) => {
  const columns = args.value<readonly string[]>('columns', []);
  const mode = args.value('mode', 'by');
  if (mode !== 'by' && mode !== 'except')
    throw callError('group', args.span, 'invalid group mode: must be "by" or "except"');
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

export const grouping: readonly Builtin[] = [group];
