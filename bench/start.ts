import { join } from 'node:path';
import { Fogwhisk, providerSettings } from './subjects/fogwhisk.ts';
import { startMosquitto } from './support/mosquitto.ts';
import { benchProgram } from './support/paths.ts';
import { Child, residentMegabytes } from './support/processes.ts';
import { type Plan, progress } from './support/row.ts';
import { atMost, type Table } from './support/table.ts';
import { temporaryFolder } from './support/temporary.ts';

/** What the only registration of the settings is called. */
const REGISTRATION = 'test';

/** From the start of the process until its subscription is granted, with an empty journal and with a large one. */
export async function start(plan: Plan, table: Table): Promise<void> {
  const gigabytes = plan.quick ? 1 : 10;
  progress(`start: a journal of ${gigabytes} GB is written`);
  const full = temporaryFolder();
  const args = [join(full, 'journal'), REGISTRATION, String(gigabytes * 1e9)];
  await using fill = new Child(process.execPath, [benchProgram('fill-journal'), ...args]);
  const { count } = await fill.nextResult<{ count: number }>();
  table.note(`events in the journal of ${gigabytes} GB`, '', count);
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    progress(`start ${repetition + 1}`);
    const empty = await started(plan, temporaryFolder());
    table.note('empty journal', 's', empty.seconds, atMost(0.7));
    const large = await started(plan, full);
    table.note(`journal of ${gigabytes} GB`, 's', large.seconds, atMost(5));
    table.note(`journal of ${gigabytes} GB, pending by the books`, '', large.pending, atMost(count));
    table.note(`journal of ${gigabytes} GB, peak at the start`, 'MB', large.megabytes);
  }
}

async function started({ sink }: Plan, dataDir: string) {
  await using broker = await startMosquitto();
  await sink.reset();
  await sink.goDown(60);
  const settings = { ...providerSettings(broker, sink), dataDir, journalMaxBytes: String(1e12) };
  const begun = performance.now();
  await using fogwhisk = await Fogwhisk.start(settings);
  const seconds = (performance.now() - begun) / 1e3;
  const { books } = await fogwhisk.status();
  return { seconds, pending: books.pending, megabytes: residentMegabytes(fogwhisk.pid, 'peak') };
}
