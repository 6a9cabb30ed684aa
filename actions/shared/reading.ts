import { escape as escapeName } from '@influxdata/influxdb-client';
import { isDeeperThan, numberAsWritten } from './json-text.ts';
import { isRecord, type Message } from './payload.ts';
import type { Refusal } from './result.ts';
import { parseTime } from './time.ts';

/**
 * A sensor's message as points: a JSON object whose numeric fields become one line each,
 * `<key>,datacenter_id=<dc>,device_fingerprint=<fp> value=<float> <ns>`.
 */

/** What the site says about the data center that readings belong to. */
export interface Site {
  readonly datacenterId?: string;
  /** Whose `datacenter_id` counts: the payload's, the site's, or the site's while a payload with another is refused. */
  readonly enforce: 'trust' | 'tag' | 'reject';
}

/** A message may have both lines and a refusal: a field that can't be stored costs no other. */
export interface Reading {
  /** Line protocol. */
  readonly lines: readonly string[];
  readonly refusal?: Refusal;
  /** Fields that are no points: strings, booleans, null, nested values. */
  readonly ignoredFields: number;
  /** Whether it names a time that can't be its time. */
  readonly oddTime: boolean;
}

export const MAX_FIELDS = 10_000;
export const MAX_DEPTH = 100;

const TAGS = ['datacenter_id', 'device_fingerprint'] as const;
const TIMES = ['time', 'timestamp'] as const;
const NOT_POINTS = new Set<string>([...TAGS, ...TIMES]);

/** Reads a message; never throws, whatever its body. */
export function readMessage(message: Message, site: Site): Reading {
  const text = message.isBase64 ? decodeUtf8(message.body) : message.body;
  if (text === undefined) return refused('INVALID_UTF8', 'the body is not UTF-8 text.');
  if (text.trim() === '') return refused('EMPTY', 'the body is empty.');
  if (isDeeperThan(text, MAX_DEPTH)) return refused('TOO_DEEP', `the body is nested deeper than ${MAX_DEPTH} levels.`);
  const fields = parseJson(text);
  if (fields === undefined) return refused('NOT_JSON', 'the body is not JSON.');
  if (!isRecord(fields)) return refused('NOT_AN_OBJECT', 'the body is JSON, but not an object.');
  const entries = Object.entries(fields);
  if (entries.length > MAX_FIELDS) {
    return refused('TOO_MANY_FIELDS', `the body has ${entries.length} fields, more than ${MAX_FIELDS}.`);
  }
  const tags = readTags(fields, text, site);
  if (typeof tags !== 'string') return { lines: [], refusal: tags, ignoredFields: 0, oddTime: false };

  const time = readTime(fields, text, message.receivedAt);
  const suffix = ` ${time ?? message.receivedAt}`;
  const lines: string[] = [];
  const problems: string[] = [];
  let ignoredFields = 0;
  for (const [key, value] of entries) {
    if (NOT_POINTS.has(key)) continue;
    if (typeof value !== 'number') {
      ignoredFields++;
      continue;
    }
    const problem = Number.isFinite(value) ? measurementProblem(key) : 'is no finite number';
    if (problem) problems.push(`${nameForPeople(key)} ${problem}`);
    else lines.push(`${escapeName.measurement(key)}${tags} value=${value}${suffix}`);
  }
  const refusal = refusalOf(problems, lines.length);
  const oddTime = time === undefined && TIMES.some((key) => Object.hasOwn(fields, key));
  return { lines, ...(refusal && { refusal }), ignoredFields, oddTime };
}

function refused(code: string, message: string): Reading {
  return { lines: [], refusal: { code, message }, ignoredFields: 0, oddTime: false };
}

function refusalOf(problems: readonly string[], points: number): Refusal | undefined {
  if (problems.length > 0) {
    const rest = problems.length > 5 ? `; and ${problems.length - 5} more` : '';
    const message = `${problems.slice(0, 5).join('; ')}${rest}. The other numeric fields (${points}) are not affected.`;
    return { code: 'FIELD_REFUSED', message };
  }
  return points > 0 ? undefined : { code: 'NO_NUMERIC_FIELD', message: 'the body has no numeric field to store.' };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeUtf8(base64: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(base64, 'base64'));
  } catch {
    return undefined;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The tag set of all points of a message, `,datacenter_id=1,device_fingerprint=7`; absent ones are left out. */
function readTags(fields: Record<string, unknown>, text: string, site: Site): string | Refusal {
  let tags = '';
  for (const key of TAGS) {
    let value = tagText(fields[key], key, text);
    if (value === undefined) return { code: 'TAG_REFUSED', message: `${key} is neither a text nor a number.` };
    if (key === 'datacenter_id' && site.datacenterId !== undefined) {
      if (site.enforce === 'reject' && value !== '' && value !== site.datacenterId) {
        const message = `the body says datacenter_id ${nameForPeople(value)}, the site is ${nameForPeople(site.datacenterId)}.`;
        return { code: 'DATACENTER_MISMATCH', message };
      }
      if (site.enforce === 'tag' || value === '') value = site.datacenterId;
    }
    const problem = nameProblem(value);
    if (problem) return { code: 'TAG_REFUSED', message: `${key} ${problem}.` };
    // InfluxDB has no empty tag values
    if (value !== '') tags += `,${key}=${escapeName.tag(value)}`;
  }
  return tags;
}

/** A tag's text, '' for an absent one, undefined for what can't be one. */
function tagText(value: unknown, key: string, text: string): string | undefined {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  // two ids that differ beyond 2^53 are two devices
  return Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : (numberAsWritten(text, key) ?? String(value));
}

function readTime(fields: Record<string, unknown>, text: string, receivedAt: bigint): bigint | undefined {
  for (const key of TIMES) {
    const value = fields[key];
    let written: string | undefined;
    if (typeof value === 'string') written = value;
    else if (Number.isSafeInteger(value)) written = String(value);
    else if (typeof value === 'number') written = numberAsWritten(text, key);
    const time = written === undefined ? undefined : parseTime(written, receivedAt);
    if (time !== undefined) return time;
  }
  return undefined;
}

/**
 * Why InfluxDB can't hold a name. Seen on 2.7: a measurement that starts with `#` is a comment and gets a 204;
 * one with a backslash before a comma, space, quote or equals sign gets a 204 and is never found again.
 */
function measurementProblem(name: string): string | undefined {
  if (name === '') return 'is an empty name';
  if (name.startsWith('#')) return 'starts with #, which makes its line a comment';
  if (/\\[ ,="]/.test(name)) return 'has a backslash before a comma, space, quote or equals sign, which InfluxDB loses';
  return nameProblem(name);
}

/** What neither a measurement nor a tag value can hold: line protocol has no escape for it. */
function nameProblem(name: string): string | undefined {
  if (name.endsWith('\\')) return 'ends with a backslash, which would escape what follows';
  if (CONTROL.test(name)) return 'has a control character';
  if (LONE_SURROGATE.test(name)) return 'has a lone surrogate, which is not a character';
  return undefined;
}

const CONTROL = /\p{Cc}/u;
const LONE_SURROGATE = /\p{Cs}/u;

/** A name in quotes, what can't be printed escaped, not longer than a person reads. */
function nameForPeople(name: string): string {
  return JSON.stringify(name.length <= 60 ? name : `${name.slice(0, 60)}…`);
}
