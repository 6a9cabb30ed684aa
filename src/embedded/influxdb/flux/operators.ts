import type { BinaryOperator } from './ast.ts';
import { FluxError, runtimeError } from './errors.ts';
import { addDuration, Duration } from './time.ts';
import { Null, nullOf, Regexp, type ScalarType, Time, type TypeName, typeOf, Uint, type Value } from './values.ts';

/** Flux's binary operators on values. A null operand makes null, of the type that the result would have. */

/** @throws FluxError if the operator has no meaning for such operands */
export function applyOperator(operator: BinaryOperator, left: Value, right: Value): Value {
  if (operator === '=~' || operator === '!~') return match(operator, left, right);
  if (left instanceof Null || right instanceof Null) return nullResult(operator, left, right);
  return isArithmetic(operator) ? arithmetic(operator, left, right) : compare(operator, left, right);
}

function match(operator: '=~' | '!~', left: Value, right: Value): Value {
  if (left instanceof Null) return nullOf('bool');
  if (typeof left !== 'string' || !(right instanceof Regexp)) throw unsupported(typeOf(left), operator, typeOf(right));
  return right.pattern.test(left) === (operator === '=~');
}

function nullResult(operator: BinaryOperator, left: Value, right: Value): Value {
  if (!isArithmetic(operator)) return nullOf('bool');
  const types = [typeOf(left), typeOf(right)].filter((type) => type !== 'null');
  if (types.length === 2 && types[0] !== types[1]) throw conflict(types[0]!, types[1]!);
  return nullOf(types[0] as ScalarType | undefined);
}

function arithmetic(operator: Arithmetic, left: Value, right: Value): Value {
  if (typeof left === 'number' && typeof right === 'number') return FLOAT_ARITHMETIC[operator](left, right);
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    const result = INT_ARITHMETIC[operator](left, right);
    return typeof result === 'number' ? result : BigInt.asIntN(64, result);
  }
  if (left instanceof Uint && right instanceof Uint) {
    const result = INT_ARITHMETIC[operator](left.value, right.value);
    return typeof result === 'number' ? result : new Uint(BigInt.asUintN(64, result));
  }
  if (typeof left === 'string' && typeof right === 'string' && operator === '+') return left + right;
  if (left instanceof Time && right instanceof Duration) {
    if (operator === '+') return new Time(addDuration(left.nanoseconds, right));
    if (operator === '-') return new Time(addDuration(left.nanoseconds, right.times(-1)));
  }
  if (left instanceof Duration && right instanceof Duration && (operator === '+' || operator === '-')) {
    const other = operator === '+' ? right : right.times(-1);
    return new Duration(left.months + other.months, left.nanoseconds + other.nanoseconds);
  }
  const [a, b] = [typeOf(left), typeOf(right)];
  throw a === b ? unsupported(a, operator, b) : conflict(b, a);
}

type Arithmetic = '+' | '-' | '*' | '/' | '%' | '^';

const FLOAT_ARITHMETIC: Readonly<Record<Arithmetic, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '^': (a, b) => a ** b,
};

/** A power of integers is a float. */
const INT_ARITHMETIC: Readonly<Record<Arithmetic, (a: bigint, b: bigint) => bigint | number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / nonZero(b, 'cannot divide by zero'),
  '%': (a, b) => a % nonZero(b, 'cannot mod zero'),
  '^': (a, b) => Number(a) ** Number(b),
};

function nonZero(divisor: bigint, problem: string): bigint {
  if (divisor === 0n) throw runtimeError(problem);
  return divisor;
}

function isArithmetic(operator: BinaryOperator): operator is Arithmetic {
  return operator in FLOAT_ARITHMETIC;
}

type Comparable = string | boolean | number | bigint;

/** An int and a float compare as numbers, so `==` is not JavaScript's `===`. */
const COMPARISONS: Readonly<Record<'==' | '!=' | '<' | '<=' | '>' | '>=', (a: Comparable, b: Comparable) => boolean>> =
  {
    // biome-ignore lint/suspicious/noDoubleEquals: 1n == 1
    '==': (a, b) => a == b,
    // biome-ignore lint/suspicious/noDoubleEquals: 1n != 2
    '!=': (a, b) => a != b,
    '<': (a, b) => a < b,
    '<=': (a, b) => a <= b,
    '>': (a, b) => a > b,
    '>=': (a, b) => a >= b,
  };

function compare(operator: keyof typeof COMPARISONS, left: Value, right: Value): boolean {
  const a = comparable(left);
  const b = comparable(right);
  const equality = operator === '==' || operator === '!=';
  const numeric = typeof a !== 'string' && typeof a !== 'boolean' && typeof b !== 'string' && typeof b !== 'boolean';
  const times = left instanceof Time === right instanceof Time;
  if (
    a === undefined ||
    b === undefined ||
    !times ||
    (typeof a !== typeof b && !numeric) ||
    (typeof a === 'boolean' && !equality)
  ) {
    throw unsupported(typeOf(left), operator, typeOf(right));
  }
  return COMPARISONS[operator](a, b);
}

function comparable(value: Value): Comparable | undefined {
  if (value instanceof Uint) return value.value;
  if (value instanceof Time) return value.nanoseconds;
  if (value instanceof Duration) return value.months === 0 ? value.nanoseconds : undefined;
  return typeof value === 'object' ? undefined : value;
}

function unsupported(left: TypeName, operator: string, right: TypeName): FluxError {
  return new FluxError(`runtime error: unsupported binary expression ${left} ${operator} ${right}`);
}

function conflict(found: TypeName, expected: TypeName): FluxError {
  return new FluxError(`runtime error: type conflict: ${found} != ${expected}`);
}
