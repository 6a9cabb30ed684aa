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

/** One message every 10 ms: the journal lingers 2 ms, so each needs an fdatasync of its own before its PUBACK. */
async function countSyncs({ sink }: Plan, table: Table): Promise<void> {
  const count = 300;
  await using broker = await startMosquitto();
  await sink.reset();
  await using fogwhisk = await Fogwhisk.start(providerSettings(broker, sink));
  const file = join(temporaryFolder(), 'strace');
  await using strace = new Child(program('strace'), [
    ...['-f', '-e', 'trace=fdatasync', '-o', file, '-p', String(fogwhisk.pid)],
  ]);
  await strace.says(/attached/);
  await publish(broker, { count, rate: 100 });
  await sink.confirmed(count);
  await strace.end('SIGINT');
  const syncs = readFileSync(file, 'utf8').match(/fdatasync\(\d+\) *= 0|fdatasync resumed>\) *= 0/g)?.length ?? 0;
  table.note('fdatasync, one message every 10 ms', 'per message', syncs / count, atLeast(0.9));
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
