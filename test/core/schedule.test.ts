import fc from 'fast-check';
import { DateTime } from 'luxon';
import { describe, expect, it } from 'vitest';
import { isCron } from '../../src/core/cron-times.ts';
import { type Schedule, Timetable, windowBoundaries, windowsOf } from '../../src/core/schedule.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;

function at(text: string, zone = 'utc'): number {
  const time = DateTime.fromISO(text, { zone });
  if (!time.isValid) throw new Error(text);
  return time.toMillis();
}

function cron(expression: string, timezone = 'UTC'): Schedule {
  return { kind: 'cron', cron: expression, timezone };
}

/** The instants in [from, to), as UTC. */
function instants(schedule: Schedule, from: number, to: number): string[] {
  const timetable = new Timetable(schedule);
  const found: string[] = [];
  for (let next = timetable.next(from - 1); next !== undefined && next < to; next = timetable.next(next)) {
    found.push(new Date(next).toISOString().replace(':00.000Z', 'Z'));
  }
  return found;
}

describe('a cron', () => {
  it.each([
    ['0 3 * * *', '2026-01-01T03:00Z', '2026-01-02T03:00Z'],
    ['0 */30 * * * *', '2026-01-01T00:30Z', '2026-01-01T01:00Z'],
    ['*/20 * * * * *', '2026-01-01T00:00:20Z', '2026-01-01T00:00:40Z'],
    ['0 0 29 2 *', '2028-02-29T00:00Z', '2032-02-29T00:00Z'],
    ['0 0 L * *', '2026-01-31T00:00Z', '2026-02-28T00:00Z'],
    ['0 12 * * mon#2', '2026-01-12T12:00Z', '2026-02-09T12:00Z'],
    ['0 12 * * 5L', '2026-01-30T12:00Z', '2026-02-27T12:00Z'],
    ['0 12 15W * *', '2026-01-15T12:00Z', '2026-02-16T12:00Z'],
    ['15 10 * jan-mar mon-fri', '2026-01-01T10:15Z', '2026-01-02T10:15Z'],
    ['0 0 29 2 7', '2032-02-29T00:00Z', '2060-02-29T00:00Z'],
  ])('%s is due at %s and %s', (expression, first, second) => {
    const timetable = new Timetable(cron(expression));
    const next = timetable.next(at('2026-01-01T00:00'))!;
    expect([next, timetable.next(next)]).toEqual([Date.parse(first), Date.parse(second)]);
    expect(timetable.previous(Date.parse(second))).toBe(Date.parse(first));
  });

  it('is refused where it can never come true, or is none', () => {
    for (const good of ['0 3 * * *', '0 */30 * * * *', '@daily', '0 0 29 2 *']) expect(isCron(good), good).toBe(true);
    for (const bad of ['', '60 * * * *', '* * * *', '0 0 30 2 *', '0 0 1 * 1#3', 'a b c d e', '1,'.repeat(1_000)]) {
      expect(isCron(bad), bad).toBe(false);
    }
  });

  it('keeps to the bounds', () => {
    const timetable = new Timetable(cron('0 * * * *'), { from: at('2026-01-01T05:00'), until: at('2026-01-01T06:00') });
    expect(timetable.next(0)).toBe(at('2026-01-01T05:00'));
    expect(timetable.next(at('2026-01-01T05:00'))).toBe(at('2026-01-01T06:00'));
    expect(timetable.next(at('2026-01-01T06:00'))).toBeUndefined();
    expect(timetable.previous(at('2027-01-01T00:00'))).toBe(at('2026-01-01T06:00'));
    expect(timetable.previous(at('2026-01-01T05:00'))).toBeUndefined();
  });
});

describe('an interval and a date', () => {
  it('are due every so many minutes from their start on, and once', () => {
    const interval = new Timetable({ kind: 'interval', minutes: 7, anchor: at('2026-01-01T00:01') });
    expect(interval.next(at('2026-01-01T00:01'))).toBe(at('2026-01-01T00:08'));
    expect(interval.previous(at('2026-01-01T00:08'))).toBe(at('2026-01-01T00:01'));
    const once = new Timetable({ kind: 'once', at: 1_000 });
    expect([once.next(999), once.next(1_000), once.previous(1_000), once.previous(1_001)]).toEqual([
      1_000,
      undefined,
      undefined,
      1_000,
    ]);
  });
});

