import {
  BACKSLASH,
  byteLength,
  COMMA,
  EQUALS,
  findUnescaped,
  isBounded,
  isDigit,
  isInt64,
  LineError,
  MAX_KEY_BYTES,
  MINUS,
  POINT,
  QUOTE,
  SPACE,
} from './line-scan.ts';

export type Field =
  | { readonly key: string; readonly type: 'float'; readonly value: number }
  | { readonly key: string; readonly type: 'integer' | 'unsigned'; readonly value: bigint }
  | { readonly key: string; readonly type: 'string'; readonly value: string }
  | { readonly key: string; readonly type: 'boolean'; readonly value: boolean };

/** Checks the fields' form and finds their end: the first space outside quotes. */
export function scanFields(text: string, start: number, end: number): number {
  let quoted = false;
  let values = 0;
  let separators = 0;
  let i = start;
  while (i < end) {
    const char = text.charCodeAt(i);
    if (char === BACKSLASH && i + 1 < end) {
      i += 2;
      continue;
    }
    if (char === QUOTE && values > separators) quoted = !quoted;
    else if (!quoted) {
      if (char === SPACE) break;
      if (char === COMMA) separators++;
      else if (char === EQUALS) {
        values++;
        const before = text.charCodeAt(i - 1);
        if ((before === SPACE || before === COMMA) && text.charCodeAt(i - 2) !== BACKSLASH) {
          throw new LineError('missing field key');
        }
        const value = i + 1 < end ? text.charCodeAt(i + 1) : SPACE;
        if (value === COMMA || value === SPACE) throw new LineError('missing field value');
        if (value !== QUOTE) {
          i = startsNumber(value) ? scanNumber(text, i + 1, end) : scanBoolean(text, i + 1, end);
          continue;
        }
      }
    }
    i++;
  }
  if (quoted) throw new LineError('unbalanced quotes');
  if (values === 0 || separators !== values - 1) throw new LineError('invalid field format');
  return Math.min(i, end);
}

/** A digit, `.`, `-`, or the N of NaN, which is then refused as a number. */
function startsNumber(char: number): boolean {
  return isDigit(char) || char === POINT || char === MINUS || char === 78 || char === 110;
}

function endOfScalar(text: string, start: number, end: number): number {
  let i = start;
  for (; i < end; i++) {
    const char = text.charCodeAt(i);
    if (char === COMMA || char === SPACE) break;
  }
  return i;
}

function scanNumber(text: string, start: number, end: number): number {
  const stop = endOfScalar(text, start, end);
  let i = text.charCodeAt(start) === MINUS ? start + 1 : start;
  let digits = 0;
  let points = 0;
  for (; i < stop; i++) {
    const char = text.charCodeAt(i);
    if (isDigit(char)) digits++;
    else if (char === POINT) points++;
    else break;
  }
  if (i === stop && digits > 0 && points < 2) {
    if (stop - start >= 25 && !Number.isFinite(Number(text.slice(start, stop)))) throw new LineError('invalid float');
    return stop;
  }
  const last = text.charCodeAt(stop - 1);
  if (i === stop - 1 && points === 0 && digits > 0) {
    if (last === 105) return checkInteger(text.slice(start, i), stop);
    if (last === 117 && text.charCodeAt(start) !== MINUS) return checkUnsigned(text.slice(start, i), stop);
  }
  const written = text.slice(start, stop);
  if (points > 1 || !/^-?[\d.]*[eE](?:[\d.eE]|(?<=[eE])[+-])*$/.test(written) || written.split('.').length > 2) {
    throw new LineError('invalid number');
  }
  if (!Number.isFinite(Number(written))) throw new LineError('invalid float');
  return stop;
}

function checkInteger(digits: string, stop: number): number {
  if (digits.length >= 19 && !isInt64(digits)) {
    throw new LineError(`unable to parse integer ${digits}: strconv.ParseInt: parsing "${digits}": value out of range`);
  }
  return stop;
}

