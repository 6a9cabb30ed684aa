import type { Position, Span } from './ast.ts';
import { syntaxError } from './errors.ts';
import { parseTime } from './time.ts';

/** Flux's tokens. The text is read once, character by character. */

export type Token = { readonly span: Span } & (
  | { readonly kind: 'identifier'; readonly text: string }
  | { readonly kind: 'punctuation'; readonly text: string }
  | { readonly kind: 'integer'; readonly value: bigint }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'duration'; readonly months: number; readonly nanoseconds: bigint }
  | { readonly kind: 'time'; readonly nanoseconds: bigint }
  | { readonly kind: 'regexp'; readonly source: string }
  /** A part that is not text is what stood in `${…}`. */
  | { readonly kind: 'string'; readonly parts: readonly (string | readonly Token[])[] }
  | { readonly kind: 'end' }
);

/** Longest script, in UTF-16 units. */
export const MAX_SCRIPT_LENGTH = 1024 * 1024;
const MAX_INTERPOLATION_DEPTH = 32;
const MAX_INTEGER = 2n ** 63n - 1n;

const PUNCTUATION = [
  '|>', '<-', '=>', '==', '!=', '<=', '>=', '=~', '!~',
  '(', ')', '[', ']', '{', '}', ',', ':', '.', '=', '<', '>', '+', '-', '*', '/', '%', '^',
] as const; // biome-ignore format: a table
const SECOND = 1_000_000_000n;
const UNITS: Readonly<Record<string, { months?: number; nanoseconds?: bigint }>> = {
  y: { months: 12 },
  mo: { months: 1 },
  w: { nanoseconds: 604_800n * SECOND },
  d: { nanoseconds: 86_400n * SECOND },
  h: { nanoseconds: 3_600n * SECOND },
  m: { nanoseconds: 60n * SECOND },
  s: { nanoseconds: SECOND },
  ms: { nanoseconds: 1_000_000n },
  us: { nanoseconds: 1_000n },
  µs: { nanoseconds: 1_000n },
  ns: { nanoseconds: 1n },
};

