/**
 * What `JSON.parse` can't tell about a JSON text. Node.js 20 has no reviver context, so the digits of a number
 * beyond 2^53 have to be looked up in the text itself.
 */

/** Whether objects and arrays are nested deeper than `limit` levels. */
export function isDeeperThan(text: string, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = stringEnd(text, at) - 1;
    else if (char === '{' || char === '[') {
      if (++depth > limit) return true;
    } else if (char === '}' || char === ']') depth--;
  }
  return false;
}

/**
 * The number as it is written at the top level of an object's text, e.g. `1700000000123456789`.
 * Of duplicate keys the last one counts, as in `JSON.parse`.
 * @param text a text that `JSON.parse` took for an object
 */
export function numberAsWritten(text: string, key: string): string | undefined {
  const number = /\s*:\s*(-?[\d.eE+-]+)?/y;
  let depth = 0;
  let written: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') depth--;
    else if (char === '"') {
      const end = stringEnd(text, at);
      number.lastIndex = end;
      const value = depth === 1 && number.exec(text);
      if (value && JSON.parse(text.slice(at, end)) === key) written = value[1];
      at = end - 1;
    }
  }
  return written;
}

/** The index after the closing quote of the string that starts at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
