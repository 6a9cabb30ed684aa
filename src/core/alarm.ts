import { createHash } from 'node:crypto';
import { DateTime } from 'luxon';
import { z } from 'zod';
import { isCron } from './cron-times.ts';
import { type AlarmRegistration, SINGLE, triggerSchema } from './registration.ts';
import { type Schedule, windowBoundaries } from './schedule.ts';
import { WallClock } from './wall-clock.ts';

/** A schedule, and what happens to instants that can't be rung in time. Times are ms since 1970. */
export interface Alarm {
  readonly schedule: Schedule;
  /** IANA name; by its clocks windows are cut. */
  readonly timezone: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly startDate?: number;
  readonly stopDate?: number;
  readonly maxTriggers?: number;
  /** Instants before the alarm was made are none that were missed. */
  readonly createdAt?: number;
  /** Otherwise a cron of 5 fields rings some seconds later, by its name, so that not all ring at once. */
  readonly strict: boolean;
  /** Length of the closed window that an instant stands for, where it is not the default. */
  readonly window?: string;
  /** What becomes of instants that were missed: the last one rings, or the last `misfireLimit`, or none. */
  readonly misfire: 'fireOnce' | 'fireAll' | 'skip';
  readonly misfireLimit: number;
  /** Instants missed longer ago than this never ring. */
  readonly misfireHorizonSeconds: number;
  /** While an earlier instant is not confirmed: ring all the same, ring not at all, or ring and fire one after the other. */
  readonly overlap: 'allow' | 'skip' | 'queue';
  /** Who rings: each site, or one for all of them. */
  readonly scope: 'site' | 'all';
  /** What an instant does whose claim can't be asked for: wait for the center (then it is late), or not ring. */
  readonly whenCenterAway: 'wait' | 'skip';
  /** What goes once an alarm of `once` has fired: nothing, the trigger, or the trigger with its rules. */
  readonly deleteAfterFire: 'false' | 'true' | 'rules';
}

/** Longer than this nothing is caught up, so claims need not be kept either. */
export const MAX_MISFIRE_HORIZON_SECONDS = 31 * 86_400;

const LATEST = Date.UTC(9_000);
const dateSchema = z.union(
  [z.number().int().min(0).max(LATEST), z.string().max(64)],
  'must be ms since 1970, or ISO 8601',
);

const fields = {
  cron: z.string().refine(isCron, 'is no cron pattern of 5 or 6 fields that ever comes true').optional(),
  minutes: z.number().int().min(1).max(5_256_000).optional(),
  date: dateSchema.optional(),
  timezone: z.string().max(64).refine(WallClock.isZone, 'is no IANA time zone').default('UTC'),
  payload: z.record(z.string(), z.unknown()).default({}),
  startDate: dateSchema.optional(),
  stopDate: dateSchema.optional(),
  maxTriggers: z.number().int().min(1).optional(),
  createdAt: dateSchema.optional(),
  strict: z.boolean().default(true),
  window: z
    .string()
    .refine(
      (length) => windowBoundaries(length) !== undefined,
      'must be day, hour, P1D, P1W, P1M, or minutes (PT30M) that divide an hour, or hours (PT6H) that divide a day',
    )
    .optional(),
  misfire: z.enum(['fireOnce', 'fireAll', 'skip']).default('fireOnce'),
  misfireLimit: z.number().int().min(1).max(1_000).default(100),
  misfireHorizonSeconds: z.number().int().min(0).max(MAX_MISFIRE_HORIZON_SECONDS).default(86_400),
  overlap: z.enum(['allow', 'skip', 'queue']).default('allow'),
  scope: z.enum(['site', 'all']).default('site'),
  whenCenterAway: z.enum(['wait', 'skip']).default('wait'),
  deleteAfterFire: z.enum(['false', 'true', 'rules']).default('false'),
};

const fieldsSchema = z.strictObject(fields);

/** An alarm as it stands in a document of CouchDB. */
export const alarmSchema = fieldsSchema.transform((row, context) => alarmOf(row, context));

/** An alarm as it stands in the setting `alarms`. */
const alarmRowSchema = z
  .strictObject({
    name: z.string().min(1).max(256),
    trigger: triggerSchema,
    receiptTimeoutSeconds: z.number().int().min(1).max(86_400).optional(),
    ...fields,
  })
  .transform(({ name, trigger, receiptTimeoutSeconds, ...row }, context) => {
    const alarm = alarmOf(row, context);
    return { name, trigger, alarm, ...(receiptTimeoutSeconds && { receiptTimeoutMs: receiptTimeoutSeconds * 1_000 }) };
  });

/** The setting `alarms`. */
export const alarmRowsSchema = z.array(alarmRowSchema).superRefine((rows, context) => {
  const names = new Set<string>();
  for (const [index, { name }] of rows.entries()) {
    if (names.has(name)) context.addIssue({ code: 'custom', path: [index, 'name'], message: `${name} is there twice` });
    names.add(name);
  }
});

function alarmOf(row: z.output<typeof fieldsSchema>, context: z.RefinementCtx): Alarm {
  const { cron, minutes, date, startDate, stopDate, createdAt, maxTriggers, window, ...rest } = row;
  const problem = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
  const instant = (name: string, value: number | string | undefined): number | undefined => {
    const time = typeof value === 'string' ? DateTime.fromISO(value, { zone: row.timezone }).toMillis() : value;
    if (Number.isNaN(time)) problem([name], 'must be ms since 1970, or ISO 8601');
    return time;
  };
  const times = {
    startDate: instant('startDate', startDate),
    stopDate: instant('stopDate', stopDate),
    createdAt: instant('createdAt', createdAt),
  };
  const at = instant('date', date);
  if ([cron, minutes, date].filter((each) => each !== undefined).length !== 1) {
    problem([], 'needs one of cron, minutes and date');
  }
  if (times.startDate !== undefined && times.stopDate !== undefined && times.stopDate <= times.startDate) {
    problem(['stopDate'], 'must be after startDate');
  }
  const schedule: Schedule =
    cron !== undefined
      ? { kind: 'cron', cron, timezone: row.timezone }
      : minutes !== undefined
        ? { kind: 'interval', minutes, anchor: times.startDate ?? 0 }
        : { kind: 'once', at: at ?? 0 };
  const given = Object.fromEntries(
    Object.entries({ ...times, maxTriggers, window }).filter(([, value]) => value !== undefined),
  );
  return { schedule, ...rest, ...given };
}

/** The registrations of the setting `alarms`. */
export function alarmRegistrations(rows: z.output<typeof alarmRowsSchema>): AlarmRegistration[] {
  return rows.map((row) => ({ ...row, kind: 'alarm', batch: SINGLE, ordered: row.alarm.overlap === 'queue' }));
}

/** How much later than its instants an alarm rings, in ms: 0 to 59 s, always the same for a name. */
export function jitterMs(name: string, { strict, schedule }: Alarm): number {
  if (strict || schedule.kind !== 'cron' || schedule.cron.trim().split(/\s+/).length > 5) return 0;
  return (createHash('sha256').update(name).digest().readUInt32BE() % 60) * 1_000;
}
