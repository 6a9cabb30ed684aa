import { compareKeys } from './collation.ts';
import { CouchError } from './couch-error.ts';
import { written } from './erlang-term.ts';

/**
 * Mango's selectors: parsed once into conditions on fields joined by and/or, with negations pushed down to the
 * conditions, as CouchDB does (so that, as there, only `$exists: false` holds for a field that is absent).
 * https://docs.couchdb.org/en/stable/api/database/find.html#selector-syntax
 */
export type Selector =
  | { readonly kind: 'and' | 'or'; readonly of: Selector[] }
  | {
      readonly kind: 'condition';
      readonly path: string[];
      readonly operator: string;
      readonly argument: unknown;
      readonly negated: boolean;
      readonly test: Test;
    };

type Test = (value: unknown) => boolean;

const OPPOSITE: Record<string, string> = {
  $lt: '$gte',
  $lte: '$gt',
  $eq: '$ne',
  $ne: '$eq',
  $gte: '$lt',
  $gt: '$lte',
  $in: '$nin',
  $nin: '$in',
};
const MAX_DEPTH = 100;

/** @throws CouchError 400 `invalid_selector_json`, `invalid_operator` or `bad_arg` */
export function parseSelector(json: unknown): Selector {
  if (!isObject(json)) {
    throw new CouchError(400, 'invalid_selector_json', `Selector must be a JSON object, not: ${written(json)}`);
  }
  return parseObject(json, [], false, 0);
}

/** Whether a document (or, for `$elemMatch`, an element) is selected. */
export function matches(selector: Selector, value: unknown): boolean {
  if (selector.kind !== 'condition') {
    const holds = (part: Selector) => matches(part, value);
    return selector.kind === 'and' ? selector.of.every(holds) : selector.of.some(holds);
  }
  const found = valueAt(value, selector.path);
  if (selector.operator === '$exists') return (found !== undefined) === (selector.argument !== selector.negated);
  return found !== undefined && selector.test(found) !== selector.negated;
}

/** Splits a field's name at its dots; `\\.` is a dot in a name. */
export function parsePath(field: string): string[] {
  return field.split(/(?<!\\)\./).map((part) => part.replaceAll('\\.', '.'));
}

