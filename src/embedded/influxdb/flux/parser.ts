import type {
  BinaryOperator,
  Block,
  Expression,
  Import,
  Parameter,
  Position,
  Property,
  Script,
  Span,
  Statement,
} from './ast.ts';
import { FluxError, syntaxError } from './errors.ts';
import { type Token, tokenize } from './lexer.ts';

/** Recursive descent over Flux's grammar; one method per precedence level, loosest first. */

/** How deep expressions may be nested, and how long a chain of operators or pipes may get. */
const MAX_NESTING = 128;
const MAX_HEIGHT = 1000;

const COMPARISONS = new Set(['==', '!=', '<', '<=', '>', '>=', '=~', '!~']);
const KEYWORDS = new Set([
  'and',
  'or',
  'not',
  'exists',
  'if',
  'then',
  'else',
  'import',
  'package',
  'option',
  'return',
  'builtin',
  'testcase',
]);

/** @throws FluxError naming what was expected where */
export function parse(text: string): Script {
  return new Parser(tokenize(text)).script();
}

type Unbuilt = Expression extends infer E ? (E extends Expression ? Omit<E, 'span' | 'height'> : never) : never;

class Parser {
  readonly #tokens: readonly Token[];
  /** For each opening parenthesis, the token that closes it. */
  readonly #closing: ReadonlyMap<number, number>;
  #at = 0;
  #nesting = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
    this.#closing = matchParentheses(tokens);
  }

  script(): Script {
    if (this.#isWord('package')) {
      this.#at++;
      this.#identifier();
    }
    const imports: Import[] = [];
    while (this.#isWord('import')) imports.push(this.#import());
    const statements: Statement[] = [];
    while (this.#peek().kind !== 'end') statements.push(this.#statement(false));
    return { imports, statements };
  }

  #import(): Import {
    const { start } = this.#take().span;
    const alias = this.#peek().kind === 'identifier' ? this.#identifier() : undefined;
    const token = this.#take();
    const path = token.kind === 'string' && token.parts.length === 1 ? token.parts[0] : undefined;
    if (typeof path !== 'string') throw this.#expected('STRING', token);
    return { path, name: alias ?? path.slice(path.lastIndexOf('/') + 1), span: this.#since(start) };
  }

  #statement(inBlock: boolean): Statement {
    const token = this.#peek();
    const { start } = token.span;
    if (this.#isWord('option')) {
      this.#at++;
      const name = this.#identifier();
      if (this.#isPunctuation('.'))
        throw syntaxError(this.#peek().span, `options of packages are not supported: ${name}`);
      this.#expect('=');
      const value = this.#expression();
      return { kind: 'option', name, value, span: this.#since(start) };
    }
    if (inBlock && this.#isWord('return')) {
      this.#at++;
      const value = this.#expression();
      return { kind: 'return', value, span: this.#since(start) };
    }
    const next = this.#tokens[this.#at + 1];
    if (token.kind === 'identifier' && !KEYWORDS.has(token.text) && next?.kind === 'punctuation' && next.text === '=') {
      this.#at += 2;
      const value = this.#expression();
      return { kind: 'assignment', name: token.text, value, span: this.#since(start) };
    }
    if (token.kind === 'identifier' && (token.text === 'import' || token.text === 'package')) {
      throw syntaxError(token.span, `invalid statement: ${token.text}`);
    }
    const expression = this.#expression();
    return { kind: 'expression', expression, span: this.#since(start) };
  }

  #expression(): Expression {
    if (++this.#nesting > MAX_NESTING) throw syntaxError(this.#peek().span, 'the expression is nested too deep');
    const expression = this.#conditional();
    this.#nesting--;
    return expression;
  }

  #conditional(): Expression {
    if (!this.#isWord('if')) return this.#or();
    const { start } = this.#take().span;
    const test = this.#expression();
    this.#word('then');
    const consequent = this.#expression();
    this.#word('else');
    const alternate = this.#expression();
    return this.#node(start, { kind: 'conditional', test, consequent, alternate }, test, consequent, alternate);
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#isWord('or')) {
      this.#at++;
      const right = this.#and();
      left = this.#node(left.span.start, { kind: 'logical', operator: 'or', left, right }, left, right);
    }
    return left;
  }

  #and(): Expression {
    let left = this.#unaryLogical();
    while (this.#isWord('and')) {
      this.#at++;
      const right = this.#unaryLogical();
      left = this.#node(left.span.start, { kind: 'logical', operator: 'and', left, right }, left, right);
    }
    return left;
  }

  #unaryLogical(): Expression {
    const operator = this.#isWord('not') ? 'not' : this.#isWord('exists') ? 'exists' : undefined;
    if (!operator) return this.#binary(() => this.#additive(), COMPARISONS);
    const { start } = this.#take().span;
    if (++this.#nesting > MAX_NESTING) throw syntaxError(this.#peek().span, 'the expression is nested too deep');
    const argument = this.#unaryLogical();
    this.#nesting--;
    return this.#node(start, { kind: 'unary', operator, argument }, argument);
  }

  #additive(): Expression {
    return this.#binary(() => this.#multiplicative(), ADDITIVE);
  }

  #multiplicative(): Expression {
    return this.#binary(() => this.#exponent(), MULTIPLICATIVE);
  }

  #exponent(): Expression {
    return this.#binary(() => this.#pipe(), EXPONENT);
  }

  #binary(operand: () => Expression, operators: ReadonlySet<string>): Expression {
    let left = operand();
    for (;;) {
      const token = this.#peek();
      if (token.kind !== 'punctuation' || !operators.has(token.text)) return left;
      this.#at++;
      const right = operand();
      const operator = token.text as BinaryOperator;
      left = this.#node(left.span.start, { kind: 'binary', operator, left, right }, left, right);
    }
  }

  #pipe(): Expression {
    let left = this.#unary();
    while (this.#isPunctuation('|>')) {
      this.#at++;
      const call = this.#unary();
      if (call.kind !== 'call' || call.piped) throw syntaxError(call.span, 'pipe destination must be a function call');
      left = this.#node(call.span.start, { ...call, piped: left }, call, left);
    }
    return left;
  }

  #unary(): Expression {
    const token = this.#peek();
    if (token.kind !== 'punctuation' || (token.text !== '-' && token.text !== '+')) return this.#postfix();
    this.#at++;
    if (++this.#nesting > MAX_NESTING) throw syntaxError(token.span, 'the expression is nested too deep');
    const argument = this.#unary();
    this.#nesting--;
    return this.#node(token.span.start, { kind: 'unary', operator: token.text, argument }, argument);
  }

  #postfix(): Expression {
    let object = this.#primary();
    for (;;) {
      const { start } = object.span;
      if (this.#isPunctuation('.')) {
        this.#at++;
        const property = this.#identifier();
        object = this.#node(start, { kind: 'member', object, property }, object);
      } else if (this.#isPunctuation('[')) {
        this.#at++;
        const index = this.#expression();
        this.#expect(']');
        object =
          index.kind === 'string'
            ? this.#node(start, { kind: 'member', object, property: index.value }, object)
            : this.#node(start, { kind: 'index', object, index }, object, index);
      } else if (this.#isPunctuation('(')) {
        this.#at++;
        const args = this.#isPunctuation(')') ? [] : this.#properties(')');
        if (!this.#isPunctuation(')')) {
          const { end } = this.#peek().span;
          throw syntaxError({ start, end }, `expected RPAREN, got ${describe(this.#peek())}`);
        }
        this.#at++;
        object = this.#node(start, { kind: 'call', callee: object, args }, object, ...args.map((arg) => arg.value));
      } else return object;
    }
  }

  #primary(): Expression {
    const token = this.#take();
    const { start } = token.span;
    switch (token.kind) {
      case 'identifier':
        if (KEYWORDS.has(token.text)) break;
        return this.#node(start, { kind: 'identifier', name: token.text });
      case 'integer':
        return this.#node(start, { kind: 'integer', value: token.value });
      case 'float':
        return this.#node(start, { kind: 'float', value: token.value });
      case 'duration':
        return this.#node(start, { kind: 'duration', months: token.months, nanoseconds: token.nanoseconds });
      case 'time':
        return this.#node(start, { kind: 'time', nanoseconds: token.nanoseconds });
      case 'regexp':
        return this.#node(start, { kind: 'regexp', source: token.source });
      case 'string':
        return this.#string(token.parts, start);
      case 'punctuation':
        if (token.text === '(') return this.#isFunction() ? this.#function(start) : this.#parenthesized();
        if (token.text === '[') return this.#array(start);
        if (token.text === '{') return this.#record(start);
        if (token.text === '<-') return this.#node(start, { kind: 'pipeReceiver' });
        break;
      case 'end':
        break;
    }
    throw syntaxError(token.span, `invalid expression: invalid token for primary expression: ${describe(token)}`);
  }

  #string(parts: readonly (string | readonly Token[])[], start: Position): Expression {
    const first = parts[0]!;
    if (parts.length === 1 && typeof first === 'string') return this.#node(start, { kind: 'string', value: first });
    const parsed = parts.map((part) => {
      if (typeof part === 'string') return part;
      const inner = new Parser(part);
      inner.#nesting = this.#nesting;
      const expression = inner.#expression();
      if (inner.#peek().kind !== 'end') throw inner.#expected('RBRACE', inner.#peek());
      return expression;
    });
    const expressions = parsed.filter((part) => typeof part !== 'string');
    return this.#node(start, { kind: 'interpolation', parts: parsed }, ...expressions);
  }

  #parenthesized(): Expression {
    const inner = this.#expression();
    this.#expect(')');
    return inner;
  }

  /** After `(`: is it the parameter list of a function, that is, does `=>` follow its `)`? */
  #isFunction(): boolean {
    const after = this.#tokens[(this.#closing.get(this.#at - 1) ?? this.#tokens.length) + 1];
    return after?.kind === 'punctuation' && after.text === '=>';
  }

  #function(start: Position): Expression {
    const parameters: Parameter[] = [];
    while (!this.#isPunctuation(')')) {
      parameters.push(this.#parameter());
      if (!this.#isPunctuation(')')) this.#expect(',');
    }
    this.#expect(')');
    this.#expect('=>');
    const defaults = parameters.flatMap((parameter) => parameter.default ?? []);
    if (!this.#isBlock()) {
      const body = this.#expression();
      return this.#node(start, { kind: 'function', parameters, body }, body, ...defaults);
    }
    const body = this.#block();
    return this.#node(start, { kind: 'function', parameters, body }, ...defaults);
  }

  #parameter(): Parameter {
    const { start } = this.#peek().span;
    const name = this.#identifier();
    if (!this.#isPunctuation('=')) return { name, piped: false, span: this.#since(start) };
    this.#at++;
    if (this.#isPunctuation('<-')) {
      this.#at++;
      return { name, piped: true, span: this.#since(start) };
    }
    const value = this.#expression();
    return { name, default: value, piped: false, span: this.#since(start) };
  }

  /** After `=>`, a `{` opens a block: a record there stands in parentheses. */
  #isBlock(): boolean {
    return this.#isPunctuation('{');
  }

  #block(): Block {
    const { start } = this.#expect('{').span;
    if (++this.#nesting > MAX_NESTING) throw syntaxError(this.#peek().span, 'the blocks are nested too deep');
    const statements: Statement[] = [];
    while (!this.#isPunctuation('}')) {
      if (this.#peek().kind === 'end') throw this.#expected('RBRACE', this.#peek());
      statements.push(this.#statement(true));
    }
    this.#nesting--;
    this.#at++;
    return { kind: 'block', statements, span: this.#since(start) };
  }

  #array(start: Position): Expression {
    const elements: Expression[] = [];
    while (!this.#isPunctuation(']')) {
      elements.push(this.#expression());
      if (!this.#isPunctuation(']')) this.#expect(',');
    }
    this.#at++;
    return this.#node(start, { kind: 'array', elements }, ...elements);
  }

  #record(start: Position): Expression {
    const first = this.#peek();
    const next = this.#tokens[this.#at + 1];
    if (first.kind === 'identifier' && next?.kind === 'identifier' && next.text === 'with') {
      this.#at += 2;
      const base = this.#node(first.span.start, { kind: 'identifier', name: first.text });
      const properties = this.#isPunctuation('}') ? [] : this.#properties('}');
      this.#expect('}');
      return this.#node(
        start,
        { kind: 'record', with: base, properties },
        base,
        ...properties.map(({ value }) => value),
      );
    }
    const properties = this.#isPunctuation('}') ? [] : this.#properties('}');
    this.#expect('}');
    return this.#node(start, { kind: 'record', properties }, ...properties.map(({ value }) => value));
  }

  /** `key: value, "key": value, key` up to `closing`, which stays. */
  #properties(closing: string): Property[] {
    const properties: Property[] = [];
    do {
      const token = this.#take();
      const { start } = token.span;
      const quoted = token.kind === 'string' && token.parts.length === 1 ? token.parts[0] : undefined;
      const key = token.kind === 'identifier' ? token.text : quoted;
      if (typeof key !== 'string') throw this.#expected(closing === ')' ? 'RPAREN' : 'RBRACE', token);
      if (this.#isPunctuation(':')) {
        this.#at++;
        const value = this.#expression();
        properties.push({ key, value, span: this.#since(start) });
      } else {
        const value = this.#node(start, { kind: 'identifier', name: key });
        properties.push({ key, value, span: token.span });
      }
      if (closing === ')' && properties.slice(0, -1).some((property) => property.key === key)) {
        throw new FluxError(`duplicate keyword parameter specified: ${JSON.stringify(key)}`);
      }
      if (!this.#isPunctuation(',')) return properties;
      this.#at++;
    } while (!this.#isPunctuation(closing));
    return properties;
  }

  #node(start: Position, expression: Unbuilt, ...children: readonly Expression[]): Expression {
    const height = 1 + Math.max(0, ...children.map((child) => child.height));
    const span = this.#since(start);
    if (height > MAX_HEIGHT) throw syntaxError(span, 'the expression is too long a chain');
    return { ...expression, span, height } as Expression;
  }

  #since(start: Position): Span {
    return { start, end: this.#tokens[this.#at - 1]?.span.end ?? start };
  }

  #peek(): Token {
    return this.#tokens[this.#at]!;
  }

  /** The end is never passed. */
  #take(): Token {
    const token = this.#peek();
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  #isPunctuation(text: string): boolean {
    const token = this.#peek();
    return token.kind === 'punctuation' && token.text === text;
  }

  #isWord(text: string): boolean {
    const token = this.#peek();
    return token.kind === 'identifier' && token.text === text;
  }

  #identifier(): string {
    const token = this.#take();
    if (token.kind !== 'identifier' || KEYWORDS.has(token.text)) throw this.#expected('IDENT', token);
    return token.text;
  }

  #word(text: string): void {
    if (!this.#isWord(text)) throw this.#expected(text.toUpperCase(), this.#peek());
    this.#at++;
  }

  #expect(text: string): Token {
    if (!this.#isPunctuation(text)) throw this.#expected(TOKEN_NAMES[text] ?? text, this.#peek());
    return this.#take();
  }

  #expected(what: string, token: Token): Error {
    return syntaxError(token.span, `expected ${what}, got ${describe(token)}`);
  }
}

