import { callError, FluxError, semanticError } from '../errors.ts';
import { type Arguments, Builtin } from '../interpreter.ts';
import { Stream } from '../stream.ts';
import { type Column, GroupKey, Table } from '../table.ts';
import { addDuration, Duration, utcFields } from '../time.ts';
import {
  type Cell,
  FluxRecord,
  isRecord,
  isScalar,
  NULL,
  Null,
  type RecordValue,
  Regexp,
  type ScalarType,
  Time,
  toCell,
  typeOf,
  type Value,
} from '../values.ts';
import { UTC, Windows } from '../window.ts';
import { loadZone } from '../zone.ts';
import { schema } from './schema.ts';
import { toTime } from './shared.ts';

/** The importable packages. */

const packageOf = (members: readonly Builtin[], constants: Record<string, Value> = {}) =>
  new FluxRecord([...members.map((fn) => [fn.name, fn] as const), ...Object.entries(constants)]);

// --- timezone

const location = new Builtin('location(name: string)', (args) => {
  const name = args.value<string>('name');
  if (name !== 'UTC' && !loadZone(name)) {
    throw callError('location', args.span, `unknown time zone ${name}`);
  }
  return new FluxRecord([
    ['zone', name],
    ['offset', new Duration(0, 0n)],
  ]);
});

const fixed = new Builtin(
  'fixed(offset: duration)',
  (args) =>
    new FluxRecord([
      ['zone', 'UTC'],
      ['offset', args.value<Duration>('offset')],
    ]),
);

const utc = new FluxRecord([
  ['zone', 'UTC'],
  ['offset', new Duration(0, 0n)],
]);

// --- array

const from = new Builtin('from(<-rows: array)', (args) => {
  const rows = args.value<readonly Value[]>('rows');
  if (rows.length === 0) throw callError('from', args.span, 'rows must be non-empty');
  const columns = new Map<string, { label: string; type: ScalarType | undefined; cells: Cell[] }>();
  rows.forEach((row, index) => {
    if (!isRecord(row)) throw semanticError(args.span, `expected record but found ${typeOf(row)} (argument rows)`);
    for (const label of row.labels) {
      const value = row.get(label) ?? NULL;
      if (!isScalar(value)) throw semanticError(args.span, `${typeOf(value)} is not a column type`);
      const type = value instanceof Null ? value.type : (typeOf(value) as ScalarType);
      let column = columns.get(label);
      if (!column) {
        column = { label, type, cells: new Array<Cell>(rows.length).fill(null) };
        columns.set(label, column);
      }
      column.type ??= type;
      if (type !== undefined && type !== column.type)
        throw semanticError(args.span, `expected ${column.type} but found ${type} (argument rows)`);
      column.cells[index] = toCell(value);
    }
  });
  const known = [...columns.values()].flatMap(({ label, type, cells }): Column[] =>
    type ? [{ label, type, cells }] : [],
  );
  const table = new Table(new GroupKey([]), known, rows.length);
  return new Stream('array.from', [], () => [table]);
});

// --- strings

const text1 = (name: string, apply: (v: string) => Value) =>
  new Builtin(`${name}(v: any)`, (args) => onText(args, 'v', (v) => apply(v)));

function onText(args: Arguments, name: string, apply: (v: string) => Value): Value {
  const value = args.value(name);
  if (value instanceof Null) throw new FluxError(`runtime error: unexpected null value for argument ${name}`);
  if (typeof value !== 'string')
    throw semanticError(args.span, `expected string but found ${typeOf(value)} (argument ${name})`);
  return apply(value);
}

const text2 = (name: string, other: string, apply: (v: string, other: string) => Value) =>
  new Builtin(`${name}(v: any, ${other}: string)`, (args) =>
    onText(args, 'v', (v) => apply(v, args.value<string>(other))),
  );

const strings = packageOf([
  text1('toUpper', (v) => v.toUpperCase()),
  text1('toLower', (v) => v.toLowerCase()),
  text1('trimSpace', (v) => v.trim()),
  text1('strlen', (v) => BigInt([...v].length)),
  text2('hasPrefix', 'prefix', (v, prefix) => v.startsWith(prefix)),
  text2('hasSuffix', 'suffix', (v, suffix) => v.endsWith(suffix)),
  text2('containsStr', 'substr', (v, substr) => v.includes(substr)),
  text2('trimPrefix', 'prefix', (v, prefix) => (v.startsWith(prefix) ? v.slice(prefix.length) : v)),
  text2('trimSuffix', 'suffix', (v, suffix) => (suffix !== '' && v.endsWith(suffix) ? v.slice(0, -suffix.length) : v)),
  text2('split', 't', (v, t) => v.split(t)),
  text2('index', 'substr', (v, substr) => BigInt(v.indexOf(substr))),
  new Builtin('replaceAll(v: any, t: string, u: string)', (args) =>
    onText(args, 'v', (v) => v.replaceAll(args.value<string>('t'), () => args.value<string>('u'))),
  ),
  new Builtin('substring(v: any, start: int, end: int)', (args) =>
    onText(args, 'v', (v) =>
      [...v].slice(Number(args.value<bigint>('start')), Number(args.value<bigint>('end'))).join(''),
    ),
  ),
  new Builtin('joinStr(arr: [string], v: string)', (args) =>
    args.value<readonly string[]>('arr').join(args.value<string>('v')),
  ),
]);

