import { FluxError } from './errors.ts';

/** Times are nanoseconds since 1970 UTC as bigint; durations are calendar months plus nanoseconds, as Flux has them. */

export const NANOSECONDS_PER_SECOND = 1_000_000_000n;
const NANOSECONDS_PER_MILLISECOND = 1_000_000n;
/** About as far as 64 bits of nanoseconds reach. */
const MAX_MONTHS = 12 * 600;
const MAX_INT64 = 2n ** 63n - 1n;

/** A length of time. Months have no fixed length in nanoseconds, so the two are kept apart. Both parts share the sign. */
export class Duration {
  readonly months: number;
  readonly nanoseconds: bigint;

  constructor(months: number, nanoseconds: bigint) {
    this.months = months;
    this.nanoseconds = nanoseconds;
  }

  get isZero(): boolean {
    return this.months === 0 && this.nanoseconds === 0n;
  }

  get isNegative(): boolean {
    return this.months < 0 || this.nanoseconds < 0n;
  }

  /** Both months and nanoseconds: no window can be that long. */
  get isMixed(): boolean {
    return this.months !== 0 && this.nanoseconds !== 0n;
  }

  times(factor: number): Duration {
    return new Duration(this.months * factor, this.nanoseconds * BigInt(factor));
  }

  equals(other: Duration): boolean {
    return this.months === other.months && this.nanoseconds === other.nanoseconds;
  }

  /** As a Flux literal, largest units first: `1mo2d3h`. */
  toString(): string {
    if (this.isZero) return '0ns';
    let text = this.isNegative ? '-' : '';
    const months = Math.abs(this.months);
    if (months >= 12) text += `${Math.floor(months / 12)}y`;
    if (months % 12 > 0) text += `${months % 12}mo`;
    let rest = this.nanoseconds < 0n ? -this.nanoseconds : this.nanoseconds;
    for (const [unit, size] of DURATION_UNITS) {
      if (rest >= size) text += `${rest / size}${unit}`;
      rest %= size;
    }
    return text;
  }
}

const DURATION_UNITS: readonly (readonly [string, bigint])[] = [
  ['w', 604_800n * NANOSECONDS_PER_SECOND],
  ['d', 86_400n * NANOSECONDS_PER_SECOND],
  ['h', 3_600n * NANOSECONDS_PER_SECOND],
  ['m', 60n * NANOSECONDS_PER_SECOND],
  ['s', NANOSECONDS_PER_SECOND],
  ['ms', 1_000_000n],
  ['us', 1_000n],
  ['ns', 1n],
];

/** Longer than any range: the `every` of the one window that holds everything. */
export const INFINITE = new Duration(0, MAX_INT64);

/** Whole units below `t`, also before 1970. */
export function floorDivide(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  return dividend % divisor < 0n ? quotient - 1n : quotient;
}

/** The UTC calendar date and time of day of `t`, with what is below a millisecond kept aside. */
function calendar(t: bigint): { date: Date; belowMillisecond: bigint } {
  const milliseconds = floorDivide(t, NANOSECONDS_PER_MILLISECOND);
  return { date: new Date(Number(milliseconds)), belowMillisecond: t - milliseconds * NANOSECONDS_PER_MILLISECOND };
}

/**
 * Calendar months first (the day is kept within its month), then nanoseconds.
 * @throws FluxError if the calendar doesn't reach that far
 */
export function addDuration(t: bigint, duration: Duration): bigint {
  if (duration.months === 0) return t + duration.nanoseconds;
  if (Math.abs(duration.months) > MAX_MONTHS) throw new FluxError('runtime error: time is out of range');
  const { date, belowMillisecond } = calendar(t);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + duration.months);
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(day, lastDay));
  return BigInt(date.getTime()) * NANOSECONDS_PER_MILLISECOND + belowMillisecond + duration.nanoseconds;
}

/** Months since January 1970, and how far into its month `t` is (ns). */
export function splitMonth(t: bigint): { months: number; within: bigint } {
  const { date } = calendar(t);
  const start = Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
  return {
    months: (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth(),
    within: t - BigInt(start) * NANOSECONDS_PER_MILLISECOND,
  };
}

/** Calendar fields of `t` in UTC. */
export function utcFields(t: bigint): Date {
  return calendar(t).date;
}

/** The date that was formatted last: a column's times mostly lie on one day. */
let latestDay = { day: 0, text: '1970-01-01' };

/** RFC 3339 in UTC with as many digits of the second's fraction as it has, up to nine. */
export function formatTime(t: bigint): string {
  const wholeSeconds = floorDivide(t, NANOSECONDS_PER_SECOND);
  const seconds = Number(wholeSeconds);
  const day = Math.floor(seconds / 86_400);
  if (day !== latestDay.day) latestDay = { day, text: new Date(day * 86_400_000).toISOString().slice(0, 10) };
  const ofDay = seconds - day * 86_400;
  const pad = (n: number) => (n < 10 ? `0${n}` : n);
  const clock = `${pad(Math.floor(ofDay / 3600))}:${pad(Math.floor(ofDay / 60) % 60)}:${pad(ofDay % 60)}`;
  const below = t - wholeSeconds * NANOSECONDS_PER_SECOND;
  if (below === 0n) return `${latestDay.text}T${clock}Z`;
  const fraction = String(below).padStart(9, '0');
  let end = fraction.length;
  while (fraction[end - 1] === '0') end--;
  return `${latestDay.text}T${clock}.${fraction.slice(0, end)}Z`;
}

/** As `formatTime`, with all nine digits of the fraction: how Flux makes a string of a time. */
export function formatTimeInFull(t: bigint): string {
  const { date, belowMillisecond } = calendar(t);
  return `${date.toISOString().slice(0, 23)}${String(belowMillisecond).padStart(6, '0')}Z`;
}

/** Nanoseconds of `2024-01-02`, `2024-01-02T03:04:05`, with a fraction, `Z` or `±hh:mm`; undefined if it is none. */
export function parseTime(text: string): bigint | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?)?$/.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((digits) => Number(digits ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  date.setUTCHours(hour, minute, second);
  const zone = match[8] ?? 'Z';
  const offsetMinutes =
    zone === 'Z' ? 0 : Number(`${zone[0]}1`) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6)));
  const fraction = BigInt((match[7] ?? '').slice(0, 9).padEnd(9, '0'));
  return BigInt(date.getTime() - offsetMinutes * 60_000) * NANOSECONDS_PER_MILLISECOND + fraction;
}
