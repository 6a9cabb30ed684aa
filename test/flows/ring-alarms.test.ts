import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { alarmRegistrations, alarmRowsSchema } from '../../src/core/alarm.ts';
import type { AlarmRegistration } from '../../src/core/registration.ts';
import { RingAlarms, type RingAlarmsParts } from '../../src/flows/ring-alarms.ts';
import type { AlarmProgress, ProgressStore } from '../../src/ports/alarm-progress.ts';
import type { AlarmClaim, Claims } from '../../src/ports/claims.ts';
import type { EventIntake } from '../../src/ports/event-intake.ts';
import { ManualClock } from '../support/manual-clock.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = Date.parse('2026-06-01T00:00:30Z');

/** A wall clock that can be set. */
class SettableClock extends ManualClock {
  #setBy = 0n;
  constructor(start = START) {
    super(BigInt(start) * 1_000_000n);
  }
  override now(): bigint {
    return super.now() + this.#setBy;
  }
  setBy(ms: number): void {
    this.#setBy += BigInt(ms) * 1_000_000n;
  }
}

/** Ends the life of whoever takes the step with this number: it never comes back. */
class Steps {
  #left: number;
  readonly died: Promise<void>;
  #die!: () => void;
  constructor(left = Number.POSITIVE_INFINITY) {
    this.#left = left;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
  }
  async take(): Promise<void> {
    this.#left -= 1;
    if (this.#left >= 0) return;
    this.#die();
    await new Promise(() => undefined);
  }
}

/** What outlives a process: the journal's keys, the progress file; and the center. */
class Site {
  readonly accepted: Array<{ registration: string; key: string; payload: Record<string, unknown> }> = [];
  readonly unsettled = new Map<string, number>();
  kept: string | undefined;
  saves = 0;

  parts(steps: Steps): { intake: EventIntake; progress: ProgressStore } {
    const intake: EventIntake = {
      accept: async ({ registration, key, payload }) => {
        await steps.take();
        const isNew = !this.accepted.some((event) => event.key === key);
        if (isNew) this.accepted.push({ registration, key, payload: JSON.parse(payload) });
        await steps.take();
        return isNew;
      },
      pending: (registration) => this.unsettled.get(registration) ?? 0,
    };
    const progress: ProgressStore = {
      load: async () => (this.kept === undefined ? undefined : (JSON.parse(this.kept) as AlarmProgress)),
      save: async (state) => {
        const text = JSON.stringify(state);
        await steps.take();
        this.kept = text;
        this.saves += 1;
        await steps.take();
      },
    };
    return { intake, progress };
  }

  /** The times of what was accepted, e.g. `01:00`. */
  rung(): string[] {
    return this.accepted.map(({ payload }) => (payload.scheduledFor as string).slice(11, 16));
  }
}

class Center {
  readonly owners = new Map<string, string>();
  isAway = false;
  /** Does what it is asked, but the answer is lost. */
  isMute = false;

