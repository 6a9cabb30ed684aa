import { callError, Fault } from '../errors.ts';
import { Builtin } from '../interpreter.ts';
import { transformed } from '../stream.ts';
import { type Column, GroupKey, Table } from '../table.ts';
import { type Cell, formatCell, type ScalarType } from '../values.ts';

/** `pivot`: rows that differ in a column become columns of one row. */

const pivot = new Builtin(
  'pivot(<-tables: stream, rowKey: [string], columnKey: [string], valueColumn: string)',
  (args) => {
    const rowKey = args.value<readonly string[]>('rowKey');
    const columnKey = args.value<readonly string[]>('columnKey');
    const valueColumn = args.value<string>('valueColumn');
    for (const label of rowKey) {
      if (columnKey.includes(label))
        throw callError('pivot', args.span, `column name found in both rowKey and colKey: ${label}`);
    }
    if (rowKey.includes(valueColumn))
      throw callError('pivot', args.span, `value column name found in rowKey: ${valueColumn}`);
    if (columnKey.includes(valueColumn))
      throw callError('pivot', args.span, `value column name found in columnKey: ${valueColumn}`);
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
        const kept = table.columns.filter(
          ({ label }) => isKept(label) && (table.key.has(label) || rowKey.includes(label)),
        );
        const key = new GroupKey(table.key.columns.filter(({ label }) => isKept(label)));
        let target = pivoted.get(key.id);
        if (!target) {
          target = new Pivot(key, kept);
          pivoted.set(key.id, target);
        }
        target.add(table, rowKey, columnKey, value, kept);
      }
      const made = [...pivoted.values()].map((one) => one.table());
      yield* made.sort((a, b) => a.key.compare(b.key));
    });
  },
);

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

  add(
    table: Table,
    rowKey: readonly string[],
    columnKey: readonly string[],
    value: Column,
    kept: readonly Column[],
  ): void {
    const rowColumns = rowKey.map((label) => table.column(label)!);
    const nameColumns = columnKey.map((label) => table.column(label)!);
    for (let row = 0; row < table.length; row++) {
      const id = rowColumns.map(({ cells }) => String(cells[row])).join('\0');
      const name = nameColumns.map(({ cells, type }) => formatCell(cells[row]!, type)).join('_');
      let at = this.#rows.get(id);
      if (at === undefined) {
        at = this.#rows.size;
        this.#rows.set(id, at);
        for (const [index, { cells }] of kept.entries()) this.#kept[index]!.cells.push(cells[row]!);
      }
      let column = this.#pivoted.get(name);
      if (!column) {
        if (this.#kept.some(({ label }) => label === name)) {
          throw new Fault(
            `value "${name}" appears in a column key column, but a column named "${name}" already exists; consider renaming "${name}" to something else before pivoting`,
          );
        }
        column = { label: name, type: value.type, cells: [] };
        this.#pivoted.set(name, column);
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

export const pivoting: readonly Builtin[] = [pivot];
