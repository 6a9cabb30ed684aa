import { Fault } from '../errors.ts';
import { type Arguments, Builtin } from '../interpreter.ts';
import { mapTables, type Stream } from '../stream.ts';
import { compareCells, constant } from '../table.ts';
import type { Cell } from '../values.ts';
import { collected } from './shared.ts';

/** Transformations that order rows and choose among them. */

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
    collector.append(
      table.key,
      [...keys, { label: '_value', type: column?.type ?? 'string', cells: values }],
      values.length,
    );
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

export const rows: readonly Builtin[] = [
  limit,
  tail,
  sort,
  extremes('top', true),
  extremes('bottom', false),
  distinct,
  unique,
];
