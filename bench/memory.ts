import { setTimeout as sleep } from 'node:timers/promises';
import { Fogwhisk, providerSettings } from './subjects/fogwhisk.ts';
import { startMosquitto } from './support/mosquitto.ts';
import { processTree, proportionalMegabytes, residentMegabytes } from './support/processes.ts';
import { publish } from './support/publisher.ts';
import { type Plan, progress } from './support/row.ts';
import { atMost, type Table } from './support/table.ts';

const BURST = 150_000;
const OUTAGE_RATE = 10_000;
const LONG_RATE = 2_000;
const LONG_SECONDS = 3_600;

/** Resident memory of the provider at rest and under load, and of a whole embedded site at rest. */
export async function memory(plan: Plan, table: Table): Promise<void> {
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    progress(`memory ${repetition + 1}: idle and burst`);
    await idleAndBurst(plan, table);
    progress(`memory ${repetition + 1}: outage`);
    await outage(plan, table);
    progress(`memory ${repetition + 1}: embedded site`);
    await embeddedSite(table);
  }
  if (!plan.long) return;
  progress('memory: an hour');
  await hour(plan, table);
}

async function idleAndBurst({ sink }: Plan, table: Table): Promise<void> {
  await using broker = await startMosquitto();
  await sink.reset();
  await using fogwhisk = await Fogwhisk.start(providerSettings(broker, sink));
  await sleep(2_000);
  table.note('provider, idle', 'MB', residentMegabytes(fogwhisk.pid, 'now'), atMost(90));
  await publish(broker, { count: BURST });
  await sink.confirmed(BURST);
  table.note('provider, peak of a burst of 150,000', 'MB', residentMegabytes(fogwhisk.pid, 'peak'), atMost(160));
}

async function outage({ sink, quick }: Plan, table: Table): Promise<void> {
  const seconds = quick ? 10 : 60;
  const count = OUTAGE_RATE * (seconds + 10);
  await using broker = await startMosquitto();
  await sink.reset();
  await using fogwhisk = await Fogwhisk.start(providerSettings(broker, sink));
  const published = publish(broker, { count, rate: OUTAGE_RATE });
  await sleep(2_000);
  await sink.goDown(seconds);
  const { lastAckUs } = await published;
  const { lastConfirmedUs, duplicates } = await sink.confirmed(count);
  const what = `provider, peak of an outage of ${seconds} s at 10,000/s`;
  table.note(what, 'MB', residentMegabytes(fogwhisk.pid, 'peak'), atMost(200));
  table.note('last sent to all confirmed', 's', Math.max(0, lastConfirmedUs - lastAckUs) / 1e6);
  table.note('confirmed twice', 'messages', duplicates, atMost(0));
}

async function embeddedSite(table: Table): Promise<void> {
  await using site = await Fogwhisk.start({});
  await sleep(2_000);
  const processes = processTree(site.pid);
  const sum = (megabytes: (pid: number) => number) => processes.reduce((total, pid) => total + megabytes(pid), 0);
  table.note('embedded site at rest, proportional', 'MB', sum(proportionalMegabytes), atMost(250));
  const resident = sum((pid) => residentMegabytes(pid, 'now'));
  table.note(`embedded site at rest, resident`, 'MB', resident);
  table.note('embedded site at rest', 'processes', processes.length);
}

/** Flat: no more at the end than a tenth above what it was after the first quarter. */
async function hour({ sink }: Plan, table: Table): Promise<void> {
  await using broker = await startMosquitto();
  await sink.reset();
  await using fogwhisk = await Fogwhisk.start(providerSettings(broker, sink));
  const count = LONG_RATE * LONG_SECONDS;
  const published = publish(broker, { count, rate: LONG_RATE });
  await sleep((LONG_SECONDS * 1_000) / 4);
  const quarter = residentMegabytes(fogwhisk.pid, 'now');
  await published;
  await sink.confirmed(count);
  const end = residentMegabytes(fogwhisk.pid, 'now');
  table.note('provider, after an hour at 2,000/s', 'MB', end);
  table.note('the same over what it was after a quarter', 'x', end / quarter, atMost(1.1));
}
