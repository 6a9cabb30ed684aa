import { BACKSLASH, byteLength, COMMA, EQUALS, LineError, MAX_KEY_BYTES } from './line-scan.ts';

/** The measurement and tags of a line: what InfluxDB calls the series key. */
export interface SeriesKey {
  readonly measurement: string;
  /** Sorted by key, unescaped. */
  readonly tags: ReadonlyMap<string, string>;
  /** The same for every spelling of one series. */
  readonly canonical: string;
}

/** One text per series, whatever the order of tags and the escapes were. */
export function canonicalKey(measurement: string, tags: ReadonlyMap<string, string>): string {
  return JSON.stringify([measurement, ...tags].flat());
}

const RESERVED_TAG_KEYS = new Set(['_field', '_measurement', 'time', '\u0000']);

/**
 * Reads measurement and tags.
 * @param isWholeLine whether nothing follows, which is an error of its own once the key is right
 * @throws LineError
 */
export function readSeriesKey(raw: string, isWholeLine: boolean): SeriesKey {
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

function unescapeMeasurement(raw: string): string {
  return raw.includes('\\') ? raw.replace(/\\([, ])/g, '$1') : raw;
}

function unescapeTag(raw: string): string {
  return raw.includes('\\') ? raw.replace(/\\([, =])/g, '$1') : raw;
}
