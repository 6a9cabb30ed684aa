import type { Block, Expression, FunctionExpression, Property, Script, Span, Statement } from './ast.ts';
import { FluxError, semanticError, syntaxError } from './errors.ts';
import { applyOperator } from './operators.ts';
import { Stream } from './stream.ts';
import { Duration, formatTimeInFull } from './time.ts';
import {
  FluxFunction,
  FluxRecord,
  type FunctionParameter,
  formatCell,
  isRecord,
  isScalar,
  NULL,
  Null,
  nullOf,
  type RecordValue,
  Regexp,
  type ScalarType,
  Time,
  toCell,
  typeOf,
  type Value,
} from './values.ts';

/** Evaluates expressions. Streams come out unread: the script only says what is to be done. */

/** Functions that call functions, not the length of a script, could run away. */
const MAX_CALL_DEPTH = 100;

/** What a script's functions may ask for and change while it runs. */
export interface Session {
  /** What `now()` answers: nanoseconds since 1970 UTC. */
  readonly now: bigint;
  /** The result streams, in the order in which the script named them. */
  readonly results: { readonly name: string; readonly stream: Stream }[];
  readonly globals: Scope;
  callDepth: number;
}

export class Scope {
  readonly #names = new Map<string, Value>();
  readonly #parent: Scope | undefined;

  constructor(parent?: Scope) {
    this.#parent = parent;
  }

  get(name: string): Value | undefined {
    return this.#names.get(name) ?? this.#parent?.get(name);
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }

  /** The names of this scope alone. */
  entries(): IterableIterator<[string, Value]> {
    return this.#names.entries();
  }
}

type Widened<T> = T extends string
  ? string
  : T extends boolean
    ? boolean
    : T extends number
      ? number
      : T extends bigint
        ? bigint
        : T;

/** The values of a call, after it was checked that they are those the function takes. */
export class Arguments {
  readonly span: Span;
  readonly session: Session;
  readonly #values: ReadonlyMap<string, Value>;

  constructor(values: ReadonlyMap<string, Value>, span: Span, session: Session) {
    this.#values = values;
    this.span = span;
    this.session = session;
  }

  get<T extends Value = Value>(name: string): T | undefined {
    return this.#values.get(name) as T | undefined;
  }

  /** A parameter that the signature requires, or has a default here. The signature vouches for the type. */
  value<T extends Value = Value>(name: string, fallback?: T): Widened<T> {
    return (this.#values.get(name) ?? fallback) as Widened<T>;
  }

  stream(name = 'tables'): Stream {
    return this.#values.get(name) as Stream;
  }
}

/** A function of the standard library. Its signature is written as Flux writes it: `limit(<-tables: stream, n: int)`. */
export class Builtin extends FluxFunction {
  readonly name: string;
  readonly parameters: readonly (FunctionParameter & { readonly type: string })[];
  readonly run: (args: Arguments) => Value;

  constructor(signature: string, run: (args: Arguments) => Value) {
    super();
    const open = signature.indexOf('(');
    this.name = signature.slice(0, open);
    this.parameters = signature
      .slice(open + 1, -1)
      .split(', ')
      .filter((part) => part !== '')
      .map((part) => {
        const [name = '', type = 'any'] = part.split(': ');
        const piped = name.startsWith('<-');
        const bare = piped ? name.slice(2) : name;
        return { name: bare.endsWith('?') ? bare.slice(0, -1) : bare, optional: bare.endsWith('?'), piped, type };
      });
    this.run = run;
  }
}

class Closure extends FluxFunction {
  readonly expression: FunctionExpression;
  readonly scope: Scope;
  readonly parameters: readonly FunctionParameter[];

