import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fogwhisk, providerSettings } from './subjects/fogwhisk.ts';
import { startMosquitto } from './support/mosquitto.ts';
import { Child, findProgram, program } from './support/processes.ts';
import { publish } from './support/publisher.ts';
import { type Plan, progress } from './support/row.ts';
import { atLeast, atMost, type Table } from './support/table.ts';
import { temporaryFolder } from './support/temporary.ts';

/** A PUBACK's first two bytes, as strace shows them. */
const PUBACK_WRITE = /\bwritev?\(\d+, (\[\{iov_base=)?"\\x40\\x02/;

/** That the numbers of the other rows aren't had by being less durable. */
export async function durability(plan: Plan, table: Table): Promise<void> {
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    if (findProgram('strace')) {
      progress(`durability ${repetition + 1}: fdatasync`);
      await countSyncs(plan, table);
    } else {
      progress('durability: fdatasync is not counted: strace is not on PATH');
    }
    progress(`durability ${repetition + 1}: kill -9`);
    await killed(plan, table);
  }
}

/** What the provider's system calls say, in their order: no PUBACK leaves before its record is written and synced. */
async function countSyncs({ sink }: Plan, table: Table): Promise<void> {
  const count = 5_000;
  await using broker = await startMosquitto();
  await sink.reset();
  await using fogwhisk = await Fogwhisk.start(providerSettings(broker, sink));
  const file = join(temporaryFolder(), 'strace');
  const calls = 'trace=pwrite64,fdatasync,write,writev';
  const trace = ['-f', '-xx', '-s', '8', '-e', calls, '-o', file, '-p', String(fogwhisk.pid)];
  await using strace = new Child(program('strace'), trace);
  await strace.says(/attached/);
  await publish(broker, { count, rate: 1_000 });
  await sink.confirmed(count);
  await strace.end('SIGINT');
  const { syncs, acknowledged, early } = readTrace(readFileSync(file, 'utf8'), count);
  table.note('fdatasyncs, 5 s of 1,000/s', '', syncs, atLeast(1));
  table.note('PUBACKs seen, of 5,000', '', acknowledged, atLeast(count));
  table.note('PUBACKs before the fdatasync of their record', '', early, atMost(0));
}

/** Only the journal is written by pwrite64, and all records are equally long: so many bytes synced, so many PUBACKs due. */
function readTrace(trace: string, records: number): { syncs: number; acknowledged: number; early: number } {
  const lines = trace.split('\n');
  const written = (line: string) => Number(/pwrite64(?:\(| resumed).*= (\d+)$/.exec(line)?.[1] ?? 0);
  const recordBytes = Math.floor(lines.reduce((sum, line) => sum + written(line), 0) / records);
  const result = { syncs: 0, acknowledged: 0, early: 0 };
  let [bytes, bytesToSync, bytesSynced] = [0, 0, 0];
  for (const line of lines) {
    bytes += written(line);
    if (/fdatasync\(\d+/.test(line)) bytesToSync = bytes;
    if (/fdatasync(\(\d+| resumed>)\) *= 0$/.test(line)) {
      bytesSynced = bytesToSync;
      result.syncs += 1;
    }
    if (!PUBACK_WRITE.test(line)) continue;
    const lengths = line.match(/(?<="(?:\.{3})?, |iov_len=)\d+/g)!.map(Number);
    result.acknowledged += lengths.reduce((sum, length) => sum + length, 0) / 4;
    result.early = Math.max(result.early, result.acknowledged - Math.floor(bytesSynced / recordBytes));
  }
  return result;
}

/** Killed in the middle of a burst that the platform is slow to take, and started again. */
async function killed({ sink, quick }: Plan, table: Table): Promise<void> {
  const count = quick ? 40_000 : 200_000;
  await using broker = await startMosquitto();
  await sink.reset(200);
  const settings = { ...providerSettings(broker, sink), dataDir: temporaryFolder() };
  const first = await Fogwhisk.start(settings);
  const published = publish(broker, { count, rate: count / 5 });
  await sleep(3_000);
  const atKill = (await sink.stats()).unique;
  await first[Symbol.asyncDispose]();
  await using second = await Fogwhisk.start(settings);
  const { acknowledged } = await published;
  const { unique, duplicates } = await sink.stats(count, 60_000);
  await sleep(1_000); // for the provider to write its books
  const { books } = await second.status();
  table.note('confirmed when killed', 'messages', atKill, atLeast(1));
  table.note('lost by kill -9', 'messages', acknowledged - unique, atMost(0));
  table.note('books: received - published', 'messages', books.received - acknowledged, atMost(0));
  table.note('books: received - confirmed', 'messages', books.received - books.confirmed, atMost(0));
  table.note('confirmed twice', 'messages', duplicates);
}
