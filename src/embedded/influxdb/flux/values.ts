import { Duration, formatTime } from './time.ts';

/**
 * What Flux's expressions compute with. Where JavaScript has a type of its own it is used: a string is a string,
 * a bool a boolean, a float a number, an int a bigint, an array an array.
 */

export type ScalarType = 'string' | 'int' | 'uint' | 'float' | 'bool' | 'time';

export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

export class Time {
  readonly nanoseconds: bigint;
  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds;
  }
}

export class Regexp {
  readonly source: string;
  readonly pattern: RegExp;
  /** @throws SyntaxError if the source is no regular expression */
  constructor(source: string) {
    const insensitive = source.startsWith('(?i)');
    this.source = source;
    this.pattern = new RegExp(insensitive ? source.slice(4) : source, insensitive ? 'iu' : 'u');
  }
}

/** A missing value, of a known type or (a column that isn't there) of none. */
export class Null {
  readonly type: ScalarType | undefined;
  constructor(type: ScalarType | undefined) {
    this.type = type;
  }
}

export const NULL = new Null(undefined);
const TYPED_NULLS = Object.fromEntries(
  (['string', 'int', 'uint', 'float', 'bool', 'time'] as const).map((type) => [type, new Null(type)]),
) as Record<ScalarType, Null>;

export function nullOf(type: ScalarType | undefined): Null {
  return type ? TYPED_NULLS[type] : NULL;
}

/** A record, or a table's row seen as one. */
export interface RecordValue {
  readonly labels: readonly string[];
  get(label: string): Value | undefined;
}

export class FluxRecord implements RecordValue {
  readonly #fields: ReadonlyMap<string, Value>;
  constructor(fields: Iterable<readonly [string, Value]>) {
    this.#fields = new Map(fields);
  }
  get labels(): string[] {
    return [...this.#fields.keys()];
  }
  get(label: string): Value | undefined {
    return this.#fields.get(label);
  }
}

export interface FunctionParameter {
  readonly name: string;
  readonly optional: boolean;
  readonly piped: boolean;
}

/** A function; how it is called is the interpreter's business. */
export abstract class FluxFunction {
  abstract readonly parameters: readonly FunctionParameter[];
}

/** A stream of tables; what it is made of is the planner's business. */
export abstract class FluxStream {
  abstract readonly operation: string;
}

export type Scalar = string | boolean | number | bigint | Uint | Time | Null;
export type Value = Scalar | Duration | Regexp | readonly Value[] | RecordValue | FluxFunction | FluxStream;

export type TypeName = ScalarType | 'duration' | 'regexp' | 'array' | 'record' | 'function' | 'stream' | 'null';

export function typeOf(value: Value): TypeName {
  if (typeof value === 'string') return 'string';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return 'float';
  if (typeof value === 'bigint') return 'int';
  if (value instanceof Time) return 'time';
  if (value instanceof Null) return value.type ?? 'null';
  if (value instanceof Uint) return 'uint';
  if (value instanceof Duration) return 'duration';
  if (value instanceof Regexp) return 'regexp';
  if (Array.isArray(value)) return 'array';
  if (value instanceof FluxFunction) return 'function';
  if (value instanceof FluxStream) return 'stream';
  return 'record';
}

export function isRecord(value: Value): value is RecordValue {
  return typeOf(value) === 'record';
}

/** A cell of a column: null, or the value bare, its type being the column's. */
export type Cell = string | boolean | number | bigint | null;

export function fromCell(cell: Cell, type: ScalarType): Scalar {
  if (cell === null) return TYPED_NULLS[type];
  if (type === 'time') return new Time(cell as bigint);
  if (type === 'uint') return new Uint(cell as bigint);
  return cell;
}

export function toCell(value: Scalar): Cell {
  if (value instanceof Time) return value.nanoseconds;
  if (value instanceof Uint) return value.value;
  if (value instanceof Null) return null;
  return value;
}

export function isScalar(value: Value): value is Scalar {
  return typeof value !== 'object' || value instanceof Time || value instanceof Uint || value instanceof Null;
}

/** As Go prints the shortest decimal that reads back as the same float, without an exponent. */
export function formatFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (Object.is(value, -0)) return '-0';
  const shortest = String(value);
  const exponentAt = shortest.indexOf('e');
  if (exponentAt < 0) return shortest;
  const exponent = Number(shortest.slice(exponentAt + 1));
  const sign = value < 0 ? '-' : '';
  const [whole = '', fraction = ''] = shortest.slice(sign.length, exponentAt).split('.');
  const digits = whole + fraction;
  const point = whole.length + exponent;
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return sign + digits.padEnd(point, '0');
}

export function formatCell(cell: Cell, type: ScalarType): string {
  if (cell === null) return '';
  if (type === 'time') return formatTime(cell as bigint);
  if (type === 'float') return formatFloat(cell as number);
  return String(cell);
}
