import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pino } from 'pino';
import { systemClock } from '../src/adapters/system/clock.ts';
import { alarmRegistrations, alarmRowsSchema } from '../src/core/alarm.ts';
import { RingAlarms } from '../src/flows/ring-alarms.ts';
import { type Plan, progress } from './support/row.ts';
import { atMost, type Table } from './support/table.ts';

const ALARMS = 10_000;
const IDLE_MS = 10_000;
/** By then what the start left to do is done. */
const SETTLED_AFTER_MS = 2_000;

/** Ten thousand alarms: to start, to have, to wait for, and to ring all at one instant. */
export async function alarms({ repetitions, quick }: Plan, table: Table): Promise<void> {
  for (let repetition = 0; repetition < repetitions; repetition++) {
    progress(`alarms ${repetition + 1}`);
    await atRest(table, quick ? 3_000 : IDLE_MS);
    await atOneInstant(table);
  }
}

async function atRest(table: Table, idleMs: number): Promise<void> {
  const heapBefore = usedHeap();
  const wakes = { count: 0 };
  const begun = process.cpuUsage();
  const ringing = start(0, () => undefined, wakes);
  await ringing.start();
  table.note('10,000 alarms, from the settings to waiting', 'ms CPU', cpuSince(begun) / 1_000, atMost(2_000));
  table.note('10,000 alarms', 'MB', (usedHeap() - heapBefore) / 2 ** 20, atMost(50));
  await sleep(SETTLED_AFTER_MS);
  wakes.count = 0;
  const cpu = process.cpuUsage();
  await sleep(idleMs);
  table.note('a tick in which none is due', 'us CPU', cpuSince(cpu) / wakes.count, atMost(2_000));
  await ringing.stop();
}

/** All were due while the site was away. */
async function atOneInstant(table: Table): Promise<void> {
  let left = ALARMS;
  const cpu = process.cpuUsage();
  const ringing = await new Promise<RingAlarms>((resolve) => {
    const starting = start(86_400_000, () => {
      left -= 1;
      if (left === 0) resolve(starting);
    });
    void starting.start();
  });
  table.note('an alarm that starts and rings', 'us CPU', cpuSince(cpu) / ALARMS, atMost(500));
  await ringing.stop();
}

/** @param awayMs how long ago the alarms were made and the site was last there */
function start(awayMs: number, onRing: () => void, wakes = { count: 0 }): RingAlarms {
  const createdAt = Date.now() - awayMs;
  const rows = Array.from({ length: ALARMS }, (_, n) => ({
    name: `alarm ${n}`,
    // In a day there is one instant of each.
    cron: `${n % 60} ${Math.floor(n / 60) % 24} * * *`,
    timezone: n % 2 === 0 ? 'UTC' : 'Europe/Berlin',
    trigger: 't',
    createdAt,
  }));
  const ringing = new RingAlarms({
    intake: {
      accept: async () => {
        onRing();
        return true;
      },
      pending: () => 0,
    },
    claims: { take: async () => 'won', isOurs: async () => false, forget: async () => 0 },
    hasReplicas: false,
    progress: { load: async () => ({ alarms: {}, inDoubt: [] }), save: async () => undefined },
    clock: {
      ...systemClock,
      sleep: (ms, signal) => {
        wakes.count += 1;
        return systemClock.sleep(ms, signal);
      },
    },
    log: pino({ level: 'silent' }),
    onEnded: async () => undefined,
  });
  ringing.apply(alarmRegistrations(alarmRowsSchema.parse(rows)));
  return ringing;
}

/** us */
function cpuSince(begin: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begin);
  return user + system;
}

/** What is in use once the garbage is collected. */
function usedHeap(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}