describe('when the clocks change', () => {
  // New York: 2026-03-08 02:00 -> 03:00 at 07:00Z, 2026-11-01 02:00 -> 01:00 at 06:00Z.
  it('a time that does not exist is due right after the gap, once', () => {
    const day = [at('2026-03-08T00:00Z'), at('2026-03-09T00:00Z')] as const;
    expect(instants(cron('30 2 * * *', 'America/New_York'), ...day)).toEqual(['2026-03-08T07:00Z']);
    expect(instants(cron('*/5 2 * * *', 'America/New_York'), ...day)).toEqual(['2026-03-08T07:00Z']);
    expect(instants(cron('0 2-3 * * *', 'America/New_York'), ...day)).toEqual(['2026-03-08T07:00Z']);
    expect(
      instants(cron('15 2 4 10 *', 'Australia/Lord_Howe'), at('2026-10-01T00:00'), at('2026-10-10T00:00')),
    ).toEqual(['2026-10-03T15:30Z']);
  });

  it('a time that exists twice is due once, the first time', () => {
    const day = [at('2026-11-01T00:00Z'), at('2026-11-02T00:00Z')] as const;
    expect(instants(cron('30 1 * * *', 'America/New_York'), ...day)).toEqual(['2026-11-01T05:30Z']);
    expect(instants(cron('0 1-2 * * *', 'America/New_York'), ...day)).toEqual([
      '2026-11-01T05:00Z',
      '2026-11-01T07:00Z',
    ]);
    expect(instants(cron('45 1 5 4 *', 'Australia/Lord_Howe'), at('2026-04-01T00:00'), at('2026-04-10T00:00'))).toEqual(
      ['2026-04-04T14:45Z'],
    );
  });

  it('a cron for every hour goes by what the clocks show', () => {
    const spring = instants(cron('0 * * * *', 'Europe/Berlin'), at('2026-03-28T23:00Z'), at('2026-03-29T22:00Z'));
    const autumn = instants(cron('0 * * * *', 'Europe/Berlin'), at('2026-10-24T22:00Z'), at('2026-10-25T23:00Z'));
    expect([spring.length, autumn.length]).toEqual([23, 25]);
    expect(instants(cron('30 * * * *', 'America/New_York'), at('2026-11-01T04:00Z'), at('2026-11-01T08:00Z'))).toEqual([
      '2026-11-01T04:30Z',
      '2026-11-01T05:30Z',
      '2026-11-01T06:30Z',
      '2026-11-01T07:30Z',
    ]);
  });
});

const CHANGES = {
  'America/New_York': ['2026-03-08T07:00Z', '2026-11-01T06:00Z'],
  'Europe/Berlin': ['2026-03-29T01:00Z', '2026-10-25T01:00Z'],
  'Australia/Lord_Howe': ['2026-04-04T15:00Z', '2026-10-03T15:30Z'],
  'Africa/Cairo': ['2026-04-23T22:00Z', '2026-10-29T21:00Z'],
  UTC: ['2028-02-28T23:00Z', '2028-02-29T23:00Z'],
};
const changes = fc.constantFrom(
  ...Object.entries(CHANGES).flatMap(([zone, times]) => times.map((time) => ({ zone, time: Date.parse(time) }))),
);

/** Minute by minute, by luxon alone: what the rules say in words. */
function expected(minute: number[], hour: number[], zone: string, from: number, to: number): number[] {
  const due = new Set<number>();
  const seen = new Set<number>();
  const wants = (wall: DateTime) => minute.includes(wall.minute) && hour.includes(wall.hour);
  let before = DateTime.fromMillis(from - 26 * HOUR, { zone });
  for (let instant = from - 26 * HOUR; instant < to; instant += MINUTE) {
    const wall = DateTime.fromMillis(instant, { zone });
    // What the clocks were put forward over since the minute before.
    for (let skipped = 1; skipped < wall.offset - before.offset + 1 && hour.length < 24; skipped++) {
      if (wants(before.setZone('utc', { keepLocalTime: true }).plus({ minutes: skipped }))) due.add(instant);
    }
    const reading = wall.setZone('utc', { keepLocalTime: true }).toMillis();
    if (wants(wall) && (hour.length === 24 || !seen.has(reading))) due.add(instant);
    seen.add(reading);
    before = wall;
  }
  return [...due].filter((instant) => instant >= from).sort((a, b) => a - b);
}

