import { type BinaryOperator, childrenOf, type Expression } from './ast.ts';
import { evaluate, type predicateOf, Scope, type Session } from './interpreter.ts';
import { type RecordValue, Regexp } from './values.ts';

/**
 * The part of a filter that the store can answer: tags, measurement and field against what is known of each series,
 * `_value` in SQL. As in InfluxDB's storage, a tag that a series lacks is the empty string here, and values of
 * unlike types are neither equal nor unequal.
 */

export type Literal = string | boolean | number | bigint | Regexp;

export type Predicate =
  | { readonly kind: 'logical'; readonly operator: 'and' | 'or'; readonly left: Predicate; readonly right: Predicate }
  | {
      readonly kind: 'comparison';
      readonly label: string;
      readonly operator: BinaryOperator;
      readonly literal: Literal;
    }
  /** Any expression over labels that are the same in all rows of a series: asked once per series. */
  | { readonly kind: 'computed'; readonly holds: (series: RecordValue) => boolean };

export type Filter = NonNullable<ReturnType<typeof predicateOf>>;

/** Columns whose values differ from row to row, or belong to the range. */
const ROW_LABELS = new Set(['_value', '_time', '_start', '_stop']);
const TAG_OPERATORS = new Set<BinaryOperator>(['==', '!=', '=~', '!~']);

/** Splits a filter at its `and`s into what the store answers and what has to be asked of each row. */
export function splitFilter(filter: Filter, session: Session): { pushed: Predicate[]; rest: Expression[] } {
  const pushed: Predicate[] = [];
  const rest: Expression[] = [];
  for (const conjunct of conjuncts(filter.body)) {
    const predicate = push(conjunct, filter, session) ?? computed(conjunct, filter, session);
    if (predicate) pushed.push(predicate);
    else rest.push(conjunct);
  }
  return { pushed, rest };
}

function conjuncts(expression: Expression): Expression[] {
  if (expression.kind !== 'logical' || expression.operator !== 'and') return [expression];
  return [...conjuncts(expression.left), ...conjuncts(expression.right)];
}

function push(expression: Expression, filter: Filter, session: Session): Predicate | undefined {
  if (expression.kind === 'logical') {
    const left = push(expression.left, filter, session);
    const right = left && push(expression.right, filter, session);
    return right && { kind: 'logical', operator: expression.operator, left, right };
  }
  if (expression.kind === 'unary' && expression.operator === 'exists') {
    const label = labelOf(expression.argument, filter);
    if (label === undefined || ROW_LABELS.has(label)) return undefined;
    return { kind: 'comparison', label, operator: '!=', literal: '' };
  }
  if (expression.kind !== 'binary') return undefined;
  const label = labelOf(expression.left, filter);
  const literal = literalOf(expression.right, filter, session);
  const { operator } = expression;
  if (label === undefined || literal === undefined) return undefined;
  if (label === '_value') return { kind: 'comparison', label, operator, literal };
  const isMissing = operator === '==' && literal === '';
  if (ROW_LABELS.has(label) || !TAG_OPERATORS.has(operator) || isMissing) return undefined;
  return { kind: 'comparison', label, operator, literal };
}

function labelOf(expression: Expression, filter: Filter): string | undefined {
  const isMember = expression.kind === 'member' && expression.object.kind === 'identifier';
  return isMember && expression.object.name === filter.parameter ? expression.property : undefined;
}

function literalOf(expression: Expression, filter: Filter, session: Session): Literal | undefined {
  const { kind } = expression;
  if (kind === 'string' || kind === 'integer' || kind === 'float') return expression.value;
  if (kind === 'regexp') return evaluate(expression, filter.scope, session) as Regexp;
  if (kind !== 'identifier' || expression.name === filter.parameter) return undefined;
  const value = filter.scope.get(expression.name);
  const isLiteral = value instanceof Regexp || (value !== undefined && typeof value !== 'object');
  return isLiteral ? value : undefined;
}

function computed(expression: Expression, filter: Filter, session: Session): Predicate | undefined {
  if (!usesLabels(expression, filter.parameter, (label) => !ROW_LABELS.has(label))) return undefined;
  const holds = (series: RecordValue) => {
    const scope = new Scope(filter.scope);
    scope.set(filter.parameter, series);
    return evaluate(expression, scope, session) === true;
  };
  return { kind: 'computed', holds };
}

/** Whether the expression sees of the record `parameter` only labels that `allowed` allows. */
export function usesLabels(expression: Expression, parameter: string, allowed: (label: string) => boolean): boolean {
  if (expression.kind === 'identifier') return expression.name !== parameter;
  if (expression.kind === 'function') return false;
  const isMember = expression.kind === 'member' && expression.object.kind === 'identifier';
  if (isMember && expression.object.name === parameter) return allowed(expression.property);
  return childrenOf(expression).every((child) => usesLabels(child, parameter, allowed));
}

/** What is left of a predicate for one series: all of its rows, none, or those for which the SQL holds. */
export type Residual = boolean | string;

/** @param type the type of the series' values */
export function residual(
  predicate: Predicate,
  series: RecordValue,
  type: 'float' | 'integer' | 'unsigned' | 'string' | 'boolean',
): Residual {
  if (predicate.kind === 'computed') return predicate.holds(series);
  if (predicate.kind === 'comparison') {
    const { label, operator, literal } = predicate;
    if (label === '_value') return valueSql(operator, literal, type);
    const tag = series.get(label);
    return tagHolds(typeof tag === 'string' ? tag : '', operator, literal);
  }
  const left = residual(predicate.left, series, type);
  const right = residual(predicate.right, series, type);
  const decisive = predicate.operator === 'or';
  if (left === decisive || right === decisive) return decisive;
  if (left === !decisive) return right;
  if (right === !decisive) return left;
  return `(${left} ${predicate.operator} ${right})`;
}

function tagHolds(tag: string, operator: BinaryOperator, literal: Literal): boolean {
  if (literal instanceof Regexp) return literal.pattern.test(tag) === (operator === '=~');
  if (typeof literal !== 'string') return false;
  return (tag === literal) === (operator === '==');
}

const SQL_OPERATORS: Readonly<Record<string, string>> = {
  '==': '=',
  '!=': '<>',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
};

function valueSql(operator: BinaryOperator, literal: Literal, type: string): Residual {
  if (literal instanceof Regexp) {
    if (type !== 'string') return false;
    return `${operator === '!~' ? 'NOT ' : ''}regexp_matches(value, ${quote(literal.source)})`;
  }
  const comparison = SQL_OPERATORS[operator];
  const numeric = type === 'float' || type === 'integer';
  if (comparison === undefined) return false;
  if (type === 'string' && typeof literal === 'string') return `value ${comparison} ${quote(literal)}`;
  if (type === 'boolean' && typeof literal === 'boolean') return `value ${comparison} ${literal}`;
  if (numeric && typeof literal === 'number') return `value::DOUBLE ${comparison} ${quote(String(literal))}::DOUBLE`;
  if (numeric && typeof literal === 'bigint')
    return `value ${comparison} ${literal}::${type === 'float' ? 'DOUBLE' : 'BIGINT'}`;
  return false;
}

/** A text as an SQL literal. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
