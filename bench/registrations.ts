import { Fogwhisk, providerSettings } from './subjects/fogwhisk.ts';
import { startMosquitto } from './support/mosquitto.ts';
import { cpuSeconds } from './support/processes.ts';
import { publish } from './support/publisher.ts';
import { type Plan, progress } from './support/row.ts';
import { atMost, type Table } from './support/table.ts';

/** More topics than the provider remembers the registrations of. */
const TOPICS = 20_000;

/** The same messages for ten registrations with wildcards, alone and among ten thousand. */
export async function registrations(plan: Plan, table: Table): Promise<void> {
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    for (const registered of [10, 10_000]) {
      progress(`registrations ${repetition + 1}: ${registered}`);
      table.note(`${registered} registrations`, 'us CPU/msg', await cost(registered, plan));
    }
  }
  table.ratio('10000 registrations', 'us CPU/msg', '10 registrations', atMost(1.2));
}

async function cost(registered: number, { quick, sink, profileTo }: Plan): Promise<number> {
  const count = quick ? 60_000 : 200_000;
  await using broker = await startMosquitto();
  await sink.reset();
  const topics = Array.from({ length: registered }, (_, n) => ({ topic: `site/${n}/+/temperature` }));
  const settings = { ...providerSettings(broker, sink), mqttTopics: JSON.stringify(topics) };
  await using fogwhisk = await Fogwhisk.start(settings, profileTo);
  const before = cpuSeconds(fogwhisk.pid);
  await publish(broker, { count, topic: 'site/%[2]d/sensor-%[1]d/temperature', topics: TOPICS });
  await sink.confirmed(count);
  const microseconds = ((cpuSeconds(fogwhisk.pid) - before) / count) * 1e6;
  if (profileTo) await fogwhisk.stop();
  return microseconds;
}