// --- math

const math1 = (name: string, apply: (x: number) => number) =>
  new Builtin(`${name}(x: float)`, (args) => apply(args.value<number>('x')));
const math2 = (name: string, a: string, b: string, apply: (a: number, b: number) => number) =>
  new Builtin(`${name}(${a}: float, ${b}: float)`, (args) => apply(args.value<number>(a), args.value<number>(b)));

const math = packageOf(
  [
    math1('abs', Math.abs),
    math1('ceil', Math.ceil),
    math1('floor', Math.floor),
    math1('trunc', Math.trunc),
    math1('round', (x) => Math.sign(x) * Math.floor(Math.abs(x) + 0.5)),
    math1('sqrt', Math.sqrt),
    math1('exp', Math.exp),
    math1('log', Math.log),
    math1('log2', Math.log2),
    math1('log10', Math.log10),
    math1('sin', Math.sin),
    math1('cos', Math.cos),
    math1('tan', Math.tan),
    math2('pow', 'x', 'y', (x, y) => x ** y),
    math2('mod', 'x', 'y', (x, y) => x % y),
    math2('mMin', 'x', 'y', Math.min),
    math2('mMax', 'x', 'y', Math.max),
    new Builtin('isNaN(f: float)', (args) => Number.isNaN(args.value<number>('f'))),
  ],
  { pi: Math.PI, e: Math.E },
);

// --- date

const dateField = (name: string, field: (date: Date, nanoseconds: bigint) => number) =>
  new Builtin(`${name}(t: any, location?: record)`, (args) => {
    const t = localTime(args);
    return BigInt(field(utcFields(t), t));
  });

function localTime(args: Arguments): bigint {
  const t = toTime(args.value('t'), args, 'date');
  const { zone, offset } = locationOf(args);
  const local = zone === 'UTC' ? t : (loadZone(zone)?.wallClock(t) ?? t);
  return local + offset.nanoseconds;
}

function locationOf(args: Arguments): { zone: string; offset: Duration } {
  const value = args.get<RecordValue>('location') ?? (args.session.globals.get('location') as RecordValue);
  const [zone, offset] = [value.get('zone'), value.get('offset')];
  return typeof zone === 'string' && offset instanceof Duration ? { zone, offset } : UTC;
}

function yearDay(date: Date): number {
  return (
    (Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()) - Date.UTC(date.getUTCFullYear(), 0, 0)) /
    86_400_000
  );
}

const date = packageOf([
  dateField('year', (d) => d.getUTCFullYear()),
  dateField('month', (d) => d.getUTCMonth() + 1),
  dateField('monthDay', (d) => d.getUTCDate()),
  dateField('yearDay', yearDay),
  dateField('weekDay', (d) => d.getUTCDay()),
  dateField('quarter', (d) => Math.floor(d.getUTCMonth() / 3) + 1),
  dateField('hour', (d) => d.getUTCHours()),
  dateField('minute', (d) => d.getUTCMinutes()),
  dateField('second', (d) => d.getUTCSeconds()),
  new Builtin('truncate(t: any, unit: duration, location?: record)', (args) => {
    const unit = args.value<Duration>('unit');
    const t = toTime(args.value('t'), args, 'truncate');
    const windows = new Windows({ every: unit, period: unit, offset: new Duration(0, 0n), location: locationOf(args) });
    const everything = { start: -(2n ** 63n), stop: 2n ** 63n - 1n };
    return new Time(windows.holding(t, everything)[0]?.start ?? t);
  }),
  new Builtin(
    'add(d: duration, to: any)',
    (args) => new Time(addDuration(toTime(args.value('to'), args, 'add'), args.value<Duration>('d'))),
  ),
  new Builtin(
    'sub(d: duration, from: any)',
    (args) => new Time(addDuration(toTime(args.value('from'), args, 'sub'), args.value<Duration>('d').times(-1))),
  ),
  new Builtin('time(t: any)', (args) => new Time(toTime(args.value('t'), args, 'time'))),
]);

// --- regexp

const regexp = packageOf([
  new Builtin('compile(v: string)', (args) => {
    try {
      return new Regexp(args.value<string>('v'));
    } catch (error) {
      if (error instanceof SyntaxError) throw callError('compile', args.span, error.message);
      throw error;
    }
  }),
  new Builtin('matchRegexpString(r: regexp, v: string)', (args) =>
    args.value<Regexp>('r').pattern.test(args.value<string>('v')),
  ),
  new Builtin('quoteMeta(v: string)', (args) => args.value<string>('v').replace(/[\\.+*?()|[\]{}^$]/g, '\\$&')),
]);

export const packages: ReadonlyMap<string, FluxRecord> = new Map([
  ['timezone', packageOf([location, fixed], { utc })],
  ['array', packageOf([from])],
  ['strings', strings],
  ['math', math],
  ['date', date],
  ['regexp', regexp],
  ['influxdata/influxdb/schema', packageOf(schema)],
  ['influxdata/influxdb/v1', packageOf(schema)],
]);
