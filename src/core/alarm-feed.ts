import { z } from 'zod';
import { type Alarm, alarmSchema } from './alarm.ts';
import { isCron } from './cron-times.ts';
import { Timetable } from './schedule.ts';
import { WallClock } from './wall-clock.ts';

/**
 * What the feeds of OpenWhisk's alarms package (`alarm`, `interval`, `once`) take, and the texts by which they refuse;
 * clients compare them. Parameters come as users typed them: a number may be text.
 */

export type FeedType = 'alarm' | 'interval' | 'once';

/** What the user must correct. */
export class AlarmFeedProblem extends Error {}

/** An alarm as its document holds it: what {@link alarmSchema} reads. */
export type AlarmFields = Readonly<Record<string, unknown>>;

type Params = Readonly<Record<string, unknown>>;

/** Of ours, besides the package's: taken over as they are, and checked by the schema. */
const OWN_PARAMETERS = [
  'window',
  'misfire',
  'misfireLimit',
  'misfireHorizonSeconds',
  'overlap',
  'scope',
  'whenCenterAway',
] as const;

/** An interval without a start begins so much later. */
const INTERVAL_STARTS_AFTER_MS = 30_000;

/**
 * The alarm that a CREATE asks for.
 * @param now ms since 1970
 * @throws AlarmFeedProblem
 */
export function createdAlarm(type: FeedType, params: Params, now: number): AlarmFields {
  const common = { payload: payloadOf(params.trigger_payload) ?? {}, createdAt: now, ...ownOf(params) };
  if (type === 'once') {
    if (!params.date) throw new AlarmFeedProblem('alarms once trigger feed is missing the date parameter');
    return checked({ ...common, date: dateOf(params.date, 'date', now), ...deleteAfterFireOf(params) });
  }
  if (type === 'interval' && !params.minutes) {
    throw new AlarmFeedProblem('interval trigger feed is missing the minutes parameter');
  }
  if (type === 'alarm' && !params.cron) {
    throw new AlarmFeedProblem('alarms trigger feed is missing the cron parameter');
  }
  const schedule = type === 'interval' ? { minutes: minutesOf(params.minutes) } : cronOf(params, {});
  const startDate = params.startDate
    ? dateOf(params.startDate, 'startDate', now)
    : type === 'interval'
      ? now + INTERVAL_STARTS_AFTER_MS
      : undefined;
  const fields = { ...common, ...schedule, ...(startDate !== undefined && { startDate }), ...strictOf(params) };
  if (!params.stopDate) return checked({ ...fields, ...maxTriggersOf(params.maxTriggers) });
  if (params.maxTriggers) {
    throw new AlarmFeedProblem(
      type === 'interval'
        ? 'maxTriggers is not supported for the interval trigger feed'
        : 'maxTriggers is not allowed when the stopDate parameter is specified',
    );
  }
  const stopDate = dateOf(params.stopDate, 'stopDate', now, params.startDate ?? startDate);
  const alarm = checked({ ...fields, stopDate });
  if (type === 'alarm' && !isDueBy(alarm, now)) {
    throw new AlarmFeedProblem('the first scheduled trigger fire is not until after the stop date');
  }
  return alarm;
}

/**
 * The alarm as an UPDATE changes it.
 * @param now ms since 1970
 * @throws AlarmFeedProblem
 */
export function updatedAlarm(current: AlarmFields, params: Params, now: number): AlarmFields {
  const payload = payloadOf(params.trigger_payload);
  const schedule = current.date === undefined ? changedSchedule(current, params, now) : changedDate(params, now);
  const changes = { ...(payload !== undefined && { payload }), ...schedule, ...ownOf(params) };
  if (Object.keys(changes).length === 0) throw new AlarmFeedProblem('no updatable parameters were specified');
  // With another schedule it has missed nothing.
  return checked({ ...current, ...changes, ...(Object.keys(schedule).length > 0 && { createdAt: now }) });
}

function changedDate(params: Params, now: number): AlarmFields {
  return { ...(params.date ? { date: dateOf(params.date, 'date', now) } : {}), ...deleteAfterFireOf(params) };
}

