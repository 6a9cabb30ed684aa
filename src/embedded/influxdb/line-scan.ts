/** What the parts of the line protocol's reader share. */

/** The longest series key, in bytes, escapes included. */
export const MAX_KEY_BYTES = 65535;

export const SPACE = 32;
export const QUOTE = 34;
export const COMMA = 44;
export const MINUS = 45;
export const POINT = 46;
export const ZERO = 48;
export const NINE = 57;
export const EQUALS = 61;
export const BACKSLASH = 92;

/** What is wrong with one line. */
export class LineError extends Error {}

/** The first `stop` that is not escaped, or `end`. */
export function findUnescaped(text: string, stop: number, from: number, end: number): number {
  for (let i = from; i < end; i++) {
    if (text.charCodeAt(i) === stop && (i === 0 || text.charCodeAt(i - 1) !== BACKSLASH)) return i;
  }
  return end;
}

export function isDigit(char: number): boolean {
  return char >= ZERO && char <= NINE;
}

export function isInt64(digits: string): boolean {
  return isBounded(digits) && BigInt.asIntN(64, BigInt(digits)) === BigInt(digits);
}

/** Whether the number has at most 20 digits: reading it takes quadratic time. */
export function isBounded(digits: string): boolean {
  return digits.replace(/^-?0*/, '').length <= 20;
}

export function byteLength(text: string): number {
  return text.length > MAX_KEY_BYTES / 3 ? Buffer.byteLength(text) : text.length;
}

/** A copy to keep: a slice of a request's body would keep the whole body in memory. */
export function detached(slice: string): string {
  return Buffer.from(slice).toString();
}