describe('whatever the cron and the zone', () => {
  const numbers = (max: number) =>
    fc
      .uniqueArray(fc.integer({ min: 0, max }), { minLength: 1, maxLength: 4 })
      .map((list) => list.sort((a, b) => a - b));
  const hours = fc.oneof(numbers(23), fc.constant(Array.from({ length: 24 }, (_, hour) => hour)));
  const crons = fc.record({
    minute: numbers(59),
    hour: hours,
    change: changes,
    offset: fc.integer({ min: -30, max: 6 }),
  });

  it('the instants are those that the rules name, forwards and backwards', () => {
    fc.assert(
      fc.property(crons, ({ minute, hour, change: { zone, time }, offset }) => {
        const from = time + offset * HOUR;
        const to = from + 30 * HOUR;
        const timetable = new Timetable(cron(`${minute} ${hour} * * *`, zone));
        const forwards: number[] = [];
        for (let next = timetable.next(from - 1)!; next < to; next = timetable.next(next)!) forwards.push(next);
        const backwards: number[] = [];
        for (let last = timetable.previous(to)!; last >= from; last = timetable.previous(last)!)
          backwards.unshift(last);
        const right = expected(minute, hour, zone, from, to);
        expect(forwards).toEqual(right);
        expect(backwards).toEqual(right);
      }),
      { numRuns: 100 },
    );
  });

  it('windows of one length follow each other without gap or overlap, and have ended by then', () => {
    const lengths = fc.constantFrom('day', 'hour', 'PT30M', 'PT15M', 'PT6H', 'P1W', 'P1M');
    fc.assert(
      fc.property(changes, lengths, fc.integer({ min: -3_000, max: 3_000 }), ({ zone, time }, length, minutes) => {
        const windowAt = windowsOf(cron('* * * * *', zone), zone, length);
        const instant = time + minutes * MINUTE;
        const { from, to } = windowAt(instant)!;
        expect(from).toBeLessThan(to);
        expect(to).toBeLessThanOrEqual(instant);
        expect(windowAt(to)).toEqual({ from, to });
        expect(windowAt(to - 1)!.to).toBe(from);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the window of an instant', () => {
  const hoursOf = (schedule: Schedule, zone: string, instant: string, length?: string) => {
    const { from, to } = windowsOf(schedule, zone, length)(at(instant, zone))!;
    return [DateTime.fromMillis(from, { zone }).toISO(), (to - from) / HOUR];
  };

  it('is the whole day before for a daily cron, of 23, 24 or 25 hours', () => {
    const daily = cron('0 3 * * *', 'Europe/Berlin');
    const day = (instant: string) => hoursOf(daily, 'Europe/Berlin', instant);
    expect(day('2026-03-30T03:00')).toEqual(['2026-03-29T00:00:00.000+01:00', 23]);
    expect(day('2026-06-02T03:00')).toEqual(['2026-06-01T00:00:00.000+02:00', 24]);
    expect(day('2026-10-26T03:00')).toEqual(['2026-10-25T00:00:00.000+02:00', 25]);
  });

  it('is the time since the instant before for other schedules', () => {
    expect(hoursOf(cron('0 */30 * * * *'), 'utc', '2026-01-01T10:30')).toEqual(['2026-01-01T10:00:00.000Z', 0.5]);
    expect(hoursOf({ kind: 'interval', minutes: 90, anchor: 0 }, 'utc', '2026-01-01T03:00')).toEqual([
      '2026-01-01T01:30:00.000Z',
      1.5,
    ]);
    expect(windowsOf({ kind: 'once', at: 5 }, 'UTC')(5)).toBeUndefined();
  });

  it('is of the length that is given', () => {
    expect(hoursOf(cron('7 5 * * *'), 'utc', '2026-01-01T05:07', 'hour')).toEqual(['2026-01-01T04:00:00.000Z', 1]);
    expect(hoursOf({ kind: 'once', at: 5 }, 'utc', '2026-03-05T05:07', 'P1M')).toEqual([
      '2026-02-01T00:00:00.000Z',
      672,
    ]);
    // Nepal is 5:45 ahead of UTC.
    expect(hoursOf(cron('0 5 * * *'), 'Asia/Kathmandu', '2026-01-01T05:07', 'PT30M')[0]).toContain(
      'T04:30:00.000+05:45',
    );
    for (const odd of ['PT7M', 'PT5H', 'PT0M', 'P2D', 'week', '']) expect(windowBoundaries(odd), odd).toBeUndefined();
  });
});
