/**
 * InfluxDB's line protocol, read as InfluxDB 2.7 reads it: what it accepts, what it refuses and in which words.
 * Oddities of its reader that clients can meet are kept (a carriage return before the newline is an error, a
 * backslash escapes by looking at one character only), so that a script behaves the same against either.
 */

export type Precision = 'ns' | 'us' | 'ms' | 's';

/** The measurement and tags of a line: what InfluxDB calls the series key. */
export interface SeriesKey {
  readonly measurement: string;
  /** Sorted by key, unescaped. */
  readonly tags: ReadonlyMap<string, string>;
  /** The same for every spelling of one series. */
  readonly canonical: string;
}

export type Field =
  | { readonly key: string; readonly type: 'float'; readonly value: number }
  | { readonly key: string; readonly type: 'integer' | 'unsigned'; readonly value: bigint }
  | { readonly key: string; readonly type: 'string'; readonly value: string }
  | { readonly key: string; readonly type: 'boolean'; readonly value: boolean };

export interface Point {
  readonly series: SeriesKey;
  readonly fields: readonly Field[];
  /** ns since 1970. */
  readonly time: bigint;
}

/** At least one line can't be read; the message names each of them. InfluxDB then stores none of the request. */
export class LineProtocolError extends Error {}

/** The longest series key, in bytes, escapes included. */
const MAX_KEY_BYTES = 65535;
const MIN_TIME = -(2n ** 63n) + 2n;
const MAX_TIME = 2n ** 63n - 2n;
const UNIT = { ns: 1n, us: 1_000n, ms: 1_000_000n, s: 1_000_000_000n };
/** Series keys are few and repeat; past this many the memory of them starts again. */
const MAX_KNOWN_KEYS = 20_000;

const TAB = 9;
const NEWLINE = 10;
const SPACE = 32;
const QUOTE = 34;
const HASH = 35;
const COMMA = 44;
const MINUS = 45;
const POINT = 46;
const ZERO = 48;
const NINE = 57;
const EQUALS = 61;
const BACKSLASH = 92;

/** What is wrong with one line. */
class LineError extends Error {}

export class LineProtocolReader {
  readonly #knownKeys = new Map<string, SeriesKey>();

  /**
   * Reads the points of a request's body.
   * @param now time of the lines without one, ns since 1970; it is cut to the precision
   * @throws LineProtocolError
   */
  read(text: string, precision: Precision, now: bigint): Point[] {
    const unit = UNIT[precision];
    const defaultTime = now - (now % unit);
    const plain = !text.includes('\\') && !text.includes('"');
    const points: Point[] = [];
    const failed: string[] = [];
    for (let next = 0; next < text.length; ) {
      const end = plain ? endOfPlainLine(text, next) : endOfLine(text, next);
      const start = skipBlanks(text, next, end);
      next = end + 1;
      if (start === end || text.charCodeAt(start) === HASH) continue;
      try {
        points.push(this.#readLine(text, start, end, unit, defaultTime));
      } catch (error) {
        if (!(error instanceof LineError)) throw error;
        failed.push(`unable to parse '${text.slice(start, end)}': ${error.message}`);
      }
    }
    if (failed.length > 0) throw new LineProtocolError(failed.join('\n'));
    return points;
  }

  #readLine(text: string, start: number, end: number, unit: bigint, defaultTime: bigint): Point {
    const keyEnd = endOfKey(text, start, end);
    const rawKey = text.slice(start, keyEnd);
    const series = this.#seriesKey(rawKey, keyEnd === end);
    const fieldsStart = skipBlanks(text, keyEnd, end);
    const fieldsEnd = scanFields(text, fieldsStart, end);
    const fields = readFields(text, rawKey, fieldsStart, fieldsEnd);
    const time = readTime(text, fieldsEnd, end, unit) ?? defaultTime;
    return { series, fields, time };
  }

  #seriesKey(raw: string, isWholeLine: boolean): SeriesKey {
    const known = this.#knownKeys.get(raw);
    if (known && !isWholeLine) return known;
    const key = readSeriesKey(raw, isWholeLine);
    if (this.#knownKeys.size >= MAX_KNOWN_KEYS) this.#knownKeys.clear();
    this.#knownKeys.set(raw, key);
    return key;
  }
}

/** One text per series, whatever the order of tags and the escapes were. */
export function canonicalKey(measurement: string, tags: ReadonlyMap<string, string>): string {
  return JSON.stringify([measurement, ...tags].flat());
}

function endOfPlainLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

/** The newline that ends the line: not one that is escaped or inside a quoted field value. */
function endOfLine(text: string, from: number): number {
  let inFields = false;
  let quoted = false;
  let values = 0;
  let separators = 0;
  for (let i = from; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === BACKSLASH && i + 2 < text.length) i++;
    else if (char === NEWLINE && !quoted) return i;
    else if (char === SPACE) inFields = true;
    else if (!inFields) continue;
    else if (char === QUOTE && values > separators) quoted = !quoted;
    else if (char === EQUALS && !quoted) values++;
    else if (char === COMMA && !quoted) separators++;
  }
  return text.length;
}

function skipBlanks(text: string, from: number, end: number): number {
  let i = from;
  for (; i < end; i++) {
    const char = text.charCodeAt(i);
    if (char !== SPACE && char !== TAB && char !== 0) break;
  }
  return i;
}

/** The first space that is not escaped; it ends measurement and tags in every state of InfluxDB's reader. */
function endOfKey(text: string, start: number, end: number): number {
  for (let i = start + 1; i < end; i++) {
    if (text.charCodeAt(i) === SPACE && text.charCodeAt(i - 1) !== BACKSLASH) return i;
  }
  return end;
}