export function valueAt(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

/** The document with only these fields. */
export function pick(document: unknown, fields: readonly string[]): Record<string, unknown> {
  const picked: Record<string, unknown> = {};
  for (const field of fields) {
    const path = parsePath(field);
    const value = valueAt(document, path);
    if (value === undefined) continue;
    let place = picked;
    for (const name of path.slice(0, -1)) {
      if (!Object.hasOwn(place, name)) place[name] = {};
      place = place[name] as Record<string, unknown>;
    }
    place[path.at(-1)!] = value;
  }
  return picked;
}

function parseObject(json: Record<string, unknown>, path: string[], negated: boolean, depth: number): Selector {
  if (depth > MAX_DEPTH) throw new CouchError(400, 'invalid_selector_json', 'Selector is nested too deeply');
  const parts = Object.entries(json).map(([key, value]) =>
    key.startsWith('$')
      ? parseOperator(key, value, path, negated, depth)
      : parseField(value, [...path, ...parsePath(key)], negated, depth),
  );
  if (parts.length === 1) return parts[0]!;
  return { kind: negated ? 'or' : 'and', of: parts };
}

function parseField(value: unknown, path: string[], negated: boolean, depth: number): Selector {
  if (isObject(value) && Object.keys(value).length > 0) return parseObject(value, path, negated, depth + 1);
  return condition('$eq', value, path, negated);
}

function parseOperator(operator: string, argument: unknown, path: string[], negated: boolean, depth: number): Selector {
  switch (operator) {
    case '$and':
    case '$or':
    case '$nor': {
      if (!Array.isArray(argument)) throw badArgument(operator, argument);
      // "none of" is "not any of"; negated, "and" becomes "or" and the reverse.
      const inverted = operator === '$nor' ? !negated : negated;
      const of = argument.map((part) => {
        if (!isObject(part)) throw badArgument(operator, argument);
        return parseObject(part, path, inverted, depth + 1);
      });
      return { kind: (operator === '$and') !== inverted ? 'and' : 'or', of };
    }
    case '$not':
      if (!isObject(argument)) throw badArgument(operator, argument);
      return parseObject(argument, path, !negated, depth + 1);
    default:
      return condition(operator, argument, path, negated);
  }
}

function condition(operator: string, argument: unknown, path: string[], negated: boolean): Selector {
  const opposite = negated ? OPPOSITE[operator] : undefined;
  if (opposite) return condition(opposite, argument, path, false);
  return { kind: 'condition', path, operator, argument, negated, test: testOf(operator, argument) };
}

function testOf(operator: string, argument: unknown): Test {
  const check = (isGood: boolean) => {
    if (!isGood) throw badArgument(operator, argument);
  };
  switch (operator) {
    case '$lt':
      return (value) => compareKeys(value, argument) < 0;
    case '$lte':
      return (value) => compareKeys(value, argument) <= 0;
    case '$eq':
      return (value) => compareKeys(value, argument) === 0;
    case '$ne':
      return (value) => compareKeys(value, argument) !== 0;
    case '$gte':
      return (value) => compareKeys(value, argument) >= 0;
    case '$gt':
      return (value) => compareKeys(value, argument) > 0;
    case '$in':
      check(Array.isArray(argument));
      return (value) => isAmong(value, argument as unknown[]);
    case '$nin':
      check(Array.isArray(argument));
      return (value) => !isAmong(value, argument as unknown[]);
    case '$all': {
      check(Array.isArray(argument));
      const wanted = argument as unknown[];
      return (value) => Array.isArray(value) && wanted.length > 0 && wanted.every((item) => isAmong([item], value));
    }
    case '$exists':
      check(typeof argument === 'boolean');
      return () => true;
    case '$type':
      check(typeof argument === 'string');
      return (value) => typeName(value) === argument;
    case '$size':
      check(Number.isInteger(argument) && (argument as number) >= 0);
      return (value) => Array.isArray(value) && value.length === argument;
    case '$mod': {
      check(Array.isArray(argument) && argument.length === 2 && argument.every(Number.isInteger) && argument[0] !== 0);
      const [divisor, remainder] = argument as [number, number];
      return (value) => Number.isInteger(value) && (value as number) % divisor === remainder;
    }
    case '$regex': {
      check(typeof argument === 'string');
      const expression = regularExpression(argument as string);
      check(expression !== undefined);
      return (value) => typeof value === 'string' && expression!.test(value);
    }
    case '$beginsWith':
      check(typeof argument === 'string');
      return (value) => typeof value === 'string' && value.startsWith(argument as string);
    case '$elemMatch':
    case '$allMatch':
    case '$keyMapMatch': {
      if (!isObject(argument)) throw badArgument(operator, argument);
      return elementTest(operator, parseObject(argument, [], false, 0));
    }
    default:
      throw new CouchError(400, 'invalid_operator', `Invalid operator: ${operator}`);
  }
}

function elementTest(operator: string, selector: Selector): Test {
  if (operator === '$elemMatch') {
    return (value) => Array.isArray(value) && value.some((element) => matches(selector, element));
  }
  if (operator === '$allMatch') {
    return (value) => Array.isArray(value) && value.length > 0 && value.every((element) => matches(selector, element));
  }
  return (value) => isObject(value) && Object.keys(value).some((key) => matches(selector, key));
}

function isAmong(value: unknown, list: unknown[]): boolean {
  const candidates = Array.isArray(value) ? [value, ...value] : [value];
  return candidates.some((candidate) => list.some((item) => compareKeys(item, candidate) === 0));
}

function regularExpression(source: string): RegExp | undefined {
  try {
    return new RegExp(source, 'u');
  } catch {
    return undefined;
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function badArgument(operator: string, argument: unknown): CouchError {
  return new CouchError(400, 'bad_arg', `Bad argument for operator ${operator}: ${written(argument)}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
