import { DateTime } from 'luxon';
import { isRecord, type Params } from './payload.ts';
import { ActionError } from './result.ts';

/** Windows of time: closed at the start, open at the end, ms since 1970. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** The lengths that windows can have: a part of a day, which begins anew at each midnight, or whole days. */
export type Every = { readonly seconds: number } | { readonly days: number };

/** ISO 8601 with its offset; a time without one could be anybody's. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$/;

/**
 * The payload's `window: {from, to}`.
 * @returns undefined if there is none
 * @throws ActionError `PAYLOAD_INVALID`
 */
export function windowOf({ window }: Params): Window | undefined {
  if (window === undefined || window === null) return undefined;
  const [from, to] = isRecord(window) ? [window.from, window.to].map(instant) : [];
  if (from === undefined || to === undefined || from >= to) {
    throw new ActionError('PAYLOAD_INVALID', 'window must be {from, to}: ISO times with offset, from before to.');
  }
  return { from, to };
}

function instant(text: unknown): number | undefined {
  const time = typeof text === 'string' && INSTANT.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

/** The window as a payload has it. */
export function isoWindow({ from, to }: Window): { from: string; to: string } {
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

const UNIT_SECONDS = { s: 1, m: 60, h: 3_600 } as const;
const DAY_SECONDS = 86_400;
const WORDS: Readonly<Record<string, string>> = { day: '1d', hour: '1h', week: '1w' };

/**
 * `day`, `hour`, `week`, a number with s, m, h, d or w (`30m`, `2d`), or as alarms have it: `PT30M`, `P1D`.
 * What is a multiple of a day is in days.
 * @throws ActionError `PARAMETER_INVALID`
 */
export function everyOf(value: unknown): Every {
  const text = typeof value === 'string' ? value.trim().toLowerCase() : '';
  const [, digits = '0', unit = ''] = /^(?:pt?)?(\d{1,6}) ?([smhdw])$/.exec(WORDS[text] ?? text) ?? [];
  const count = Number(digits);
  if (count === 0) {
    throw new ActionError('PARAMETER_INVALID', 'every must be a duration such as 30m, PT30M, 1d, or day, hour, week.');
  }
  if (unit === 'd' || unit === 'w') return { days: unit === 'w' ? count * 7 : count };
  const seconds = count * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS];
  return seconds % DAY_SECONDS === 0 ? { days: seconds / DAY_SECONDS } : { seconds };
}

/** As `everyOf` reads it. */
export function everyText(every: Every): string {
  return 'days' in every ? `${every.days}d` : `${every.seconds}s`;
}

/**
 * The length whose windows this one is one of.
 * @returns undefined if it begins or ends between them
 */
export function lengthOf(window: Window, zone: string): Every | undefined {
  const [from, to] = [window.from, window.to].map((instant) => DateTime.fromMillis(instant, { zone }));
  const days = to!.diff(from!, 'days').days;
  const every = Number.isInteger(days) ? { days } : { seconds: Math.ceil((window.to - window.from) / 1_000) };
  return following(window.from, every, zone) === window.to ? every : undefined;
}

/**
 * The name of a time zone, UTC where there is none.
 * @throws ActionError `PARAMETER_INVALID`
 */
export function zoneOf(value: unknown): string {
  if (value === undefined || value === null || value === '') return 'UTC';
  if (typeof value !== 'string' || !DateTime.local({ zone: value }).isValid) {
    throw new ActionError('PARAMETER_INVALID', 'timezone must be a name such as UTC or Europe/Rome.');
  }
  return value;
}

/**
 * Cuts a window into those of a length, by the clock of the zone: days from midnight to midnight, however long, and
 * parts of a day from each midnight on. The first and the last are cut off at the window's own ends.
 */
export function* subdivided(window: Window, every: Every, zone: string): Generator<Window> {
  for (let { from } = window; from < window.to; ) {
    const to = Math.min(following(from, every, zone), window.to);
    yield { from, to };
    from = to;
  }
}

/** The window of this length that was closed last before `instant`. */
export function closedBefore(instant: number, every: Every, zone: string): Window {
  const midnight = DateTime.fromMillis(instant, { zone }).startOf('day');
  if ('days' in every) return { from: midnight.minus({ days: every.days }).toMillis(), to: midnight.toMillis() };
  const begin = midnight.minus({ days: 1 }).toMillis();
  const closed = [...subdivided({ from: begin, to: instant }, every, zone)];
  // the last one ends at the instant itself: it is closed only if its length says so
  const last = closed.at(-1)!;
  return following(last.from, every, zone) <= instant ? last : closed.at(-2)!;
}

/** The window of `count` lengths that ends where this one begins. */
export function before({ from }: Window, every: Every, count: number, zone: string): Window {
  const begin = DateTime.fromMillis(from, { zone }).minus(
    'days' in every ? { days: every.days * count } : { seconds: every.seconds * count },
  );
  return { from: begin.toMillis(), to: from };
}

/** Where the window that `from` is in ends. */
function following(from: number, every: Every, zone: string): number {
  const begin = DateTime.fromMillis(from, { zone });
  const midnight = begin.startOf('day');
  if ('days' in every) return midnight.plus({ days: every.days }).toMillis();
  const secondOfDay = begin.hour * 3_600 + begin.minute * 60 + begin.second;
  const next = (Math.floor(secondOfDay / every.seconds) + 1) * every.seconds;
  const tomorrow = midnight.plus({ days: 1 }).toMillis();
  if (next >= DAY_SECONDS) return tomorrow;
  // The clock is put forward or back between windows of an hour or less, but within longer ones.
  const end =
    every.seconds <= 3_600
      ? from + (next - secondOfDay) * 1_000 - begin.millisecond
      : begin
          .set({
            hour: Math.floor(next / 3_600),
            minute: Math.floor(next / 60) % 60,
            second: next % 60,
            millisecond: 0,
          })
          .toMillis();
  return Math.min(end > from ? end : from + every.seconds * 1_000, tomorrow);
}