  constructor(expression: FunctionExpression, scope: Scope) {
    super();
    this.expression = expression;
    this.scope = scope;
    this.parameters = expression.parameters.map((parameter) => ({
      name: parameter.name,
      optional: parameter.default !== undefined,
      piped: parameter.piped,
    }));
  }
}

/** The expression that a function of one parameter answers with, and the parameter's name: what filters are planned from. */
export function predicateOf(fn: FluxFunction): { parameter: string; body: Expression; scope: Scope } | undefined {
  if (!(fn instanceof Closure)) return undefined;
  const [parameter, ...others] = fn.parameters;
  const { body } = fn.expression;
  if (!parameter || others.length > 0 || body.kind === 'block') return undefined;
  return { parameter: parameter.name, body, scope: fn.scope };
}

/** Runs the statements; what they yield is in `session.results` afterwards. */
export function runScript(script: Script, scope: Scope, session: Session): void {
  const options = script.statements.filter((statement) => statement.kind === 'option');
  for (const { name, value } of options) session.globals.set(name, evaluate(value, scope, session));
  for (const statement of script.statements) {
    if (statement.kind === 'assignment') scope.set(statement.name, evaluate(statement.value, scope, session));
    else if (statement.kind === 'expression') {
      const value = evaluate(statement.expression, scope, session);
      if (!(value instanceof Stream) || value.operation === 'yield') continue;
      if (session.results.some(({ name }) => name === '_result')) {
        throw new FluxError(
          'failed to initialize execute state: tried to produce more than one result with the name "_result"',
        );
      }
      addResult(session, '_result', value);
    }
  }
}

/** @throws FluxError if the script named a result so already */
export function addResult(session: Session, name: string, stream: Stream): void {
  if (session.results.some((result) => result.name === name)) {
    throw new FluxError(
      `error in building plan while starting program: found more than one call to yield() with the name "${name}"`,
    );
  }
  stream.uses++;
  session.results.push({ name, stream });
}

export function evaluate(expression: Expression, scope: Scope, session: Session): Value {
  switch (expression.kind) {
    case 'string':
    case 'integer':
    case 'float':
      return expression.value;
    case 'identifier': {
      const value = scope.get(expression.name);
      if (value === undefined) throw semanticError(expression.span, `undefined identifier ${expression.name}`);
      return value;
    }
    case 'member':
      return member(evaluate(expression.object, scope, session), expression.property, expression.span);
    case 'binary': {
      const left = evaluate(expression.left, scope, session);
      return applyOperator(expression.operator, left, evaluate(expression.right, scope, session));
    }
    case 'logical':
      return logical(expression, scope, session);
    case 'unary':
      return unary(expression, scope, session);
    case 'conditional': {
      const test = evaluate(expression.test, scope, session);
      return evaluate(test === true ? expression.consequent : expression.alternate, scope, session);
    }
    case 'call':
      return evaluateCall(expression, scope, session);
    case 'function':
      return new Closure(expression, scope);
    case 'record':
      return record(expression, scope, session);
    case 'array':
      return expression.elements.map((element) => evaluate(element, scope, session));
    case 'index':
      return index(
        evaluate(expression.object, scope, session),
        evaluate(expression.index, scope, session),
        expression.span,
      );
    case 'duration':
      return new Duration(expression.months, expression.nanoseconds);
    case 'time':
      return new Time(expression.nanoseconds);
    case 'regexp':
      return regexp(expression.source, expression.span);
    case 'interpolation':
      return interpolate(expression.parts, scope, session);
    case 'pipeReceiver':
      throw semanticError(expression.span, 'invalid expression: pipe receive outside of a parameter list');
  }
}

/** @throws FluxError if the source is no regular expression */
export function regexp(source: string, span: Span): Regexp {
  try {
    return new Regexp(source);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw syntaxError(span, `regex parse error: ${error.message}`);
  }
}

function member(object: Value, property: string, span: Span): Value {
  if (object instanceof Null) return NULL;
  if (!isRecord(object)) throw semanticError(span, `expected {A with ${property}: B} but found ${typeOf(object)}`);
  const value = object.get(property);
  if (value === undefined && object instanceof FluxRecord)
    throw semanticError(span, `record is missing label ${property}`);
  return value ?? NULL;
}

function index(object: Value, at: Value, span: Span): Value {
  if (!Array.isArray(object) || typeof at !== 'bigint') {
    throw semanticError(span, `expected array but found ${typeOf(object)}`);
  }
  const value = (object as readonly Value[])[Number(at)];
  if (value === undefined) {
    throw new FluxError(`runtime error: cannot access element ${at} of array of length ${object.length}`);
  }
  return value;
}

/** Three-valued: null is "unknown". */
function logical(expression: Extract<Expression, { kind: 'logical' }>, scope: Scope, session: Session): Value {
  const decisive = expression.operator === 'or';
  const left = evaluate(expression.left, scope, session);
  if (left === decisive) return decisive;
  const right = evaluate(expression.right, scope, session);
  if (right === decisive) return decisive;
  for (const side of [left, right]) {
    if (typeof side !== 'boolean' && !(side instanceof Null)) {
      throw semanticError(expression.span, `expected bool but found ${typeOf(side)}`);
    }
  }
  return left instanceof Null || right instanceof Null ? nullOf('bool') : !decisive;
}

function unary(expression: Extract<Expression, { kind: 'unary' }>, scope: Scope, session: Session): Value {
  const value = evaluate(expression.argument, scope, session);
  if (expression.operator === 'exists') return !(value instanceof Null);
  if (value instanceof Null) return value;
  if (expression.operator === 'not') {
    if (typeof value === 'boolean') return !value;
    throw semanticError(expression.span, `expected bool but found ${typeOf(value)}`);
  }
  const negative = expression.operator === '-';
  if (typeof value === 'number' || typeof value === 'bigint') return negative ? -value : value;
  if (value instanceof Duration) return negative ? value.times(-1) : value;
  throw semanticError(expression.span, `${typeOf(value)} is not Negatable`);
}

function record(expression: Extract<Expression, { kind: 'record' }>, scope: Scope, session: Session): RecordValue {
  const fields: [string, Value][] = [];
  if (expression.with) {
    const base = evaluate(expression.with, scope, session);
    if (!isRecord(base)) throw semanticError(expression.with.span, `expected record but found ${typeOf(base)}`);
    for (const label of base.labels) fields.push([label, base.get(label)!]);
  }
  for (const { key, value } of expression.properties) fields.push([key, evaluate(value, scope, session)]);
  return new FluxRecord(fields);
}

function interpolate(parts: readonly (string | Expression)[], scope: Scope, session: Session): Value {
  let text = '';
  for (const part of parts) {
    if (typeof part === 'string') {
      text += part;
      continue;
    }
    const value = evaluate(part, scope, session);
    if (value instanceof Null)
      throw new FluxError('runtime error: failed to evaluate map function: invalid interpolation type');
    text += toText(value) ?? fail(part.span, value);
  }
  return text;
}

function fail(span: Span, value: Value): never {
  throw semanticError(span, `${typeOf(value)} (argument v) is not Stringable`);
}

/** As `string(v:)` and interpolation write a value; undefined if it has no such form. */
export function toText(value: Value): string | undefined {
  if (value instanceof Time) return formatTimeInFull(value.nanoseconds);
  if (value instanceof Duration) return value.toString();
  return isScalar(value) && !(value instanceof Null)
    ? formatCell(toCell(value), typeOf(value) as ScalarType)
    : undefined;
}

function evaluateCall(expression: Extract<Expression, { kind: 'call' }>, scope: Scope, session: Session): Value {
  const piped = expression.piped && evaluate(expression.piped, scope, session);
  const callee = evaluate(expression.callee, scope, session);
  const values = new Map(expression.args.map(({ key, value }) => [key, evaluate(value, scope, session)]));
  if (!(callee instanceof FluxFunction))
    throw semanticError(expression.callee.span, `expected function but found ${typeOf(callee)}`);
  if (piped !== undefined) {
    const receiver = callee.parameters.find((parameter) => parameter.piped);
    if (!receiver) throw semanticError(expression.span, 'function does not take a pipe argument');
    values.set(receiver.name, piped);
  }
  checkArguments(callee, [...values.keys()], expression.span, expression.args);
  return callFunction(callee, values, expression.span, session, expression.args);
}

/** @throws FluxError that names every argument that is missing or too many */
export function checkArguments(
  fn: FluxFunction,
  given: readonly string[],
  span: Span,
  properties: readonly Property[] = [],
): void {
  const known = fn.parameters.map(({ name }) => name);
  const problems: FluxError[] = [];
  for (const name of given.filter((one) => !known.includes(one))) {
    const place = properties.find(({ key }) => key === name)?.value.span ?? span;
    problems.push(semanticError(place, `found unexpected argument ${name}${expectation(fn, given)}`));
  }
  for (const { name, optional } of fn.parameters) {
    if (optional || given.includes(name)) continue;
    problems.push(semanticError(span, `missing required argument ${name}`));
  }
  if (problems.length > 0) throw new FluxError(problems.map(({ message }) => message).join('\n\n'));
}

/** What else might have been given: ` (Expected one of \`a\`, \`b\` or \`c\`)`. */
function expectation({ parameters }: FluxFunction, given: readonly string[]): string {
  const left = parameters.filter(({ name, piped }) => !piped && !given.includes(name)).map(({ name }) => `\`${name}\``);
  const last = left.sort().pop();
  if (last === undefined) return '';
  return left.length === 0 ? ` (Expected ${last})` : ` (Expected one of ${left.join(', ')} or ${last})`;
}

/** Calls `fn` with arguments whose names were checked; `properties` tell where each stands in the script. */
export function callFunction(
  fn: FluxFunction,
  values: ReadonlyMap<string, Value>,
  span: Span,
  session: Session,
  properties: readonly Property[] = [],
): Value {
  if (fn instanceof Builtin) {
    for (const { name, type } of fn.parameters) {
      checkType(values.get(name), type, name, properties.find(({ key }) => key === name)?.value.span ?? span);
    }
    return fn.run(new Arguments(values, span, session));
  }
  if (!(fn instanceof Closure)) throw new TypeError('a function of unknown make');
  if (++session.callDepth > MAX_CALL_DEPTH) throw new FluxError('runtime error: function calls are nested too deep');
  const scope = new Scope(fn.scope);
  for (const parameter of fn.expression.parameters) {
    const value = values.get(parameter.name) ?? (parameter.default && evaluate(parameter.default, fn.scope, session));
    if (value !== undefined) scope.set(parameter.name, value);
  }
  const { body } = fn.expression;
  const result = body.kind === 'block' ? runBlock(body, scope, session) : evaluate(body, scope, session);
  session.callDepth--;
  return result;
}

function runBlock(block: Block, scope: Scope, session: Session): Value {
  for (const statement of block.statements) {
    const value = runStatement(statement, scope, session);
    if (statement.kind === 'return') return value;
  }
  throw semanticError(block.span, 'missing return statement in block');
}

function runStatement(statement: Statement, scope: Scope, session: Session): Value {
  if (statement.kind === 'expression') return evaluate(statement.expression, scope, session);
  const value = evaluate(statement.value, scope, session);
  if (statement.kind === 'assignment') scope.set(statement.name, value);
  return value;
}

function checkType(value: Value | undefined, type: string, name: string, span: Span): void {
  if (value === undefined || type === 'any') return;
  const wrong = (expected: string, found: Value) =>
    semanticError(span, `expected ${expected} but found ${typeOf(found)} (argument ${name})`);
  if (type.startsWith('[')) {
    const element = type.slice(1, -1);
    if (!Array.isArray(value)) throw wrong(type, value);
    for (const one of value as readonly Value[]) if (typeOf(one) !== element) throw wrong(element, one);
  } else if (typeOf(value) !== type) throw wrong(type, value);
}
