import { DateTime, Duration, IANAZone } from 'luxon';
import { isRecord } from '../payload.ts';
import { ActionError } from '../result.ts';

/**
 * A period of a lake that its workflow works on. The alarm fixes it and it travels in the payload: no step asks a clock
 * or its machine's time zone which day it is.
 */
export interface Cycle {
  readonly lake: string;
  /** A day in `timezone`, `2020-05-22`; or, where the period is not a day, its begin in UTC, `2020-05-22T06:00:00Z`. */
  readonly date: string;
  /** IANA name. */
  readonly timezone: string;
  /** ISO 8601 duration of a period, `P1D` where it is a day. */
  readonly period: string;
}

const DAY = 'P1D';

/** Names of lakes and containers are path segments, parts of branch names and of file names. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/;

/**
 * The cycle in a payload: `{lake, date, timezone?, period?}`.
 * @throws ActionError `PAYLOAD_INVALID`
 */
export function cycleOf(value: unknown): Cycle {
  if (!isRecord(value)) throw invalid('cycle must be {lake, date, timezone, period}');
  const { date, timezone = 'UTC', period = DAY } = value;
  const lake = nameOf(value.lake, 'lake');
  if (typeof timezone !== 'string' || !IANAZone.isValidZone(timezone)) throw invalid('timezone must be an IANA name');
  if (typeof period !== 'string' || !(Duration.fromISO(period).toMillis() >= 60_000)) {
    throw invalid('period must be an ISO 8601 duration of at least a minute, e.g. PT6H');
  }
  if (period === DAY) {
    if (typeof date !== 'string' || !/^\d{4}-\d\d-\d\d$/.test(date) || !DateTime.fromISO(date).isValid) {
      throw invalid('date must be a day, e.g. 2020-05-22');
    }
    return { lake, date, timezone, period };
  }
  const begin = typeof date === 'string' ? DateTime.fromISO(date, { zone: 'utc' }) : undefined;
  if (!begin?.isValid || begin.second !== 0 || begin.millisecond !== 0) {
    throw invalid('date must be a whole minute in ISO 8601 where the period is not a day, e.g. 2020-05-22T06:00Z');
  }
  return { lake, date: isoMinute(begin), timezone, period };
}

/**
 * The name of a lake or container.
 * @throws ActionError `PAYLOAD_INVALID`
 */
export function nameOf(value: unknown, what: string): string {
  if (typeof value === 'string' && NAME.test(value)) return value;
  throw invalid(`${what} must be a name of 1 to 63 letters, digits and hyphens`);
}

/**
 * The cycle that an alarm's instant stands for: its day in the time zone, or the period that begins with it.
 * @param scheduledFor ISO 8601
 * @throws ActionError `PAYLOAD_INVALID`
 */
export function cycleAt(lake: string, scheduledFor: string, timezone: string, period: string = DAY): Cycle {
  const instant = DateTime.fromISO(scheduledFor, { zone: period === DAY ? timezone : 'utc' });
  if (!instant.isValid) throw invalid('scheduledFor must be a time in ISO 8601, and timezone an IANA name');
  return cycleOf({
    lake,
    date: period === DAY ? instant.toISODate() : isoMinute(instant.startOf('minute')),
    timezone,
    period,
  });
}

/** The cycle that lies `periods` before; days are those of the calendar, whatever the clocks did. */
export function earlier(cycle: Cycle, periods: number): Cycle {
  const length = Duration.fromISO(cycle.period).mapUnits((amount) => amount * periods);
  const begin = DateTime.fromISO(cycle.date, { zone: 'utc' }).minus(length);
  return { ...cycle, date: cycle.period === DAY ? begin.toISODate()! : isoMinute(begin) };
}

/** `20200522`, or `20200522T0600Z` where the period is not a day: as it stands in names of archives. */
export function stampOf({ date }: Cycle): string {
  return date.replaceAll(/[-:]/g, '').replace(/(T\d{4})00Z$/, '$1Z');
}

function isoMinute(time: DateTime): string {
  return time.toUTC().toFormat("yyyy-MM-dd'T'HH:mm:00'Z'");
}

function invalid(problem: string): ActionError {
  return new ActionError('PAYLOAD_INVALID', `${problem}.`);
}
