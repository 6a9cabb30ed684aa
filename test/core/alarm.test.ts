import { describe, expect, it } from 'vitest';
import { type Alarm, alarmRegistrations, alarmRowsSchema, alarmSchema, jitterMs } from '../../src/core/alarm.ts';

function problemsOf(...rows: unknown[]): string[] {
  const { error } = alarmRowsSchema.safeParse(rows);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

const row = { name: 'a', trigger: 't', cron: '0 3 * * *' };

describe('a row of the setting alarms', () => {
  it('becomes a registration', () => {
    const [registration] = alarmRegistrations(
      alarmRowsSchema.parse([
        { ...row, timezone: 'Europe/Berlin', payload: { lake: 'fcre' }, receiptTimeoutSeconds: 60 },
      ]),
    );
    expect(registration).toMatchObject({
      kind: 'alarm',
      name: 'a',
      trigger: 't',
      receiptTimeoutMs: 60_000,
      batch: { maxMessages: 1 },
      alarm: {
        schedule: { kind: 'cron', cron: '0 3 * * *', timezone: 'Europe/Berlin' },
        payload: { lake: 'fcre' },
        misfire: 'fireOnce',
        overlap: 'allow',
        scope: 'site',
        whenCenterAway: 'wait',
      },
    });
  });

  it('may name a time by the clocks of its zone', () => {
    const at = (date: unknown, timezone?: string) => alarmSchema.parse({ date, timezone }).schedule;
    expect(at('2026-12-24T18:00', 'Europe/Berlin')).toEqual({ kind: 'once', at: Date.parse('2026-12-24T17:00Z') });
    expect(at('2026-12-24T18:00:00Z', 'Europe/Berlin')).toEqual({ kind: 'once', at: Date.parse('2026-12-24T18:00Z') });
    expect(at(1_000)).toEqual({ kind: 'once', at: 1_000 });
  });

  it('is refused with every problem at its place', () => {
    expect(problemsOf(row)).toEqual([]);
    expect(problemsOf({ ...row, cron: '61 * * * *' })).toEqual([
      '0.cron: is no cron pattern of 5 or 6 fields that ever comes true',
    ]);
    expect(
      problemsOf({ ...row, timezone: 'Mars', window: 'PT7M', misfire: 'never' }).map((text) => text.split(':')[0]),
    ).toEqual(['0.timezone', '0.window', '0.misfire']);
    expect(problemsOf({ ...row, minutes: 5 })).toEqual(['0: needs one of cron, minutes and date']);
    expect(problemsOf({ name: 'a', trigger: 't' })).toEqual(['0: needs one of cron, minutes and date']);
    expect(problemsOf({ ...row, startDate: 2_000, stopDate: 1_000 })).toEqual(['0.stopDate: must be after startDate']);
    expect(problemsOf({ ...row, startDate: 'tomorrow' })).toEqual(['0.startDate: must be ms since 1970, or ISO 8601']);
    expect(problemsOf(row, { ...row, trigger: 'other' })).toEqual(['1.name: a is there twice']);
    expect(problemsOf({ ...row, crom: 'x' })).toHaveLength(1);
  });
});

describe('the jitter of an alarm', () => {
  const jitterOf = (name: string, fields: object) => jitterMs(name, alarmSchema.parse(fields) as Alarm);

  it('is less than a minute, the same for a name, and only for crons of five fields that are not strict', () => {
    const names = Array.from({ length: 200 }, (_, n) => `alarm ${n}`);
    const jitters = names.map((name) => jitterOf(name, { cron: '* * * * *', strict: false }));
    expect(jitters).toEqual(names.map((name) => jitterOf(name, { cron: '* * * * *', strict: false })));
    expect(Math.max(...jitters)).toBeLessThan(60_000);
    expect(new Set(jitters).size).toBeGreaterThan(40);
    expect(jitterOf('a', { cron: '0 * * * * *', strict: false })).toBe(0);
    expect(jitterOf('a', { minutes: 5, strict: false })).toBe(0);
    expect(jitterOf('a', { cron: '* * * * *' })).toBe(0);
  });
});