const isDigit = (c: string) => c >= '0' && c <= '9';
const isLetter = (c: string) =>
  (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c === '_' || c === 'µ' || c > '\u00bf';

/** @throws FluxError for a character or literal that Flux doesn't have */
export function tokenize(text: string): Token[] {
  const lexer = new Lexer(text);
  if (text.length > MAX_SCRIPT_LENGTH) {
    throw syntaxError(lexer.spanFrom(lexer.position()), `the script is longer than ${MAX_SCRIPT_LENGTH} characters`);
  }
  const tokens = lexer.tokens(0);
  return tokens;
}

class Lexer {
  readonly #text: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;

  constructor(text: string) {
    this.#text = text;
  }

  position(): Position {
    return { line: this.#line, column: this.#at - this.#lineStart + 1 };
  }

  spanFrom(start: Position): Span {
    return { start, end: this.position() };
  }

  /** Up to the end of the text or, within an interpolation, to the `}` that closes it (which is taken). */
  tokens(depth: number): Token[] {
    const tokens: Token[] = [];
    let braces = 0;
    for (;;) {
      this.#skipBlanks();
      const start = this.position();
      if (this.#at >= this.#text.length) {
        if (depth > 0) throw syntaxError(this.spanFrom(start), 'unterminated string interpolation');
        tokens.push({ kind: 'end', span: this.spanFrom(start) });
        return tokens;
      }
      const token = this.#next(start, tokens.at(-1), depth);
      if (depth > 0 && token.kind === 'punctuation') {
        if (token.text === '{') braces++;
        if (token.text === '}' && braces-- === 0) {
          tokens.push({ kind: 'end', span: token.span });
          return tokens;
        }
      }
      tokens.push(token);
    }
  }

  #next(start: Position, previous: Token | undefined, depth: number): Token {
    const c = this.#text[this.#at]!;
    if (isLetter(c)) return { kind: 'identifier', text: this.#word(), span: this.spanFrom(start) };
    if (isDigit(c) || (c === '.' && isDigit(this.#text[this.#at + 1] ?? ''))) return this.#number(start);
    if (c === '"') return this.#string(start, depth);
    if (c === '/' && !endsOperand(previous)) return this.#regexp(start);
    for (const text of PUNCTUATION) {
      if (this.#text.startsWith(text, this.#at)) {
        this.#at += text.length;
        return { kind: 'punctuation', text, span: this.spanFrom(start) };
      }
    }
    this.#at++;
    throw syntaxError(this.spanFrom(start), `invalid statement: ${c}`);
  }

  #skipBlanks(): void {
    for (;;) {
      const c = this.#text[this.#at];
      if (c === '\n') this.#newline();
      else if (c === ' ' || c === '\t' || c === '\r') this.#at++;
      else if (c === '/' && this.#text[this.#at + 1] === '/') {
        const end = this.#text.indexOf('\n', this.#at);
        this.#at = end < 0 ? this.#text.length : end;
      } else return;
    }
  }

  #newline(): void {
    this.#at++;
    this.#line++;
    this.#lineStart = this.#at;
  }

  #word(): string {
    const from = this.#at;
    while (isLetter(this.#text[this.#at] ?? '') || isDigit(this.#text[this.#at] ?? '')) this.#at++;
    return this.#text.slice(from, this.#at);
  }

  #digits(): string {
    const from = this.#at;
    while (isDigit(this.#text[this.#at] ?? '')) this.#at++;
    return this.#text.slice(from, this.#at);
  }

  /** An integer, a float, a duration (`1h30m`) or a time (`2024-01-02`, `2024-01-02T03:04:05.6Z`). */
  #number(start: Position): Token {
    const from = this.#at;
    const whole = this.#digits();
    const next = this.#text[this.#at];
    if (next === '-' && whole.length === 4 && this.#hasDate(from)) return this.#time(start, from);
    if (next === '.' && isDigit(this.#text[this.#at + 1] ?? '')) {
      this.#at++;
      const fraction = this.#digits();
      return { kind: 'float', value: Number(`${whole || '0'}.${fraction}`), span: this.spanFrom(start) };
    }
    if (next === '.' && !isLetter(this.#text[this.#at + 1] ?? '')) {
      this.#at++;
      return { kind: 'float', value: Number(whole), span: this.spanFrom(start) };
    }
    if (isLetter(next ?? '')) return this.#duration(start, from);
    if (whole.length > 1 && whole[0] === '0') {
      throw syntaxError(
        this.spanFrom(start),
        `invalid integer literal ${JSON.stringify(whole)}: nonzero value cannot start with 0`,
      );
    }
    const value = BigInt(whole);
    if (value > MAX_INTEGER)
      throw syntaxError(this.spanFrom(start), `invalid integer literal ${JSON.stringify(whole)}: value out of range`);
    return { kind: 'integer', value, span: this.spanFrom(start) };
  }

  #duration(start: Position, from: number): Token {
    this.#at = from;
    let months = 0;
    let nanoseconds = 0n;
    while (isDigit(this.#text[this.#at] ?? '')) {
      const count = this.#digits();
      const unitFrom = this.#at;
      while (isLetter(this.#text[this.#at] ?? '')) this.#at++;
      const unit = UNITS[this.#text.slice(unitFrom, this.#at)];
      if (!unit || count.length > 18) {
        throw syntaxError(
          this.spanFrom(start),
          `invalid duration literal ${JSON.stringify(this.#text.slice(from, this.#at))}`,
        );
      }
      months += Number(count) * (unit.months ?? 0);
      nanoseconds += BigInt(count) * (unit.nanoseconds ?? 0n);
    }
    if (nanoseconds > MAX_INTEGER || months > 1_000_000) {
      throw syntaxError(
        this.spanFrom(start),
        `invalid duration literal ${JSON.stringify(this.#text.slice(from, this.#at))}: value out of range`,
      );
    }
    return { kind: 'duration', months, nanoseconds, span: this.spanFrom(start) };
  }

  #hasDate(from: number): boolean {
    const text = this.#text;
    return [5, 6, 8, 9].every((offset) => isDigit(text[from + offset] ?? '')) && text[from + 7] === '-';
  }

  #time(start: Position, from: number): Token {
    this.#at = from + 10;
    if (this.#text[this.#at] === 'T') {
      this.#at++;
      while (isDigit(this.#text[this.#at] ?? '') || this.#text[this.#at] === ':') this.#at++;
      if (this.#text[this.#at] === '.') {
        this.#at++;
        this.#digits();
      }
      if (this.#text[this.#at] === 'Z') this.#at++;
      else if (this.#text[this.#at] === '+' || this.#text[this.#at] === '-') this.#at += 6;
    }
    const literal = this.#text.slice(from, this.#at);
    const nanoseconds = parseTime(literal);
    if (nanoseconds === undefined) {
      throw syntaxError(this.spanFrom(start), `invalid date time literal ${JSON.stringify(literal)}`);
    }
    return { kind: 'time', nanoseconds, span: this.spanFrom(start) };
  }

  #string(start: Position, depth: number): Token {
    this.#at++;
    const parts: (string | readonly Token[])[] = [];
    let text = '';
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined) throw syntaxError(this.spanFrom(start), 'unterminated string literal');
      if (c === '"') {
        this.#at++;
        if (text !== '' || parts.length === 0) parts.push(text);
        return { kind: 'string', parts, span: this.spanFrom(start) };
      }
      if (c === '$' && this.#text[this.#at + 1] === '{') {
        if (depth >= MAX_INTERPOLATION_DEPTH)
          throw syntaxError(this.spanFrom(start), 'string interpolations are nested too deep');
        if (text !== '') parts.push(text);
        text = '';
        this.#at += 2;
        parts.push(this.tokens(depth + 1));
      } else if (c === '\\') text += this.#escape(start);
      else {
        text += c;
        if (c === '\n') this.#newline();
        else this.#at++;
      }
    }
  }

  #escape(start: Position): string {
    const c = this.#text[this.#at + 1];
    const plain = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$' }[c ?? ''];
    if (plain !== undefined) {
      this.#at += 2;
      return plain;
    }
    if (c !== 'x') throw syntaxError(this.spanFrom(start), `invalid escape character ${c ?? 'EOF'}`);
    // \xNN is a byte: a run of them spells UTF-8.
    const bytes: number[] = [];
    while (this.#text[this.#at] === '\\' && this.#text[this.#at + 1] === 'x') {
      const value = hexByte(this.#text.slice(this.#at + 2, this.#at + 4));
      if (value === undefined) throw syntaxError(this.spanFrom(start), 'invalid byte value in a string escape');
      bytes.push(value);
      this.#at += 4;
    }
    return Buffer.from(bytes).toString('utf8');
  }

  #regexp(start: Position): Token {
    this.#at++;
    let source = '';
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined || c === '\n') throw syntaxError(this.spanFrom(start), 'unterminated regular expression');
      this.#at++;
      if (c === '/') return { kind: 'regexp', source, span: this.spanFrom(start) };
      if (c === '\\' && this.#text[this.#at] === '/') {
        this.#at++;
        source += '/';
      } else if (c === '\\') {
        source += c + (this.#text[this.#at] ?? '');
        this.#at++;
      } else source += c;
    }
  }
}

function hexByte(digits: string): number | undefined {
  const value = digits.length === 2 ? Number(`0x${digits}`) : Number.NaN;
  return Number.isInteger(value) ? value : undefined;
}

const OPERATOR_WORDS = new Set(['and', 'or', 'not', 'exists', 'if', 'then', 'else', 'return', 'in', 'with']);

/** After an operand, `/` divides; anywhere else it opens a regular expression. */
function endsOperand(token: Token | undefined): boolean {
  if (token === undefined) return false;
  if (token.kind === 'identifier') return !OPERATOR_WORDS.has(token.text);
  if (token.kind === 'punctuation') return token.text === ')' || token.text === ']' || token.text === '}';
  return true;
}
