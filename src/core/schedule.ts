import { CronTimes, type Direction } from './cron-times.ts';
import { WallClock } from './wall-clock.ts';

/**
 * The instants of a schedule, pure and the same at every site. When the clocks change:
 * - a time that they are put forward over is due right after the gap; a time that they show twice is due once, the first time;
 * - a cron for every hour goes by what they show: it skips what they skip, and rings twice what they show twice.
 */

export type Schedule =
  | { readonly kind: 'cron'; readonly cron: string; readonly timezone: string }
  /** Every so many minutes from `anchor` on; since 1970 where no start was given. */
  | { readonly kind: 'interval'; readonly minutes: number; readonly anchor: number }
  | { readonly kind: 'once'; readonly at: number };

/** No clocks are put back by more. */
const MAX_PUT_BACK_MS = 3 * 3_600_000;

/** From when to when (ms since 1970, both included). */
export interface Bounds {
  readonly from?: number;
  readonly until?: number;
}

/** All times are ms since 1970. */
export class Timetable {
  readonly #nearest: (instant: number, direction: Direction) => number | undefined;
  readonly #from: number;
  readonly #until: number;

  constructor(schedule: Schedule, { from, until }: Bounds = {}) {
    this.#from = from ?? Number.NEGATIVE_INFINITY;
    this.#until = until ?? Number.POSITIVE_INFINITY;
    this.#nearest = nearestOf(schedule);
  }

  /** The first instant after this time. */
  next(after: number): number | undefined {
    const instant = this.#nearest(Math.max(after, this.#from - 1), 1);
    return instant !== undefined && instant <= this.#until ? instant : undefined;
  }

  /** The last instant before this time. */
  previous(before: number): number | undefined {
    const instant = this.#nearest(Math.min(before, this.#until + 1), -1);
    return instant !== undefined && instant >= this.#from ? instant : undefined;
  }
}

function nearestOf(schedule: Schedule): (instant: number, direction: Direction) => number | undefined {
  switch (schedule.kind) {
    case 'cron':
      return nearestOfCron(CronTimes.of(schedule.cron), WallClock.of(schedule.timezone));
    case 'interval': {
      const period = schedule.minutes * 60_000;
      const { anchor } = schedule;
      return (instant, direction) => {
        const periods = (instant - anchor) / period;
        return anchor + (direction > 0 ? Math.floor(periods) + 1 : Math.ceil(periods) - 1) * period;
      };
    }
    case 'once':
      return (instant, direction) => (direction * (schedule.at - instant) > 0 ? schedule.at : undefined);
  }
}

function nearestOfCron(times: CronTimes, clock: WallClock) {
  const instantsOf = (wall: number): number[] => {
    const shown = clock.shows(wall);
    if (times.isHourWise) return shown;
    return [shown[0] ?? clock.afterGap(wall)];
  };
  /** The wall time that no instant beyond this one falls short of (-1), or goes past (1), whatever the clocks do around it. */
  const edge = (instant: number, side: Direction): number => {
    const { before, after } = clock.offsetsAround(instant, MAX_PUT_BACK_MS);
    return instant + (side > 0 ? Math.max(before, after) : Math.min(before, after));
  };
  return (instant: number, direction: Direction): number | undefined => {
    let nearest: number | undefined;
    // Where the clocks are put back, a later wall time can be the earlier instant; so all that can be nearer are looked at.
    let wall: number | undefined = edge(instant, direction > 0 ? -1 : 1);
    for (;;) {
      wall = times.nearest(wall, direction);
      if (wall === undefined) return nearest;
      for (const each of instantsOf(wall)) {
        const isNearer = nearest === undefined || direction * (nearest - each) > 0;
        if (direction * (each - instant) > 0 && isNearer) nearest = each;
      }
      if (nearest !== undefined && direction * (edge(nearest, direction) - wall) <= 0) return nearest;
    }
  };
}

/** The time that an instant stands for: `from` included, `to` not (ms since 1970). */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** Windows are cut by the clock: each begins when this cron is due. */
const BOUNDARIES: Record<string, string> = {
  day: '0 0 * * *',
  hour: '0 * * * *',
  P1D: '0 0 * * *',
  P1W: '0 0 * * 1',
  P1M: '0 0 1 * *',
};

/** The cron at which windows of this length begin; undefined for lengths that do not divide an hour or a day. */
export function windowBoundaries(length: string): string | undefined {
  const [, count, unit] = /^PT(\d{1,2})([MH])$/.exec(length) ?? [];
  if (!unit) return Object.hasOwn(BOUNDARIES, length) ? BOUNDARIES[length] : undefined;
  if (unit === 'M') return 60 % Number(count) === 0 ? `*/${count} * * * *` : undefined;
  return 24 % Number(count) === 0 ? `0 */${count} * * *` : undefined;
}

/**
 * Says for each instant which closed window it stands for: the last one of this length that has ended by then, cut by the
 * zone's clocks (so a day has 23, 24 or 25 hours); where no length is given the day before for a daily cron, and the
 * time since the instant before for others. An instant of `once` stands for none.
 */
export function windowsOf(
  schedule: Schedule,
  timezone: string,
  length?: string,
): (instant: number) => Window | undefined {
  if (schedule.kind === 'once' && length === undefined) return () => undefined;
  const isDaily = schedule.kind === 'cron' && CronTimes.of(schedule.cron).isDaily;
  const cron = windowBoundaries(length ?? (isDaily ? 'day' : ''));
  const boundaries = new Timetable(cron === undefined ? schedule : { kind: 'cron', cron, timezone });
  return (instant) => {
    const to = boundaries.previous(instant + 1);
    const from = to === undefined ? undefined : boundaries.previous(to);
    return from === undefined ? undefined : { from, to: to! };
  };
}
