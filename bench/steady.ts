import { Fogwhisk, providerSettings } from './subjects/fogwhisk.ts';
import { startMosquitto } from './support/mosquitto.ts';
import { cpuSeconds } from './support/processes.ts';
import { publish } from './support/publisher.ts';
import { type Plan, progress } from './support/row.ts';
import { atLeast, atMost, type Table } from './support/table.ts';

const RATE = 10_000;
/** How long the first message of a batch waits for company, by default (`batch.lingerMs`). */
const LINGER_MS = 25;

/** 10,000 messages per second: how long until they are confirmed, and what that costs. */
export async function steady(plan: Plan, table: Table): Promise<void> {
  const { sink, quick, profileTo } = plan;
  const seconds = quick ? 5 : 30;
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    progress(`steady ${repetition + 1}`);
    await using broker = await startMosquitto();
    await using fogwhisk = await Fogwhisk.start(providerSettings(broker, sink), profileTo);
    await publish(broker, { count: RATE, rate: RATE }); // warms up
    await sink.confirmed(RATE);
    await sink.reset();
    const before = cpuSeconds(fogwhisk.pid);
    const count = RATE * seconds;
    await publish(broker, { count, rate: RATE });
    const { p50, p99, requests } = await sink.confirmed(count);
    table.note('publish to confirmed, p50', 'ms', p50);
    table.note('publish to confirmed, p99', 'ms', p99, atMost(LINGER_MS + 15));
    table.note('CPU', '% of a core', ((cpuSeconds(fogwhisk.pid) - before) / seconds) * 100, atMost(30));
    table.note('readings per firing', '', count / requests, atLeast(200));
    if (profileTo) await fogwhisk.stop();
    await sink.reset();
  }
}