/** The first `stop` that is not escaped, or `end`. */
function findUnescaped(text: string, stop: number, from: number, end: number): number {
  for (let i = from; i < end; i++) {
    if (text.charCodeAt(i) === stop && (i === 0 || text.charCodeAt(i - 1) !== BACKSLASH)) return i;
  }
  return end;
}

const RESERVED_TAG_KEYS = new Set(['_field', '_measurement', 'time', '\u0000']);

function readSeriesKey(raw: string, isWholeLine: boolean): SeriesKey {
  if (raw.charCodeAt(0) === COMMA) throw new LineError('missing measurement');
  let i = 1;
  while (i < raw.length && (raw.charCodeAt(i) !== COMMA || raw.charCodeAt(i - 1) === BACKSLASH)) i++;
  const measurement = unescapeMeasurement(raw.slice(0, i));
  const rawTags: Array<[key: string, value: string]> = [];
  while (i < raw.length) {
    const keyStart = i + 1;
    const keyEnd = endOfTagKey(raw, keyStart);
    i = endOfTagValue(raw, keyEnd + 1);
    rawTags.push([raw.slice(keyStart, keyEnd), raw.slice(keyEnd + 1, i)]);
  }
  if (isWholeLine) throw new LineError('missing fields');
  for (const [key] of rawTags) {
    if (RESERVED_TAG_KEYS.has(key))
      throw new LineError(`cannot use reserved tag key "${key === '\u0000' ? '\\x00' : key}"`);
  }
  if (new Set(rawTags.map(([key]) => key)).size < rawTags.length) throw new LineError('duplicate tags');
  if (byteLength(raw) > MAX_KEY_BYTES) {
    throw new LineError(`max key length exceeded: ${byteLength(raw)} > ${MAX_KEY_BYTES}`);
  }
  const tags = new Map(
    rawTags
      .map(([key, value]): [string, string] => [unescapeTag(key), unescapeTag(value)])
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
  return { measurement, tags, canonical: canonicalKey(measurement, tags) };
}

function endOfTagKey(raw: string, start: number): number {
  const first = raw.charCodeAt(start);
  if (start >= raw.length || first === COMMA || first === EQUALS) throw new LineError('missing tag key');
  for (let i = start + 1; i < raw.length; i++) {
    if (raw.charCodeAt(i - 1) === BACKSLASH) continue;
    const char = raw.charCodeAt(i);
    if (char === COMMA) break;
    if (char === EQUALS) return i;
  }
  throw new LineError('missing tag value');
}

function endOfTagValue(raw: string, start: number): number {
  if (start >= raw.length || raw.charCodeAt(start) === COMMA) throw new LineError('missing tag value');
  for (let i = start + 1; i < raw.length; i++) {
    if (raw.charCodeAt(i - 1) === BACKSLASH) continue;
    const char = raw.charCodeAt(i);
    if (char === EQUALS) throw new LineError('invalid tag format');
    if (char === COMMA) return i;
  }
  return raw.length;
}

/** Checks the fields' form and finds their end: the first space outside quotes. */
function scanFields(text: string, start: number, end: number): number {
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

function isDigit(char: number): boolean {
  return char >= ZERO && char <= NINE;
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

function isInt64(digits: string): boolean {
  return isBounded(digits) && BigInt.asIntN(64, BigInt(digits)) === BigInt(digits);
}

/** Whether the number has at most 20 digits: reading it takes quadratic time. */
function isBounded(digits: string): boolean {
  return digits.replace(/^-?0*/, '').length <= 20;
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

function readFields(text: string, rawKey: string, start: number, end: number): Field[] {
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

function readTime(text: string, from: number, end: number, unit: bigint): bigint | undefined {
  const start = skipBlanks(text, from, end);
  let i = start;
  for (; i < end; i++) {
    const char = text.charCodeAt(i);
    if (char === SPACE || char === NEWLINE) break;
    if (!isDigit(char) && !(i === start && char === MINUS)) throw new LineError('bad timestamp');
  }
  if (i === start) return undefined;
  const raw = text.slice(start, i);
  if (raw === '-') throw new LineError('strconv.ParseInt: parsing "-": invalid syntax');
  const isLong = raw.length > 19 || (raw.length === 19 && text.charCodeAt(start) === NINE);
  if (isLong && !isInt64(raw)) throw new LineError(`strconv.ParseInt: parsing "${raw}": value out of range`);
  const time = unit === 1n ? BigInt(raw) : BigInt(raw) * unit;
  if (time < MIN_TIME || time > MAX_TIME) throw new LineError(`time outside range ${MIN_TIME} - ${MAX_TIME}`);
  for (; i < end; i++) {
    if (text.charCodeAt(i) !== SPACE) throw new LineError('point is invalid');
  }
  return time;
}

function unescapeMeasurement(raw: string): string {
  return raw.includes('\\') ? raw.replace(/\\([, ])/g, '$1') : raw;
}

function unescapeTag(raw: string): string {
  return raw.includes('\\') ? raw.replace(/\\([, =])/g, '$1') : raw;
}

function unescapeFieldKey(raw: string): string {
  return raw.includes('\\') ? raw.replace(/\\([," =])/g, '$1') : raw;
}

function unescapeString(raw: string): string {
  return raw.includes('\\') ? raw.replace(/\\(["\\])/g, '$1') : raw;
}

function byteLength(text: string): number {
  return text.length > MAX_KEY_BYTES / 3 ? Buffer.byteLength(text) : text.length;
}
