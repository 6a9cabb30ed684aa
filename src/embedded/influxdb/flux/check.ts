import type { Block, Expression, Script, Statement } from './ast.ts';
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
  switch (expression.kind) {
    case 'identifier':
      if (!names.has(expression.name)) throw semanticError(expression.span, `undefined identifier ${expression.name}`);
      return;
    case 'function': {
      const inner = new Map(names);
      for (const parameter of expression.parameters) {
        if (parameter.default) checkExpression(parameter.default, names);
        inner.set(parameter.name, undefined);
      }
      return checkBody(expression.body, inner);
    }
    case 'call': {
      if (expression.piped) checkExpression(expression.piped, names);
      checkExpression(expression.callee, names);
      for (const { value } of expression.args) checkExpression(value, names);
      const callee = staticValue(expression.callee, names);
      if (callee instanceof Builtin) {
        const receiver = callee.parameters.find((parameter) => parameter.piped);
        const given = expression.args.map(({ key }) => key);
        if (expression.piped && receiver) given.push(receiver.name);
        checkArguments(callee, given, expression.span, expression.args);
      } else if (callee !== undefined && !(callee instanceof FluxFunction)) {
        throw semanticError(expression.callee.span, 'expected function');
      }
      return;
    }
    case 'member': {
      checkExpression(expression.object, names);
      const object = staticValue(expression.object, names);
      if (object instanceof FluxRecord && object.get(expression.property) === undefined) {
        throw semanticError(expression.object.span, `record is missing label ${expression.property}`);
      }
      return;
    }
    case 'binary': {
      checkExpression(expression.left, names);
      checkExpression(expression.right, names);
      const left = literalType(expression.left);
      const right = literalType(expression.right);
      const isMatch = expression.operator === '=~' || expression.operator === '!~';
      const isTimeMath = left === 'time' && right === 'duration';
      const isMixedNumber = left !== 'string' && right !== 'string' && !'+-*/%^'.includes(expression.operator);
      if (left && right && left !== right && !isMatch && !isTimeMath && !isMixedNumber) {
        throw semanticError(expression.right.span, `expected ${left} but found ${right}`);
      }
      return;
    }
    case 'regexp':
      regexp(expression.source, expression.span);
      return;
    default:
      for (const child of children(expression)) checkExpression(child, names);
  }
}

function children(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'interpolation':
      return expression.parts.filter((part) => typeof part !== 'string');
    case 'array':
      return expression.elements;
    case 'record':
      return [...(expression.with ? [expression.with] : []), ...expression.properties.map(({ value }) => value)];
    case 'index':
      return [expression.object, expression.index];
    case 'unary':
      return [expression.argument];
    case 'logical':
      return [expression.left, expression.right];
    case 'conditional':
      return [expression.test, expression.consequent, expression.alternate];
    default:
      return [];
  }
}

/** A library function or package that the expression surely is. */
function staticValue(expression: Expression, names: Names): Value | undefined {
  if (expression.kind === 'identifier') return names.get(expression.name);
  if (expression.kind !== 'member') return undefined;
  const object = staticValue(expression.object, names);
  return object !== undefined && isRecord(object) ? object.get(expression.property) : undefined;
}

/** The type of an expression whose form alone tells it. */
export function literalType(expression: Expression): string | undefined {
  switch (expression.kind) {
    case 'string':
    case 'interpolation':
      return 'string';
    case 'integer':
      return 'int';
    case 'float':
    case 'duration':
    case 'time':
    case 'regexp':
      return expression.kind;
    default:
      return undefined;
  }
}