function checkUnsigned(digits: string, stop: number): number {
  if (digits.length >= 20 && !(isBounded(digits) && BigInt(digits) < 2n ** 64n)) {
    throw new LineError(
      `unable to parse unsigned ${digits}: strconv.ParseUint: parsing "${digits}": value out of range`,
    );
  }
  return stop;
}

const BOOLEANS = new Map([
  ...['t', 'T', 'true', 'True', 'TRUE'].map((text) => [text, true] as const),
  ...['f', 'F', 'false', 'False', 'FALSE'].map((text) => [text, false] as const),
]);

function scanBoolean(text: string, start: number, end: number): number {
  const stop = endOfScalar(text, start, end);
  if (!BOOLEANS.has(text.slice(start, stop))) throw new LineError('invalid boolean');
  return stop;
}

/** Reads fields that {@link scanFields} found right. @throws LineError */
export function readFields(text: string, rawKey: string, start: number, end: number): Field[] {
  const fields: Field[] = [];
  for (let i = start; i < end; ) {
    const equals = findUnescaped(text, EQUALS, i, end);
    if (equals > end - 2) throw new LineError(`invalid value: field-key=${text.slice(i, equals)}`);
    const valueEnd = endOfFieldValue(text, equals + 1, end);
    const rawField = text.slice(i, equals);
    if (rawKey.length + rawField.length > MAX_KEY_BYTES / 3) checkKeyBytes(rawKey, rawField);
    fields.push(readField(unescapeFieldKey(rawField), text.slice(equals + 1, valueEnd)));
    i = valueEnd + 1;
  }
  return fields;
}

/** InfluxDB files a field under the series key, four more bytes and the field's key. */
function checkKeyBytes(rawKey: string, rawField: string): void {
  const bytes = byteLength(rawKey) + 4 + byteLength(rawField);
  if (bytes > MAX_KEY_BYTES) throw new LineError(`max key length exceeded: ${bytes} > ${MAX_KEY_BYTES}`);
}

function endOfFieldValue(text: string, start: number, end: number): number {
  if (text.charCodeAt(start) !== QUOTE) {
    const comma = findComma(text, start, end);
    if (comma >= 0) return comma;
  }
  let quoted = false;
  for (let i = start; i < end; i++) {
    const char = text.charCodeAt(i);
    if (char === QUOTE) quoted = !quoted;
    else if (char === COMMA && !quoted) return i;
    else if (char === BACKSLASH && i + 1 < end) {
      const escaped = text.charCodeAt(i + 1);
      if (escaped === QUOTE || escaped === BACKSLASH) i++;
    }
  }
  return end;
}

/** The end of a value without quotes or backslashes, -1 if it has some. */
function findComma(text: string, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    const char = text.charCodeAt(i);
    if (char === COMMA) return i;
    if (char === QUOTE || char === BACKSLASH) return -1;
  }
  return end;
}

function readField(key: string, raw: string): Field {
  const first = raw.charCodeAt(0);
  if (first === QUOTE) return { key, type: 'string', value: unescapeString(raw.slice(1, -1)) };
  if (startsNumber(first)) {
    const last = raw.charCodeAt(raw.length - 1);
    if (last === 105) return { key, type: 'integer', value: BigInt(raw.slice(0, -1)) };
    if (last === 117) return { key, type: 'unsigned', value: BigInt(raw.slice(0, -1)) };
    return { key, type: 'float', value: Number(raw) };
  }
  const value = BOOLEANS.get(raw);
  if (value === undefined) throw new LineError('invalid field format');
  return { key, type: 'boolean', value };
}

function unescapeFieldKey(raw: string): string {
  return raw.includes('\\') ? raw.replace(/\\([," =])/g, '$1') : raw;
}

function unescapeString(raw: string): string {
  return raw.includes('\\') ? raw.replace(/\\(["\\])/g, '$1') : raw;
}
