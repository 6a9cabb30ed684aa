/**
 * What the publishers send. A reading is known by its number, which is the first number in its body.
 *
 * - *timed* readings carry their own time. Whatever repeats them (the publisher, the broker, a firing), the point is
 *   the same one.
 * - *untimed* readings get their time on arrival. A firing that is repeated overwrites the point; a broker that lost
 *   its memory of our acknowledgement (kill -9 between two saves) sends what is a new message by the protocol.
 * - *bad* readings can't be stored and are to be parked.
 */
export type ReadingKind = 'timed' | 'untimed' | 'bad';

/** Series per kind: few, since what InfluxDB does with millions of series is not the question. */
export const DEVICES = 8;
export const MEASUREMENT = 'reading';

/** 2026-01-01T00:00:00Z in µs; reading n was measured n µs later. */
const MEASURED_FROM_US = 1_767_225_600_000_000;

export function kindOf(n: number): ReadingKind {
  if (n % 1_009 === 0) return 'bad';
  return n % 4 === 1 ? 'untimed' : 'timed';
}

export function topicOf(n: number): string {
  return `readings/${kindOf(n)}/${n % DEVICES}`;
}

export function deviceOf(kind: 'timed' | 'untimed', device: number): string {
  return `${kind}-${device}`;
}

export function bodyOf(n: number): string {
  const kind = kindOf(n);
  if (kind === 'bad') return `reading ${n} is no JSON`;
  const time = kind === 'timed' ? `,"time":${MEASURED_FROM_US + n}000` : '';
  return `{"${MEASUREMENT}":${n},"device_fingerprint":"${deviceOf(kind, n % DEVICES)}"${time}}`;
}

/** The number of a reading by its body. */
export function numberOf(body: string): number {
  return Number(/\d+/.exec(body)?.[0]);
}