const ADDITIVE = new Set(['+', '-']);
const MULTIPLICATIVE = new Set(['*', '/', '%']);
const EXPONENT = new Set(['^']);

/** What InfluxDB calls its tokens. */
const TOKEN_NAMES: Readonly<Record<string, string>> = {
  '(': 'LPAREN',
  ')': 'RPAREN',
  '[': 'LBRACK',
  ']': 'RBRACK',
  '{': 'LBRACE',
  '}': 'RBRACE',
  ',': 'COMMA',
  ':': 'COLON',
  '.': 'DOT',
  '=': 'ASSIGN',
  '=>': 'ARROW',
  '|>': 'PIPE_FORWARD',
  '<-': 'PIPE_RECEIVE',
  '+': 'ADD',
  '-': 'SUB',
  '*': 'MUL',
  '/': 'DIV',
  '%': 'MOD',
  '^': 'POW',
  '==': 'EQ',
  '!=': 'NEQ',
  '<': 'LT',
  '<=': 'LTE',
  '>': 'GT',
  '>=': 'GTE',
  '=~': 'REGEXEQ',
  '!~': 'REGEXNEQ',
};

function describe(token: Token): string {
  if (token.kind === 'end') return 'EOF';
  if (token.kind === 'punctuation') return TOKEN_NAMES[token.text] ?? token.text;
  if (token.kind === 'identifier') return KEYWORDS.has(token.text) ? token.text.toUpperCase() : `IDENT (${token.text})`;
  return token.kind.toUpperCase();
}

function matchParentheses(tokens: readonly Token[]): ReadonlyMap<number, number> {
  const closing = new Map<number, number>();
  const open: number[] = [];
  tokens.forEach((token, index) => {
    if (token.kind !== 'punctuation') return;
    if (token.text === '(') open.push(index);
    else if (token.text === ')' && open.length > 0) closing.set(open.pop()!, index);
  });
  return closing;
}
