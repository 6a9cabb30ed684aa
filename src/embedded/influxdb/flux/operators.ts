import type { BinaryOperator } from './ast.ts';
import { FluxError } from './errors.ts';
import { addDuration, Duration } from './time.ts';
import { Null, nullOf, Regexp, type ScalarType, Time, type TypeName, typeOf, Uint, type Value } from './values.ts';

/** Flux's binary operators on values. A null operand makes null, of the type that the result would have. */

const ARITHMETIC = new Set<BinaryOperator>(['+', '-', '*', '/', '%', '^']);

/** @throws FluxError if the operator has no meaning for such operands */
export function applyOperator(operator: BinaryOperator, left: Value, right: Value): Value {
  if (operator === '=~' || operator === '!~') return match(operator, left, right);
  if (left instanceof Null || right instanceof Null) return nullResult(operator, left, right);
  return ARITHMETIC.has(operator) ? arithmetic(operator, left, right) : compare(operator, left, right);
}

function match(operator: '=~' | '!~', left: Value, right: Value): Value {
  if (left instanceof Null) return nullOf('bool');
  if (typeof left !== 'string' || !(right instanceof Regexp)) throw unsupported(typeOf(left), operator, typeOf(right));
  return right.pattern.test(left) === (operator === '=~');
}

function nullResult(operator: BinaryOperator, left: Value, right: Value): Value {
  if (!ARITHMETIC.has(operator)) return nullOf('bool');
  const types = [typeOf(left), typeOf(right)].filter((type) => type !== 'null');
  if (types.length === 2 && types[0] !== types[1]) throw conflict(types[0]!, types[1]!);
  return nullOf(types[0] as ScalarType | undefined);
}

function arithmetic(operator: BinaryOperator, left: Value, right: Value): Value {
  if (typeof left === 'number' && typeof right === 'number') return floatArithmetic(operator, left, right);
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    const result = intArithmetic(operator, left, right);
    return typeof result === 'number' ? result : BigInt.asIntN(64, result);
  }
  if (left instanceof Uint && right instanceof Uint) {
    const result = intArithmetic(operator, left.value, right.value);
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

function floatArithmetic(operator: BinaryOperator, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
    default:
      return a ** b;
  }
}

function intArithmetic(operator: BinaryOperator, a: bigint, b: bigint): bigint | number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
    case '%':
      if (b === 0n) {
        throw new FluxError(`runtime error: ${operator === '/' ? 'cannot divide by zero' : 'cannot mod zero'}`);
      }
      return operator === '/' ? a / b : a % b;
    default:
      return Number(a) ** Number(b);
  }
}

function compare(operator: BinaryOperator, left: Value, right: Value): boolean {
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
  // An int and a float compare as numbers, so not with ===.
  switch (operator) {
    case '==':
      // biome-ignore lint/suspicious/noDoubleEquals: 1n == 1
      return a == b;
    case '!=':
      // biome-ignore lint/suspicious/noDoubleEquals: 1n != 2
      return a != b;
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    default:
      return a >= b;
  }
}

function comparable(value: Value): string | boolean | number | bigint | undefined {
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
