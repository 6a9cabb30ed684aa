import { type Field, readFields, scanFields } from './line-fields.ts';
import { readSeriesKey, type SeriesKey } from './line-key.ts';
import {
  BACKSLASH,
  COMMA,
  detached,
  EQUALS,
  isDigit,
  isInt64,
  LineError,
  MINUS,
  NINE,
  QUOTE,
  SPACE,
} from './line-scan.ts';

/**
 * InfluxDB's line protocol, read as InfluxDB 2.7 reads it: what it accepts, what it refuses and in which words.
 * Oddities of its reader that clients can meet are kept (a carriage return before the newline is an error, a
 * backslash escapes by looking at one character only), so that a script behaves the same against either.
 */

export type Precision = 'ns' | 'us' | 'ms' | 's';

export interface Point {
  readonly series: SeriesKey;
  readonly fields: readonly Field[];
  /** ns since 1970. */
  readonly time: bigint;
}

/** At least one line can't be read; the message names each of them. InfluxDB then stores none of the request. */
export class LineProtocolError extends Error {}

const MIN_TIME = -(2n ** 63n) + 2n;
const MAX_TIME = 2n ** 63n - 2n;
const UNIT = { ns: 1n, us: 1_000n, ms: 1_000_000n, s: 1_000_000_000n };
/** Series keys are few and repeat; past this many the memory of them starts again. */
const MAX_KNOWN_KEYS = 20_000;
const MAX_KNOWN_KEY_LENGTH = 1_000;

const TAB = 9;
const NEWLINE = 10;
const HASH = 35;

export class LineProtocolReader {
  readonly #knownKeys = new Map<string, SeriesKey>();

  /**
   * Reads the points of a request's body, one at a time: kept together, those of a large request would outlive the young
   * generation of the heap.
   * @param now time of the lines without one, ns since 1970; it is cut to the precision
   * @throws LineProtocolError at the end, if any line is wrong; no points come after the first that is
   */
  *read(text: string, precision: Precision, now: bigint): Generator<Point, void, undefined> {
    const unit = UNIT[precision];
    const defaultTime = now - (now % unit);
    const plain = !text.includes('\\') && !text.includes('"');
    const failed: string[] = [];
    for (let next = 0; next < text.length; ) {
      const end = plain ? endOfPlainLine(text, next) : endOfLine(text, next);
      const start = skipBlanks(text, next, end);
      next = end + 1;
      if (start === end || text.charCodeAt(start) === HASH) continue;
      let point: Point;
      try {
        point = this.#readLine(text, start, end, unit, defaultTime);
      } catch (error) {
        if (!(error instanceof LineError)) throw error;
        failed.push(`unable to parse '${text.slice(start, end)}': ${error.message}`);
        continue;
      }
      if (failed.length === 0) yield point;
    }
    if (failed.length > 0) throw new LineProtocolError(failed.join('\n'));
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
    const own = detached(raw);
    const key = readSeriesKey(own, isWholeLine);
    if (own.length > MAX_KNOWN_KEY_LENGTH) return key;
    if (this.#knownKeys.size >= MAX_KNOWN_KEYS) this.#knownKeys.clear();
    this.#knownKeys.set(own, key);
    return key;
  }
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
