import { type Alarm, jitterMs } from '../core/alarm.ts';
import type { AlarmRegistration } from '../core/registration.ts';
import { Timetable, type Window, windowsOf } from '../core/schedule.ts';
import type { AlarmEnd, AlarmMark } from '../ports/alarm-progress.ts';

/** Whoever has rung instants this far ahead did so by a wrong clock. */
export const WRONG_CLOCK_MS = 86_400_000;

/** An alarm while the site runs. Times are ms since 1970. */
export interface AlarmState {
  readonly registration: AlarmRegistration;
  readonly alarm: Alarm;
  readonly timetable: Timetable;
  readonly windowAt: (instant: number) => Window | undefined;
  readonly jitterMs: number;
  /** What is kept over a restart. */
  readonly mark: AlarmMark;
  /** When it is to be looked at. */
  due: number;
  isRinging: boolean;
  waitsForCenter: boolean;
  lastRung?: number;
  missed: number;
  skipped: number;
  rungElsewhere: number;
}

export interface AlarmStatus {
  readonly name: string;
  /** ISO 8601, as {@link lastRung} */
  readonly next?: string;
  readonly lastRung?: string;
  /** Why it does not ring. */
  readonly disabled?: string;
  readonly waitsForCenter: boolean;
  /** Since the start: instants that are given up by the misfire policy. */
  readonly missed: number;
  /** Those not rung because of the one before, or with the center away. */
  readonly skipped: number;
  /** Those that another replica or site has rung. */
  readonly rungElsewhere: number;
}

/**
 * @param known what is kept of an alarm of this name; of another schedule it counts for nothing
 * @param isNewSite it has missed nothing before `now`
 */
export function alarmState(
  registration: AlarmRegistration,
  known: AlarmMark | undefined,
  now: number,
  isNewSite: boolean,
): AlarmState {
  const { alarm, name } = registration;
  const { schedule, startDate, stopDate, createdAt, maxTriggers } = alarm;
  const fingerprint = JSON.stringify([schedule, startDate, stopDate, createdAt, maxTriggers]);
  const isKnown = known?.schedule === fingerprint && known.upTo <= now + WRONG_CLOCK_MS;
  const since = isNewSite ? now : Math.min(createdAt ?? now, now);
  return {
    registration,
    alarm,
    timetable: new Timetable(schedule, {
      ...(startDate !== undefined && { from: startDate }),
      ...(stopDate !== undefined && { until: stopDate }),
    }),
    windowAt: windowsOf(schedule, alarm.timezone, alarm.window),
    jitterMs: jitterMs(name, alarm),
    mark: isKnown ? known : { schedule: fingerprint, upTo: since, rung: 0 },
    due: Number.POSITIVE_INFINITY,
    isRinging: false,
    waitsForCenter: false,
    missed: 0,
    skipped: 0,
    rungElsewhere: 0,
  };
}

/** When it is due next; undefined where it never is again. */
export function nextDue({ alarm, mark, timetable, jitterMs }: AlarmState): number | undefined {
  if (mark.ended || hasRungEnough(alarm, mark)) return undefined;
  const next = timetable.next(mark.upTo);
  return next === undefined ? undefined : next + jitterMs;
}

export function hasRungEnough({ maxTriggers }: Alarm, { rung }: AlarmMark): boolean {
  return maxTriggers !== undefined && rung >= maxTriggers;
}

/** Why it never rings again, in the words of OpenWhisk's alarms package where it has some. */
export function endOf({ alarm, mark, rungElsewhere }: AlarmState): AlarmEnd {
  const { schedule, deleteAfterFire } = alarm;
  const end = (message: string, remove: AlarmEnd['remove'] = 'nothing') => ({ message, remove, told: false });
  if (hasRungEnough(alarm, mark)) return end('Automatically disabled after reaching max triggers');
  if (mark.rung === 0) return end('Automatically disabled: its time passed before it could fire');
  if (schedule.kind !== 'once') {
    return end(`Automatically disabled after firing last scheduled ${schedule.kind} trigger`);
  }
  const remove = { false: 'nothing', true: 'trigger', rules: 'triggerAndRules' } as const;
  return end('Automatically disabled after firing once', rungElsewhere > 0 ? 'nothing' : remove[deleteAfterFire]);
}

/** The event of an instant: the alarm's payload, and what an action would otherwise have to ask a clock for. */
export function eventOf({ registration: { name, alarm }, windowAt }: AlarmState, instant: number) {
  const window = windowAt(instant);
  const payload = {
    ...alarm.payload,
    scheduledFor: iso(instant),
    ...(window && { window: { from: iso(window.from), to: iso(window.to) } }),
    timezone: alarm.timezone,
  };
  return { registration: name, key: `alarm ${name} ${iso(instant)}`, payload: JSON.stringify(payload) };
}

export function statusOf(state: AlarmState): AlarmStatus {
  const { registration, mark, lastRung, waitsForCenter, missed, skipped, rungElsewhere } = state;
  const disabled = mark.ended?.message ?? registration.held;
  const next = disabled === undefined ? nextDue(state) : undefined;
  return {
    name: registration.name,
    ...(next !== undefined && { next: iso(next) }),
    ...(lastRung !== undefined && { lastRung: iso(lastRung) }),
    ...(disabled !== undefined && { disabled }),
    waitsForCenter,
    missed,
    skipped,
    rungElsewhere,
  };
}

export function iso(instant: number): string {
  return new Date(instant).toISOString();
}
