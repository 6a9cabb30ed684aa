import { createTask, parse } from 'node-cron';

/**
 * The wall times that a cron expression names, forwards and backwards. node-cron reads the expression (`parse`) and says
 * whether a day is one of its days (`match`, which knows `L`, `W`, `#` and the names). It is asked in UTC, where every
 * wall time exists once; what a change of the clocks means is decided in schedule.ts. Its timers and its run
 * coordinator are not used: they ask the machine's clock, decide about an instant only while it is due, and know
 * nothing of missed ones.
 */

export type Direction = 1 | -1;

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** In 40 years every date falls on every day of the week, also around a year like 2100 without a leap day. */
const MAX_DAYS = 40 * 366;
const MAX_REMEMBERED = 5_000;
const MAX_EXPRESSION_CHARACTERS = 256;

type IsDay = (wallMidnight: number) => boolean;

export class CronTimes {
  /** Ten thousand alarms have few different expressions, and fewer different days; a task of node-cron takes 4 kB. */
  static readonly #known = new Map<string, CronTimes>();
  static readonly #isDayOf = new Map<string, IsDay>();
  readonly #isDay: IsDay;
  readonly #hours: readonly number[];
  readonly #minutes: readonly number[];
  readonly #seconds: readonly number[];
  /** It names every hour of its days. */
  readonly isHourWise: boolean;
  /** It names one time of every day. */
  readonly isDaily: boolean;

  /** @throws Error if {@link isCron} says no */
  static of(expression: string): CronTimes {
    const known = CronTimes.#known.get(expression);
    if (known) return known;
    const times = new CronTimes(expression);
    if (CronTimes.#known.size >= MAX_REMEMBERED) CronTimes.#known.clear();
    CronTimes.#known.set(expression, times);
    return times;
  }

  private constructor(expression: string) {
    const { second, minute, hour, dayOfMonth, month, dayOfWeek } = parse(expression);
    this.#seconds = ascending(second);
    this.#minutes = ascending(minute);
    this.#hours = ascending(hour);
    const isEveryDay = dayOfMonth.length === 31 && month.length === 12 && dayOfWeek.length === 7;
    this.#isDay = isEveryDay ? () => true : CronTimes.#daysOf(`${dayOfMonth} ${month} ${dayOfWeek}`, month);
    this.isHourWise = this.#hours.length === 24;
    this.isDaily = isEveryDay && this.#hours.length * this.#minutes.length * this.#seconds.length === 1;
  }

  static #daysOf(fields: string, months: readonly number[]): IsDay {
    let isDay = CronTimes.#isDayOf.get(fields);
    if (!isDay) {
      const task = createTask(`0 0 0 ${fields}`, () => undefined, { timezone: 'UTC' });
      void task.destroy(); // leaves node-cron's list of tasks; `match` goes on
      isDay = (midnight) => {
        const date = new Date(midnight);
        return months.includes(date.getUTCMonth() + 1) && task.match(date);
      };
      if (CronTimes.#isDayOf.size >= MAX_REMEMBERED) CronTimes.#isDayOf.clear();
      CronTimes.#isDayOf.set(fields, isDay);
    }
    return isDay;
  }

  /** The nearest of its wall times after (1) or before (-1) `wall`; undefined if there is none in forty years. */
  nearest(wall: number, direction: Direction): number | undefined {
    const today = Math.floor(wall / DAY_MS);
    for (let day = today; Math.abs(day - today) <= MAX_DAYS; day += direction) {
      if (!this.#isDay(day * DAY_MS)) continue;
      const time = this.#nearestOfDay(wall - day * DAY_MS, direction);
      if (time !== undefined) return day * DAY_MS + time;
    }
    return undefined;
  }

  /** The same within one day, in ms since its midnight. */
  #nearestOfDay(limit: number, direction: Direction): number | undefined {
    const isBeyond = (start: number, length: number) =>
      direction > 0 ? start + length - SECOND_MS > limit : start < limit;
    for (const hour of ordered(this.#hours, direction)) {
      if (!isBeyond(hour * HOUR_MS, HOUR_MS)) continue;
      for (const minute of ordered(this.#minutes, direction)) {
        const start = hour * HOUR_MS + minute * MINUTE_MS;
        if (!isBeyond(start, MINUTE_MS)) continue;
        for (const second of ordered(this.#seconds, direction)) {
          const time = start + second * SECOND_MS;
          if (isBeyond(time, SECOND_MS)) return time;
        }
      }
    }
    return undefined;
  }
}

/** Whether this is a cron expression of 5 or 6 fields that ever comes true. */
export function isCron(expression: string): boolean {
  if (expression.length > MAX_EXPRESSION_CHARACTERS) return false;
  try {
    return CronTimes.of(expression).nearest(Date.UTC(2000), 1) !== undefined;
  } catch {
    return false;
  }
}

function ascending(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function ordered(values: readonly number[], direction: Direction): readonly number[] {
  return direction > 0 ? values : values.toReversed();
}
