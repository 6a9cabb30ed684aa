import { Fault } from './errors.ts';
import type { Cell, ScalarType } from './values.ts';

/** Tables as Flux has them: columns of one type each, and a group key, the columns that have one value in all rows. */

export interface Column {
  readonly label: string;
  readonly type: ScalarType;
  readonly cells: readonly Cell[];
}

export interface KeyColumn {
  readonly label: string;
  readonly type: ScalarType;
  readonly value: Cell;
}

const TYPE_ORDER: readonly ScalarType[] = ['bool', 'int', 'uint', 'float', 'string', 'time'];

export class GroupKey {
  readonly columns: readonly KeyColumn[];
  #sorted: readonly KeyColumn[] | undefined;
  #id: string | undefined;

  constructor(columns: readonly KeyColumn[]) {
    this.columns = columns;
  }

  has(label: string): boolean {
    return this.columns.some((column) => column.label === label);
  }

  get(label: string): KeyColumn | undefined {
    return this.columns.find((column) => column.label === label);
  }

  /** Equal keys have equal ids, whatever the order of their columns. */
  get id(): string {
    this.#id ??= JSON.stringify(
      this.sorted.map(({ label, type, value }) => [label, type, value === null ? null : String(value)]),
    );
    return this.#id;
  }

  get sorted(): readonly KeyColumn[] {
    this.#sorted ??= this.columns.toSorted((a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
    return this.#sorted;
  }

  /** The order in which InfluxDB hands out tables that it had to collect. */
  compare(other: GroupKey): number {
    const length = Math.min(this.sorted.length, other.sorted.length);
    for (let i = 0; i < length; i++) {
      const a = this.sorted[i]!;
      const b = other.sorted[i]!;
      if (a.label !== b.label) return a.label > b.label ? -1 : 1;
      if (a.type !== b.type) return TYPE_ORDER.indexOf(a.type) - TYPE_ORDER.indexOf(b.type);
      const order = compareCells(a.value, b.value);
      if (order !== 0) return order;
    }
    return this.sorted.length - other.sorted.length;
  }
}

export class Table {
  readonly key: GroupKey;
  readonly columns: readonly Column[];
  readonly length: number;

  constructor(key: GroupKey, columns: readonly Column[], length = columns[0]?.cells.length ?? 0) {
    this.key = key;
    this.columns = columns;
    this.length = length;
  }

  column(label: string): Column | undefined {
    return this.columns.find((column) => column.label === label);
  }

  /** The rows of these numbers, in this order. */
  rows(indices: readonly number[]): Table {
    return new Table(
      this.key,
      this.columns.map(({ label, type, cells }) => ({ label, type, cells: indices.map((index) => cells[index]!) })),
      indices.length,
    );
  }

  slice(from: number, to: number): Table {
    if (from <= 0 && to >= this.length) return this;
    const columns = this.columns.map(({ label, type, cells }) => ({ label, type, cells: cells.slice(from, to) }));
    return new Table(this.key, columns, Math.max(0, Math.min(to, this.length) - Math.max(0, from)));
  }
}

/** Nulls first, then by value; false before true. */
export function compareCells(a: Cell, b: Cell): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

export function constant(label: string, type: ScalarType, cell: Cell, length: number): Column {
  return { label, type, cells: new Array<Cell>(length).fill(cell) };
}

/** The key made of those of the columns whose labels `isKey` picks, with the values of row `row`. */
export function keyOfRow(columns: readonly Column[], row: number, isKey: (label: string) => boolean): GroupKey {
  const key: KeyColumn[] = [];
  for (const { label, type, cells } of columns) if (isKey(label)) key.push({ label, type, value: cells[row] ?? null });
  return new GroupKey(key);
}

interface Part {
  readonly columns: readonly Column[];
  readonly length: number;
}

/** Collects rows into tables by group key; a column that a part lacks is null there. */
export class TableCollector {
  readonly #tables = new Map<string, { key: GroupKey; parts: Part[]; types: Map<string, ScalarType> }>();

  /** @throws Fault if a column is there already with another type */
  append(key: GroupKey, columns: readonly Column[], length: number): void {
    let table = this.#tables.get(key.id);
    if (!table) {
      table = { key, parts: [], types: new Map() };
      this.#tables.set(key.id, table);
    }
    for (const { label, type } of columns) {
      const known = table.types.get(label) ?? type;
      if (known !== type)
        throw new Fault(`schema collision detected: column "${label}" is both of type ${type} and ${known}`);
      table.types.set(label, type);
    }
    table.parts.push({ columns, length });
  }

  add(table: Table): void {
    this.append(table.key, table.columns, table.length);
  }

  /** In the order of their keys, as InfluxDB's collecting transformations have it. */
  sorted(): Table[] {
    return [...this.#tables.values()]
      .sort((a, b) => a.key.compare(b.key))
      .map(({ key, parts, types }) => {
        const [only, ...more] = parts;
        if (only && more.length === 0) return new Table(key, only.columns, only.length);
        const columns = [...types].map(([label, type]) => ({ label, type, cells: joined(label, parts) }));
        return new Table(
          key,
          columns,
          columns.length === 0 ? 0 : parts.reduce((total, { length }) => total + length, 0),
        );
      });
  }
}

function joined(label: string, parts: readonly Part[]): Cell[] {
  const all: Cell[] = [];
  for (const { columns, length } of parts) {
    const cells = columns.find((column) => column.label === label)?.cells;
    for (let row = 0; row < length; row++) all.push(cells?.[row] ?? null);
  }
  return all;
}