  claims(replica: string, steps = new Steps()): Claims {
    const key = ({ alarm, instant }: AlarmClaim) => `${alarm} ${instant}`;
    return {
      take: async (claim) => {
        await steps.take();
        if (this.isAway) return 'centerAway';
        const owner = this.owners.get(key(claim)) ?? replica;
        this.owners.set(key(claim), owner);
        await steps.take();
        if (this.isMute) return 'centerAway';
        return owner === replica ? 'won' : 'lost';
      },
      isOurs: async (claim) => (this.isAway ? 'centerAway' : this.owners.get(key(claim)) === replica),
      forget: async () => 0,
    };
  }
}

function alarms(...rows: unknown[]): AlarmRegistration[] {
  return alarmRegistrations(alarmRowsSchema.parse(rows));
}

const hourly = { name: 'hourly', cron: '0 * * * *', trigger: 'hourlyTrigger' };

async function start(
  site: Site,
  registrations: AlarmRegistration[],
  parts: Partial<RingAlarmsParts> & { clock: ManualClock },
  steps = new Steps(),
): Promise<RingAlarms> {
  const ringing = new RingAlarms({
    ...site.parts(steps),
    claims: new Center().claims('1', steps),
    hasReplicas: false,
    log: pino({ level: 'silent' }),
    onEnded: async () => undefined,
    ...parts,
  });
  onTestFinished(() => void ringing.stop(0));
  ringing.apply(registrations);
  void ringing.start();
  await parts.clock.advance(0);
  return ringing;
}

describe('alarms', () => {
  it('ring at their instants, with the instant, its window and the zone in the payload', async () => {
    const site = new Site();
    const clock = new SettableClock();
    const row = { ...hourly, cron: '0 3 * * *', timezone: 'Europe/Berlin', payload: { lake: 'fcre' } };
    const ringing = await start(site, alarms(row), { clock });
    expect(ringing.status()).toEqual([
      {
        name: 'hourly',
        next: '2026-06-01T01:00:00.000Z',
        waitsForCenter: false,
        missed: 0,
        skipped: 0,
        rungElsewhere: 0,
      },
    ]);
    await clock.advance(HOUR);
    expect(site.accepted).toEqual([
      {
        registration: 'hourly',
        key: 'alarm hourly 2026-06-01T01:00:00.000Z',
        payload: {
          lake: 'fcre',
          scheduledFor: '2026-06-01T01:00:00.000Z',
          window: { from: '2026-05-30T22:00:00.000Z', to: '2026-05-31T22:00:00.000Z' },
          timezone: 'Europe/Berlin',
        },
      },
    ]);
    expect(ringing.status()[0]).toMatchObject({
      lastRung: '2026-06-01T01:00:00.000Z',
      next: '2026-06-02T01:00:00.000Z',
    });
  });

  it('ring in the order of their instants, an interval from its start, a date once', async () => {
    const site = new Site();
    const clock = new SettableClock();
    const rows = [
      hourly,
      { name: 'interval', minutes: 25, startDate: '2026-06-01T00:10:00', trigger: 't' },
      { name: 'once', date: Date.parse('2026-06-01T00:45:00Z'), trigger: 't' },
    ];
    await start(site, alarms(...rows), { clock });
    await clock.advance(HOUR);
    expect(site.rung()).toEqual(['00:10', '00:35', '00:45', '01:00', '01:00']);
  });

  it('of five fields ring some seconds later if they are not strict, always the same', async () => {
    const site = new Site();
    const clock = new SettableClock(Date.parse('2026-06-01T00:59:59.500Z'));
    const lax = Array.from({ length: 40 }, (_, n) => ({ ...hourly, name: `alarm ${n}`, strict: false }));
    await start(site, alarms(...lax), { clock });
    const counts: number[] = [];
    for (let second = 0; second < 61; second++) {
      await clock.advance(1_000);
      counts.push(site.accepted.length);
    }
    expect(counts.at(-1)).toBe(40);
    expect(new Set(counts).size).toBeGreaterThan(15);
    expect(new Set(site.rung())).toEqual(new Set(['01:00']));
  });

  it('are changed while they ring', async () => {
    const site = new Site();
    const clock = new SettableClock();
    const ringing = await start(site, alarms(hourly, { ...hourly, name: 'other' }), { clock });
    await clock.advance(HOUR);
    ringing.apply(alarms(hourly, { ...hourly, name: 'new', cron: '15 * * * *' }));
    await clock.advance(HOUR);
    expect(site.accepted.map(({ registration }) => registration).sort()).toEqual(['hourly', 'hourly', 'new', 'other']);
    ringing.apply(alarms({ ...hourly, cron: '*/20 * * * *' }));
    await clock.advance(30 * MINUTE);
    expect(site.rung().slice(4)).toEqual(['02:20']);
  });

  it('do not ring while they are held', async () => {
    const site = new Site();
    const clock = new SettableClock();
    const [registration] = alarms(hourly);
    const ringing = await start(site, [{ ...registration!, held: 'disabled: by hand' }], { clock });
    await clock.advance(2 * HOUR);
    expect(site.accepted).toEqual([]);
    expect(ringing.status()[0]!.disabled).toBe('disabled: by hand');
  });
});

describe('what was missed', () => {
  async function afterAbsence(hours: number, row: object): Promise<{ site: Site; missed: number }> {
    const site = new Site();
    const before = new SettableClock();
    const first = await start(site, alarms({ ...hourly, ...row }), { clock: before });
    await before.advance(MINUTE);
    await first.stop();
    const after = new SettableClock(START + hours * HOUR + 10 * MINUTE);
    const second = await start(site, alarms({ ...hourly, ...row }), { clock: after });
    await after.advance(MINUTE);
    return { site, missed: second.status()[0]!.missed };
  }

  it('fires once, for the last instant, unless the alarm says otherwise', async () => {
    const { site, missed } = await afterAbsence(5, {});
    expect(site.rung()).toEqual(['05:00']);
    expect(missed).toBe(4);
  });

  it('fires for the last N instants with fireAll', async () => {
    const { site, missed } = await afterAbsence(5, { misfire: 'fireAll', misfireLimit: 3 });
    expect(site.rung()).toEqual(['03:00', '04:00', '05:00']);
    expect(missed).toBe(2);
  });

  it('does not fire with skip, but a minute late is not missed', async () => {
    expect((await afterAbsence(5, { misfire: 'skip' })).site.rung()).toEqual([]);
    expect((await afterAbsence(5, { misfire: 'skip', cron: '9,10 5 * * *' })).site.rung()).toEqual(['05:10']);
  });

  it('does not fire beyond the horizon', async () => {
    const { site } = await afterAbsence(5, { misfire: 'fireAll', misfireHorizonSeconds: 2.5 * 3_600 });
    expect(site.rung()).toEqual(['03:00', '04:00', '05:00']);
  });

  it('is nothing before the alarm was made, nor before the site was', async () => {
    const clock = new SettableClock(START + 5 * HOUR);
    const made = { ...hourly, createdAt: START + 3 * HOUR, misfire: 'fireAll' };
    const old = new Site();
    old.kept = JSON.stringify({ alarms: {}, inDoubt: [] });
    await start(old, alarms(made), { clock });
    await clock.advance(1_000);
    expect(old.rung()).toEqual(['04:00', '05:00']);
    const brandNew = new Site();
    const other = new SettableClock(START + 5 * HOUR);
    await start(brandNew, alarms(made), { clock: other });
    await other.advance(1_000);
    expect(brandNew.rung()).toEqual([]);
  });
});

describe('the wall clock', () => {
  it('set forward by an hour makes what it goes over late', async () => {
    const site = new Site();
    const clock = new SettableClock(START);
    await start(site, alarms({ ...hourly, cron: '*/15 * * * *', misfire: 'fireAll' }), { clock });
    await clock.advance(20 * MINUTE);
    clock.setBy(HOUR);
    await clock.advance(1_000);
    expect(site.rung()).toEqual(['00:15', '00:30', '00:45', '01:00', '01:15']);
  });

  it('set back by an hour rings nothing twice', async () => {
    const site = new Site();
    const clock = new SettableClock(START);
    await start(site, alarms({ ...hourly, cron: '*/15 * * * *' }), { clock });
    await clock.advance(50 * MINUTE);
    clock.setBy(-HOUR);
    await clock.advance(90 * MINUTE);
    expect(site.rung()).toEqual(['00:15', '00:30', '00:45', '01:00', '01:15']);
  });

  it('that was wrong by years does not silence the alarms', async () => {
    const site = new Site();
    const clock = new SettableClock(START);
    await start(site, alarms(hourly), { clock });
    clock.setBy(365 * 24 * HOUR);
    await clock.advance(2_000);
    clock.setBy(-365 * 24 * HOUR);
    await clock.advance(HOUR);
    expect(site.accepted.at(-1)!.payload.scheduledFor).toBe('2026-06-01T01:00:00.000Z');
  });
});

describe('overlap', () => {
  it('skip leaves out an instant while the one before is pending; queue asks for one firing after the other', async () => {
    const site = new Site();
    const clock = new SettableClock();
    const ringing = await start(site, alarms({ ...hourly, overlap: 'skip' }), { clock });
    await clock.advance(HOUR);
    site.unsettled.set('hourly', 1);
    await clock.advance(HOUR);
    site.unsettled.clear();
    await clock.advance(HOUR);
    expect(site.rung()).toEqual(['01:00', '03:00']);
    expect(ringing.status()[0]!.skipped).toBe(1);
    expect(alarms(hourly, { ...hourly, name: 'q', overlap: 'queue' }).map(({ ordered }) => ordered)).toEqual([
      false,
      true,
    ]);
  });
});

describe('the end of an alarm', () => {
  const ends: Array<[title: string, row: object, hours: number, message: string]> = [
    ['a date', { date: START + HOUR }, 1, 'Automatically disabled after firing once'],
    ['maxTriggers', { cron: '0 * * * *', maxTriggers: 2 }, 2, 'Automatically disabled after reaching max triggers'],
    [
      'the stop date of a cron',
      { cron: '0 * * * *', stopDate: START + 2.5 * HOUR },
      2,
      'Automatically disabled after firing last scheduled cron trigger',
    ],
    [
      'the stop date of an interval',
      { minutes: 60, stopDate: START + 2.5 * HOUR },
      2,
      'Automatically disabled after firing last scheduled interval trigger',
    ],
    ['a date that is past', { date: START - HOUR }, 0, 'Automatically disabled: its time passed before it could fire'],
  ];
  it.each(ends)('by %s is told once, with its reason, and is kept', async (_, row, rings, message) => {
    const site = new Site();
    const told: string[] = [];
    let fails = true;
    const onEnded = async (_registration: AlarmRegistration, end: { message: string }) => {
      fails = !fails;
      if (!fails) throw new Error('the center is away');
      told.push(end.message);
    };
    const rows = alarms({ name: 'ends', trigger: 't', ...row });
    const clock = new SettableClock();
    const first = await start(site, rows, { clock, onEnded });
    await clock.advance(5 * HOUR);
    expect(first.status()[0]!.disabled).toBe(message);
    await first.stop();
    const later = new SettableClock(START + 6 * HOUR);
    await start(site, rows, { clock: later, onEnded });
    await later.advance(5 * HOUR);
    expect(told).toEqual([message]);
    expect(site.accepted).toHaveLength(rings);
  });

  it('takes its trigger with it once its event is settled', async () => {
    const site = new Site();
    const told: string[] = [];
    const clock = new SettableClock();
    site.unsettled.set('once', 1);
    await start(site, alarms({ name: 'once', trigger: 't', date: START + MINUTE, deleteAfterFire: 'rules' }), {
      clock,
      onEnded: async (_registration, { remove }) => void told.push(remove),
    });
    await clock.advance(5 * MINUTE);
    expect(told).toEqual([]);
    site.unsettled.clear();
    await clock.advance(5_000);
    expect(told).toEqual(['triggerAndRules']);
  });
});

describe('claims', () => {
  const often = { ...hourly, cron: '*/5 * * * *' };
  const forAll = { ...often, scope: 'all', misfire: 'fireAll' };

  it('let one site ring for all, and one replica for its site', async () => {
    for (const { row, hasReplicas } of [
      { row: forAll, hasReplicas: false },
      { row: often, hasReplicas: true },
    ]) {
      const center = new Center();
      const sites = [new Site(), new Site(), new Site()];
      const clock = new SettableClock();
      const all = await Promise.all(
        sites.map((site, n) => start(site, alarms(row), { clock, hasReplicas, claims: center.claims(`${n}`) })),
      );
      await clock.advance(25 * MINUTE);
      expect(sites.flatMap((site) => site.rung()).sort()).toEqual(['00:05', '00:10', '00:15', '00:20', '00:25']);
      expect(all.reduce((sum, each) => sum + each.status()[0]!.rungElsewhere, 0)).toBe(10);
    }
  });

  it('are asked for again when the center was away', async () => {
    const center = new Center();
    const site = new Site();
    const clock = new SettableClock();
    const ringing = await start(site, alarms(forAll), { clock, claims: center.claims('1') });
    center.isAway = true;
    await clock.advance(15 * MINUTE);
    expect(site.rung()).toEqual([]);
    expect(ringing.status()[0]!.waitsForCenter).toBe(true);
    center.isAway = false;
    await clock.advance(MINUTE);
    expect(site.rung()).toEqual(['00:05', '00:10', '00:15']);
  });

  it('are not asked for again with skip, but what was claimed unheard is rung', async () => {
    const center = new Center();
    const site = new Site();
    const clock = new SettableClock();
    const ringing = await start(site, alarms({ ...forAll, whenCenterAway: 'skip' }), {
      clock,
      claims: center.claims('1'),
    });
    center.isAway = true;
    await clock.advance(5 * MINUTE);
    center.isAway = false;
    center.isMute = true;
    await clock.advance(5 * MINUTE);
    center.isMute = false;
    await clock.advance(5 * MINUTE);
    expect(site.rung()).toEqual(['00:10', '00:15']);
    expect(ringing.status()[0]!.skipped).toBe(2);
  });

  it('are not needed by alarms of a site that is alone', async () => {
    const center = new Center();
    center.isAway = true;
    const site = new Site();
    const clock = new SettableClock();
    await start(site, alarms(often), { clock, claims: center.claims('1') });
    await clock.advance(10 * MINUTE);
    expect(site.rung()).toEqual(['00:05', '00:10']);
    expect(center.owners.size).toBe(0);
  });
});

describe('a kill between any two steps', () => {
  const row = { name: 'often', cron: '*/10 * * * * *', trigger: 't', misfire: 'fireAll' };
  const every = ['40', '50', '00', '10', '20', '30'];

  it.each([
    ['of one site', { ...row }, false],
    ['of all sites', { ...row, scope: 'all' }, false],
    ['of a site with replicas', { ...row }, true],
  ])('rings each instant of an alarm %s exactly once', async (_, each, hasReplicas) => {
    for (let lastStep = 0; ; lastStep++) {
      const site = new Site();
      const center = new Center();
      let now = START;
      let lives = 0;
      // Killed at each step, and again a few steps into the next life.
      for (const left of [lastStep, lastStep % 7, Number.POSITIVE_INFINITY]) {
        const steps = new Steps(left);
        let isDead = false;
        void steps.died.then(() => {
          isDead = true;
        });
        const clock = new SettableClock(now);
        await start(site, alarms(each), { clock, hasReplicas, claims: center.claims('1', steps) }, steps);
        while (!isDead && now < START + 69_000) {
          await clock.advance(1_000);
          now = Number(clock.now() / 1_000_000n);
        }
        lives += 1;
        if (!isDead) break;
        now += 3_000;
      }
      const rung = site.accepted.map(({ payload }) => (payload.scheduledFor as string).slice(17, 19));
      expect(rung.slice(0, every.length), `killed at step ${lastStep}`).toEqual(every);
      if (lives === 1) break;
    }
  });

  it('leaves no instant claimed and not rung, however late its claimant is back', async () => {
    const claimedAndLost = { ...row, scope: 'all', misfire: 'skip' };
    let completed = 0;
    for (let step = 0; step < 40; step++) {
      const site = new Site();
      const center = new Center();
      const steps = new Steps(step);
      const clock = new SettableClock();
      await start(site, alarms(claimedAndLost), { clock, claims: center.claims('1', steps) }, steps);
      await clock.advance(35_000);
      const before = site.accepted.length;
      const owned = center.owners.size;
      const late = new SettableClock(START + 10 * HOUR - 5_000);
      await start(site, alarms({ ...claimedAndLost }), { clock: late, claims: center.claims('1') });
      await late.advance(3_000);
      const keys = new Set(site.accepted.map(({ payload }) => Date.parse(payload.scheduledFor as string)));
      for (const owner of center.owners.keys()) expect(keys).toContain(Number(owner.split(' ')[1]));
      if (owned > before) completed += 1;
    }
    expect(completed).toBeGreaterThan(3);
  });
});
