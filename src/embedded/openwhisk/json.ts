import { isUtf8 } from 'node:buffer';

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text that is not JSON; the message says where, with a caret under the place, in the words of OpenWhisk's parser. */
export class JsonSyntaxError extends Error {}

const MAX_NESTING = 1_000;

/** @throws JsonSyntaxError, also for more than 1,000 levels, which JSON.stringify might not survive */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new JsonSyntaxError(describe(text, locate(text)));
  }
  if (!isNestedDeeper(value, MAX_NESTING)) return value;
  throw new JsonSyntaxError(
    `JSON input nested too deeply:JSON input was nested more deeply than the configured limit of maxNesting = ${MAX_NESTING}`,
  );
}

function isNestedDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const member of Object.values(value)) if (isNestedDeeper(member, levels - 1)) return true;
  return false;
}

/**
 * A JSON object's text in parts, with further members in front, which the object's own override: JSON readers keep the last of
 * equal keys. Nothing is parsed or copied.
 */
export function withDefaults(defaults: JsonObject, object: Buffer): Buffer[] {
  const members = JSON.stringify(defaults).slice(1, -1);
  if (members === '') return [object];
  const open = object.indexOf('{');
  let first = open + 1;
  while (object[first]! <= 0x20) first++;
  const comma = object[first] === 0x7d ? '' : ',';
  return [Buffer.from(`{${members}${comma}`), object.subarray(open + 1)];
}

/** The bytes as valid UTF-8: what is not becomes U+FFFD, as in the parsed text. */
export function validUtf8(bytes: Buffer, text: string): Buffer {
  return isUtf8(bytes) ? bytes : Buffer.from(text);
}

/** JSON as OpenWhisk prints it for web actions: two spaces, arrays on one line. */
export function prettyJson(value: unknown, indent = ''): string {
  if (Array.isArray(value)) return `[${value.map((item) => prettyJson(item, indent)).join(', ')}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? 'null';
  const inner = `${indent}  `;
  const members = Object.entries(value).map(
    ([key, item]) => `${inner}${JSON.stringify(key)}: ${prettyJson(item, inner)}`,
  );
  return members.length === 0 ? '{\n\n}' : `{\n${members.join(',\n')}\n${indent}}`;
}

interface Fault {
  readonly at: number;
  readonly expected: string;
  /** The character that is named, if it is not the one at `at`. */
  readonly found?: number;
}

function describe(text: string, { at, expected, found = at }: Fault): string {
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  const lineStart = before.lastIndexOf('\n') + 1;
  const lineEnd = text.indexOf('\n', at);
  const what = found >= text.length ? 'Unexpected end-of-input' : `Unexpected character '${text[found]}'`;
  const shown = text.slice(lineStart, lineEnd < 0 ? undefined : lineEnd);
  const column = at - lineStart;
  return `${what} at input index ${at} (line ${line}, position ${column + 1}), expected ${expected}:\n${shown}\n${' '.repeat(column)}^\n`;
}

/** A string, or a number or word; `\p{Cc}` as JSON strings hold no control characters. */
const STRING = /"(?:[^"\\\p{Cc}]|\\.)*"/uy;
const SCALAR = /"(?:[^"\\\p{Cc}]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;

/** Where a text that JSON.parse refused stops being JSON (RFC 8259), and what would have had to follow. */
function locate(text: string): Fault {
  let at = 0;
  const closers: string[] = [];
  const skip = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at += match[0].length;
    return match !== null;
  };
  for (;;) {
    skip(/[ \t\r\n]*/y);
    const start = at;
    const opened = text[at];
    if (opened === '{' || opened === '[') {
      at++;
      skip(/[ \t\r\n]*/y);
      closers.push(opened === '{' ? '}' : ']');
      if (text[at] !== closers.at(-1)) {
        if (opened === '[') continue;
        if (!skip(STRING)) return { at, expected: `'"'` };
        skip(/[ \t\r\n]*/y);
        if (text[at] !== ':') return { at, expected: "':'" };
        at++;
        continue;
      }
    } else if (!skip(SCALAR)) {
      skip(/t(?:r(?:u)?)?|f(?:a(?:l(?:s)?)?)?|n(?:u(?:l)?)?/y);
      return { at: start, expected: 'JSON Value', found: at };
    }
    for (;;) {
      skip(/[ \t\r\n]*/y);
      const closer = closers.at(-1);
      if (closer === undefined) return { at, expected: 'end-of-input' };
      if (text[at] === closer) {
        at++;
        closers.pop();
        continue;
      }
      if (text[at] !== ',') return { at, expected: `',' or '${closer}'` };
      at++;
      if (closer === ']') break;
      skip(/[ \t\r\n]*/y);
      if (!skip(STRING)) return { at, expected: `'"'` };
      skip(/[ \t\r\n]*/y);
      if (text[at] !== ':') return { at, expected: "':'" };
      at++;
      break;
    }
  }
}
