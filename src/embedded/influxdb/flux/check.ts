import { type Block, childrenOf, type Expression, type Script, type Statement } from './ast.ts';
import { semanticError } from './errors.ts';
import { Builtin, checkArguments, regexp } from './interpreter.ts';
import { FluxFunction, FluxRecord, isRecord, type Value } from './values.ts';

/**
 * What can be said of a script before it runs: every name is defined, every call of a library function has the
 * arguments that it takes, literals of different types don't meet in an operator. InfluxDB infers all types; here
 * the rest shows when the values meet.
 */

/** `undefined` marks a name that is known but whose value shows only at run time. */
type Names = ReadonlyMap<string, Value | undefined>;

/** @throws FluxError for the first thing that is wrong */
export function check(script: Script, globals: Names): void {
  checkStatements(script.statements, globals);
}

function checkStatements(statements: readonly Statement[], outer: Names): void {
  const names = new Map(outer);
  for (const statement of statements) {
    if (statement.kind === 'expression') checkExpression(statement.expression, names);
    else {
      checkExpression(statement.value, names);
      if (statement.kind !== 'return') names.set(statement.name, undefined);
    }
  }
}

function checkBody(body: Expression | Block, names: Names): void {
  if (body.kind === 'block') checkStatements(body.statements, names);
  else checkExpression(body, names);
}

function checkExpression(expression: Expression, names: Names): void {
  if (expression.kind === 'function') {
    const inner = new Map(names);
    for (const parameter of expression.parameters) {
      if (parameter.default) checkExpression(parameter.default, names);
      inner.set(parameter.name, undefined);
    }
    checkBody(expression.body, inner);
    return;
  }
  for (const child of childrenOf(expression)) checkExpression(child, names);
  if (expression.kind === 'identifier' && !names.has(expression.name)) {
    throw semanticError(expression.span, `undefined identifier ${expression.name}`);
  }
  if (expression.kind === 'call') checkCall(expression, names);
  if (expression.kind === 'member') checkMember(expression, names);
  if (expression.kind === 'binary') checkOperands(expression);
  if (expression.kind === 'regexp') regexp(expression.source, expression.span);
}

function checkCall(call: Extract<Expression, { kind: 'call' }>, names: Names): void {
  const callee = staticValue(call.callee, names);
  if (callee instanceof Builtin) {
    const receiver = callee.parameters.find((parameter) => parameter.piped);
    const given = call.args.map(({ key }) => key);
    if (call.piped && receiver) given.push(receiver.name);
    checkArguments(callee, given, call.span, call.args);
  } else if (callee !== undefined && !(callee instanceof FluxFunction)) {
    throw semanticError(call.callee.span, 'expected function');
  }
}

function checkMember({ object, property }: Extract<Expression, { kind: 'member' }>, names: Names): void {
  const value = staticValue(object, names);
  if (value instanceof FluxRecord && value.get(property) === undefined) {
    throw semanticError(object.span, `record is missing label ${property}`);
  }
}

function checkOperands(expression: Extract<Expression, { kind: 'binary' }>): void {
  const left = literalType(expression.left);
  const right = literalType(expression.right);
  const isMatch = expression.operator === '=~' || expression.operator === '!~';
  const isTimeMath = left === 'time' && right === 'duration';
  const isMixedNumber = left !== 'string' && right !== 'string' && !'+-*/%^'.includes(expression.operator);
  if (left && right && left !== right && !isMatch && !isTimeMath && !isMixedNumber) {
    throw semanticError(expression.right.span, `expected ${left} but found ${right}`);
  }
}

/** A library function or package that the expression surely is. */
function staticValue(expression: Expression, names: Names): Value | undefined {
  if (expression.kind === 'identifier') return names.get(expression.name);
  if (expression.kind !== 'member') return undefined;
  const object = staticValue(expression.object, names);
  return object !== undefined && isRecord(object) ? object.get(expression.property) : undefined;
}

const LITERAL_TYPES: { readonly [Kind in Expression['kind']]?: string } = {
  string: 'string',
  interpolation: 'string',
  integer: 'int',
  float: 'float',
  duration: 'duration',
  time: 'time',
  regexp: 'regexp',
};

/** The type of an expression whose form alone tells it. */
export function literalType(expression: Expression): string | undefined {
  return LITERAL_TYPES[expression.kind];
}