function changedSchedule(current: AlarmFields, params: Params, now: number): AlarmFields {
  const isInterval = current.minutes !== undefined;
  const schedule = isInterval
    ? { ...(params.minutes ? { minutes: minutesOf(params.minutes) } : {}) }
    : params.cron || params.timezone
      ? cronOf(params, current)
      : {};
  const startDate = params.startDate ? dateOf(params.startDate, 'startDate', now) : undefined;
  if (startDate !== undefined && !params.stopDate && current.stopDate !== undefined) {
    if (timeOf(startDate) >= timeOf(current.stopDate)) {
      throw new AlarmFeedProblem(
        `startDate parameter '${params.startDate}' must be less than the stopDate parameter '${current.stopDate}'`,
      );
    }
  }
  const stopDate = params.stopDate
    ? dateOf(params.stopDate, 'stopDate', now, params.startDate ?? current.startDate)
    : undefined;
  return {
    ...schedule,
    ...(startDate !== undefined && { startDate }),
    ...(stopDate !== undefined && { stopDate }),
    ...strictOf(params),
  };
}

function cronOf(params: Params, current: AlarmFields): AlarmFields {
  const cron = params.cron ?? current.cron;
  const timezone = params.timezone ?? current.timezone;
  if (timezone !== undefined && !(typeof timezone === 'string' && WallClock.isZone(timezone))) {
    throw new AlarmFeedProblem('Invalid timezone.');
  }
  if (typeof cron !== 'string' || !isCron(cron)) throw new AlarmFeedProblem(`cron pattern '${cron}' is not valid`);
  const fields = cron.trim().split(/\s+/);
  if (isTrue(params.limitCronFields) && fields.length > 5 && fields.at(-6) !== '0') {
    throw new AlarmFeedProblem('cron pattern is limited to 5 fields with 1 minute as the finest granularity');
  }
  return { cron, ...(timezone !== undefined && { timezone }) };
}

function minutesOf(value: unknown): number {
  const minutes = Number(value);
  if (!Number.isInteger(minutes)) throw new AlarmFeedProblem('the minutes parameter must be an integer');
  if (minutes <= 0) throw new AlarmFeedProblem('the minutes parameter must be an integer greater than zero');
  return minutes;
}

/** A date of the future, as ms if it was given so, otherwise in ISO 8601. */
function dateOf(value: unknown, name: string, now: number, startDate?: unknown): number | string {
  const time = timeOf(value);
  if (Number.isNaN(time)) throw new AlarmFeedProblem(`${name} parameter '${value}' is not a valid Date`);
  if (time <= now) throw new AlarmFeedProblem(`${name} parameter '${value}' must be in the future`);
  if (startDate !== undefined && time <= timeOf(startDate)) {
    throw new AlarmFeedProblem(
      `${name} parameter '${value}' must be greater than the startDate parameter '${startDate}'`,
    );
  }
  return typeof value === 'number' ? value : new Date(time).toISOString();
}

function timeOf(date: unknown): number {
  return typeof date === 'number' || typeof date === 'string' ? new Date(date).getTime() : Number.NaN;
}

const REMOVALS = ['false', 'true', 'rules'];

function deleteAfterFireOf({ deleteAfterFire }: Params): AlarmFields {
  if (!deleteAfterFire) return {};
  const text = String(deleteAfterFire).trim().toLowerCase();
  if (!REMOVALS.includes(text)) {
    throw new AlarmFeedProblem('deleteAfterFire parameter must be one of [false, true, rules].');
  }
  return { deleteAfterFire: text };
}

function maxTriggersOf(value: unknown): AlarmFields {
  const count = Number(value ?? -1);
  return count === -1 ? {} : { maxTriggers: count };
}

function strictOf({ strict }: Params): AlarmFields {
  return strict === undefined ? {} : { strict: isTrue(strict) };
}

function isTrue(value: unknown): boolean {
  return value === true || value === 'true';
}

function ownOf(params: Params): AlarmFields {
  return Object.fromEntries(
    OWN_PARAMETERS.flatMap((name) => (params[name] === undefined ? [] : [[name, params[name]]])),
  );
}

function payloadOf(value: unknown): unknown {
  return typeof value === 'string' ? { payload: value } : value;
}

function isDueBy(fields: AlarmFields, now: number): boolean {
  const { schedule, startDate, stopDate } = read(fields);
  const bounds = {
    ...(startDate !== undefined && { from: startDate }),
    ...(stopDate !== undefined && { until: stopDate }),
  };
  return new Timetable(schedule, bounds).next(now) !== undefined;
}

function checked(fields: AlarmFields): AlarmFields {
  read(fields);
  return fields;
}

function read(fields: AlarmFields): Alarm {
  const parsed = alarmSchema.safeParse(fields);
  if (parsed.success) return parsed.data;
  throw new AlarmFeedProblem(z.prettifyError(parsed.error));
}
