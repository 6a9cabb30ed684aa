import { difference as subtract, wrap } from '../aggregates.ts';
import { Fault } from '../errors.ts';
import { type Arguments, Builtin } from '../interpreter.ts';
import { mapTables, type Stream } from '../stream.ts';
import { type Column, GroupKey, Table } from '../table.ts';
import { addDuration, Duration, NANOSECONDS_PER_SECOND } from '../time.ts';
import type { Cell, ScalarType } from '../values.ts';
import { withColumn } from './shared.ts';

/** Transformations of a row by those before it. */

const ONE_SECOND = new Duration(0, NANOSECONDS_PER_SECOND);
const isNumeric = (type: ScalarType) => type === 'float' || type === 'int' || type === 'uint';

const cumulativeSum = new Builtin('cumulativeSum(<-tables: stream, columns?: [string])', (args) => {
  const labels = args.value<readonly string[]>('columns', ['_value']);
  return mapTables('cumulativeSum', args.span, args.stream(), (table) => {
    const columns = table.columns.map((column): Column => {
      if (!labels.includes(column.label)) return column;
      if (!isNumeric(column.type)) throw new Fault(`unsupported column type ${column.type} for cumulative sum`);
      let total: number | bigint = column.type === 'float' ? 0 : 0n;
      const cells = column.cells.map((cell): Cell => {
        if (cell === null) return null;
        total =
          column.type === 'float'
            ? (total as number) + (cell as number)
            : wrap((total as bigint) + (cell as bigint), column.type);
        return total;
      });
      return { ...column, cells };
    });
    return new Table(table.key, columns, table.length);
  });
});

const difference = new Builtin(
  'difference(<-tables: stream, nonNegative?: bool, columns?: [string], keepFirst?: bool, initialZero?: bool)',
  (args) => {
    const labels = args.value<readonly string[]>('columns', ['_value']);
    const nonNegative = args.value('nonNegative', false);
    const keepFirst = args.value('keepFirst', false);
    const initialZero = args.value('initialZero', false);
    return mapTables('difference', args.span, args.stream(), (table) => {
      const columns = table.columns.map((column): Column => {
        if (!labels.includes(column.label)) return column;
        if (!isNumeric(column.type))
          throw new Fault(`difference does not support column "${column.label}" of type "${column.type}"`);
        const type = column.type === 'uint' ? 'int' : column.type;
        let previous: NonNullable<Cell> | undefined;
        const cells = column.cells.map((cell): Cell => {
          if (cell === null) return null;
          const before = previous;
          previous = cell;
          if (before === undefined) return null;
          if (nonNegative && cell < before) return initialZero ? wrapped(cell, type) : null;
          return subtract(cell, before, type);
        });
        return { label: column.label, type, cells };
      });
      const changed = new Table(table.key, columns, table.length);
      return keepFirst ? changed : changed.slice(1, changed.length);
    });
  },
);

function wrapped(cell: NonNullable<Cell>, type: ScalarType): Cell {
  return typeof cell === 'bigint' ? wrap(cell, type) : cell;
}

const derivative = new Builtin(
  'derivative(<-tables: stream, unit?: duration, nonNegative?: bool, columns?: [string], timeColumn?: string, initialZero?: bool)',
  (args) => {
    const labels = args.value<readonly string[]>('columns', ['_value']);
    const unit = Number(args.value('unit', ONE_SECOND).nanoseconds);
    const nonNegative = args.value('nonNegative', false);
    const initialZero = args.value('initialZero', false);
    return mapTables('derivative', args.span, args.stream(), (table) => {
      const times = timesOf(table, args.value('timeColumn', '_time'));
      const columns = table.columns.map((column): Column => {
        if (!labels.includes(column.label)) return column;
        if (!isNumeric(column.type)) throw new Fault(`unsupported derivative column type ${column.type}`);
        let previous: { value: number; time: bigint } | undefined;
        const cells = column.cells.map((cell, row): Cell => {
          const time = times[row]!;
          if (cell === null) return null;
          const before = previous;
          previous = { value: Number(cell), time };
          if (before === undefined) return null;
          const elapsed = Number(time - before.time) / unit;
          if (nonNegative && Number(cell) < before.value) return initialZero ? Number(cell) / elapsed : null;
          return (Number(cell) - before.value) / elapsed;
        });
        return { label: column.label, type: 'float', cells };
      });
      const changed = new Table(table.key, columns, table.length);
      return changed.slice(1, changed.length);
    });
  },
);

const elapsed = new Builtin(
  'elapsed(<-tables: stream, unit?: duration, timeColumn?: string, columnName?: string)',
  (args) => {
    const unit = args.value('unit', ONE_SECOND).nanoseconds;
    return mapTables('elapsed', args.span, args.stream(), (table) => {
      const times = timesOf(table, args.value('timeColumn', '_time'));
      const cells = times.map((time, row): Cell => (row === 0 ? null : (time - times[row - 1]!) / unit));
      return withColumn(table, { label: args.value('columnName', 'elapsed'), type: 'int', cells }).slice(
        1,
        table.length,
      );
    });
  },
);

function timesOf(table: Table, label: string): readonly bigint[] {
  const column = table.column(label);
  if (!column) throw new Fault(`no column "${label}" exists`);
  if (column.type !== 'time') throw new Fault(`time column "${label}" must be of type time`);
  return column.cells.map((cell) => (cell as bigint | null) ?? 0n);
}

const timeShift = new Builtin('timeShift(<-tables: stream, duration: duration, columns?: [string])', (args) => {
  const labels = args.value<readonly string[]>('columns', ['_start', '_stop', '_time']);
  const by = args.value<Duration>('duration');
  return shifted(args, labels, by);
});

function shifted(args: Arguments, labels: readonly string[], by: Duration): Stream {
  const shift = (cell: Cell): Cell => (cell === null ? null : addDuration(cell as bigint, by));
  return mapTables('timeShift', args.span, args.stream(), (table) => {
    const isShifted = ({ label, type }: { label: string; type: ScalarType }) =>
      labels.includes(label) && type === 'time';
    const columns = table.columns.map((column) =>
      isShifted(column) ? { ...column, cells: column.cells.map(shift) } : column,
    );
    const key = table.key.columns.map((column) =>
      isShifted(column) ? { ...column, value: shift(column.value) } : column,
    );
    return new Table(new GroupKey(key), columns, table.length);
  });
}

export const sequences: readonly Builtin[] = [cumulativeSum, difference, derivative, elapsed, timeShift];
