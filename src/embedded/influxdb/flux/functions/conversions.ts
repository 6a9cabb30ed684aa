import { FluxError, semanticError } from '../errors.ts';
import { type Arguments, Builtin, toText } from '../interpreter.ts';
import { mapTables, type Stream } from '../stream.ts';
import { GroupKey, Table } from '../table.ts';
import { Duration, parseTime } from '../time.ts';
import {
  fromCell,
  Null,
  nullOf,
  type Scalar,
  type ScalarType,
  Time,
  toCell,
  typeOf,
  Uint,
  type Value,
} from '../values.ts';
import { byLabel, withColumn } from './shared.ts';

/** `int(v:)` and its like, and the transformations that apply them to `_value`. */

const MAX_INT64 = 2n ** 63n - 1n;

function convert(value: Value, to: ScalarType | 'duration', args: Arguments): Value {
  if (value instanceof Null) return nullOf(to === 'duration' ? undefined : to);
  const converted = converters[to](value);
  if (converted === undefined) throw semanticError(args.span, `cannot convert ${typeOf(value)} to ${to}`);
  return converted;
}

const converters: Readonly<Record<ScalarType | 'duration', (value: Value) => Value | undefined>> = {
  string: toText,
  float(value) {
    if (typeof value === 'string') return parseFloatText(value) ?? fail(value, 'float');
    if (value instanceof Uint) return Number(value.value);
    if (typeof value === 'boolean') return value ? 1 : 0;
    return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : undefined;
  },
  int(value) {
    if (typeof value === 'string') return parseInteger(value) ?? fail(value, 'int');
    if (typeof value === 'number') return Math.abs(value) < 2 ** 63 ? BigInt(Math.trunc(value)) : -MAX_INT64 - 1n;
    if (value instanceof Uint) return BigInt.asIntN(64, value.value);
    if (value instanceof Time || value instanceof Duration) return value.nanoseconds;
    if (typeof value === 'boolean') return value ? 1n : 0n;
    return typeof value === 'bigint' ? value : undefined;
  },
  uint(value) {
    if (value instanceof Uint) return value;
    if (typeof value === 'string') {
      const parsed = parseInteger(value);
      return parsed === undefined || parsed < 0n ? fail(value, 'uint') : new Uint(parsed);
    }
    const int = converters.int(value);
    return typeof int === 'bigint' ? new Uint(BigInt.asUintN(64, int)) : undefined;
  },
  bool(value) {
    if (typeof value === 'boolean') return value;
    if (value === 'true' || value === 'false') return value === 'true';
    if (typeof value === 'string') return fail(value, 'bool');
    const number = value instanceof Uint ? value.value : value;
    if (typeof number !== 'number' && typeof number !== 'bigint') return undefined;
    if (Number(number) === 0 || Number(number) === 1) return Number(number) === 1;
    throw new FluxError(`runtime error: cannot convert ${typeOf(value)} ${number} to bool`);
  },
  time(value) {
    if (value instanceof Time) return value;
    if (value instanceof Uint) return new Time(value.value);
    if (typeof value === 'bigint') return new Time(value);
    if (typeof value !== 'string') return undefined;
    const parsed = parseTime(value);
    return parsed === undefined ? fail(value, 'time') : new Time(parsed);
  },
  duration(value) {
    if (value instanceof Duration) return value;
    if (value instanceof Uint) return new Duration(0, value.value);
    return typeof value === 'bigint' ? new Duration(0, value) : undefined;
  },
};

function fail(text: string, to: string): never {
  throw new FluxError(`runtime error: cannot convert string "${text}" to ${to}`);
}

function parseFloatText(text: string): number | undefined {
  const number = Number(text);
  return text.trim() === '' || text !== text.trim() || Number.isNaN(number) ? undefined : number;
}

function parseInteger(text: string): bigint | undefined {
  const digits = text.startsWith('-') || text.startsWith('+') ? text.slice(1) : text;
  if (digits === '' || [...digits].some((c) => c < '0' || c > '9')) return undefined;
  const value = BigInt(digits) * (text.startsWith('-') ? -1n : 1n);
  return value > MAX_INT64 || value < -MAX_INT64 - 1n ? undefined : value;
}

const conversion = (to: ScalarType | 'duration') =>
  new Builtin(`${to}(v: any)`, (args) => convert(args.value('v'), to, args));

function valueConversion(name: string, to: ScalarType): Builtin {
  return new Builtin(
    `${name}(<-tables: stream)`,
    (args): Stream =>
      mapTables('map', args.span, args.stream(), (table) => {
        if (table.length === 0) return undefined;
        const column = table.column('_value');
        const cells = column
          ? column.cells.map((cell) => toCell(convert(fromCell(cell, column.type), to, args) as Scalar))
          : [];
        if (!column) return undefined;
        const changed = withColumn(table, { label: '_value', type: to, cells });
        // It is a `map`, of the kind that sorts the columns; only floats are made column by column.
        return to === 'float'
          ? changed
          : new Table(new GroupKey(byLabel(changed.key.columns)), byLabel(changed.columns), changed.length);
      }),
  );
}

const length = new Builtin('length(<-arr: array)', (args) => BigInt(args.value<readonly Value[]>('arr').length));

const contains = new Builtin('contains(value: any, set: array)', (args) => {
  const value = args.value('value');
  if (value instanceof Null) return false;
  const same = (one: Value) => typeOf(one) === typeOf(value) && toText(one) === toText(value);
  return args.value<readonly Value[]>('set').some(same);
});

export const conversions: readonly Builtin[] = [
  conversion('string'),
  conversion('int'),
  conversion('uint'),
  conversion('float'),
  conversion('bool'),
  conversion('time'),
  conversion('duration'),
  valueConversion('toString', 'string'),
  valueConversion('toInt', 'int'),
  valueConversion('toUInt', 'uint'),
  valueConversion('toFloat', 'float'),
  valueConversion('toBool', 'bool'),
  valueConversion('toTime', 'time'),
  length,
  contains,
];
