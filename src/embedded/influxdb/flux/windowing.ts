import type { Span } from './ast.ts';
import { Fault, FluxError, runtimeError } from './errors.ts';
import { type Stream, type Tables, transformed, type WindowColumns } from './stream.ts';
import { type Column, constant, GroupKey, type KeyColumn, Table, TableCollector } from './table.ts';
import type { Cell } from './values.ts';
import type { Bounds, Windows } from './window.ts';

/** `window` on tables in memory: each table becomes one per window, its bounds part of the group key. */

/**
 * @param timeFirst the last step of an `aggregateWindow` that counts, sums or averages: `_time` and the key go first
 * @throws FluxError if the stream has no bounds
 */
export function cutIntoWindows(
  input: Stream,
  windows: Windows,
  columns: WindowColumns,
  span: Span,
  timeFirst: boolean,
): Stream {
  const { bounds } = input;
  const step = { kind: 'window', windows, columns } as const;
  return transformed(
    'window',
    span,
    input,
    async function* (tables) {
      if (!bounds)
        throw new FluxError(
          'failed to initialize execute state: nil bounds passed to window; use range to set the window range',
        );
      const collected = await collect(tables, windows, columns, bounds, timeFirst);
      yield* collected.sorted().map((table) => (timeFirst ? withTimeFirst(table) : table));
    },
    { step },
  );
}

async function collect(
  tables: Tables,
  windows: Windows,
  { timeColumn, startColumn, stopColumn, createEmpty }: WindowColumns,
  range: Bounds,
  timeFirst: boolean,
): Promise<TableCollector> {
  const collector = new TableCollector();
  const all = createEmpty ? windows.overlapping(range, range) : [];
  for await (const table of tables) {
    const times = table.column(timeColumn);
    if (!times && timeFirst) throw runtimeError(`no time column: ${timeColumn}`);
    if (!times) throw new Fault(`missing time column "${timeColumn}"`);
    const labels = table.columns.map(({ label }) => label);
    for (const label of [startColumn, stopColumn]) if (!labels.includes(label)) labels.push(label);
    const put = (window: Bounds, rows: readonly number[]) => {
      const bound = (label: string) =>
        label === startColumn ? window.start : label === stopColumn ? window.stop : undefined;
      const columns = labels.map((label): Column => {
        const value = bound(label);
        if (value !== undefined) return constant(label, 'time', value, rows.length);
        const { type, cells } = table.column(label)!;
        return { label, type, cells: rows.map((row) => cells[row]!) };
      });
      const key = labels.flatMap((label): KeyColumn[] => {
        const value = bound(label);
        return value !== undefined ? [{ label, type: 'time', value }] : ((table.key.get(label) ?? []) as KeyColumn[]);
      });
      collector.append(new GroupKey(key), columns, rows.length);
    };
    for (const window of all) put(window, []);
    for (const { window, rows } of rowsByWindow(times.cells, windows, range)) put(window, rows);
  }
  return collector;
}

function rowsByWindow(
  times: readonly Cell[],
  windows: Windows,
  range: Bounds,
): Iterable<{ window: Bounds; rows: number[] }> {
  const found = new Map<string, { window: Bounds; rows: number[] }>();
  const tiles = windows.spec.every.equals(windows.spec.period);
  let previous: { window: Bounds; rows: number[] } | undefined;
  times.forEach((cell, row) => {
    if (cell === null) return;
    const t = cell as bigint;
    if (tiles && previous && previous.window.start <= t && t < previous.window.stop) {
      previous.rows.push(row);
      return;
    }
    for (const window of windows.holding(t, range)) {
      const id = `${window.start} ${window.stop}`;
      let entry = found.get(id);
      if (!entry) {
        entry = { window, rows: [] };
        found.set(id, entry);
      }
      entry.rows.push(row);
      previous = entry;
    }
  });
  return found.values();
}

function withTimeFirst(table: Table): Table {
  const time = table.column('_time')!;
  const keys = table.columns.filter(({ label }) => table.key.has(label) && label !== '_time');
  const others = table.columns.filter(({ label }) => !table.key.has(label) && label !== '_time');
  return new Table(table.key, [time, ...keys, ...others], table.length);
}

/** `table.fill`, which `aggregateWindow` ends windows without rows with: one row, null but for the key. */
export function filledEmpty(table: Table): Table {
  if (table.length > 0) return table;
  const columns = table.columns.map(({ label, type }) => constant(label, type, table.key.get(label)?.value ?? null, 1));
  return new Table(table.key, columns, 1);
}
