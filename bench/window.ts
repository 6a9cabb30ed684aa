import { Fogwhisk, providerSettings } from './subjects/fogwhisk.ts';
import { startNaive } from './subjects/naive.ts';
import type { BrokerAddress } from './support/mosquitto.ts';
import { TOOLS } from './support/paths.ts';
import { Child, type Running } from './support/processes.ts';
import { type Published, READING } from './support/publisher.ts';
import { type Plan, progress } from './support/row.ts';
import { atLeast, type Table } from './support/table.ts';

/** What a small in-flight window costs where an acknowledgement waits for the platform. */
const WINDOW = 20;
const SINK_DELAY_MS = 10;

/** A broker with a strict window and a platform that takes its time: from the first sent to the last confirmed. */
export async function window(plan: Plan, table: Table): Promise<void> {
  const { quick, sink } = plan;
  const fogwhisk = (broker: BrokerAddress) => Fogwhisk.start(providerSettings(broker, sink));
  const naive = (broker: BrokerAddress) => startNaive('acknowledge-after-http', broker, sink);
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    progress(`window ${repetition + 1}`);
    table.note('fogwhisk', 'msg/s', await rate(quick ? 20_000 : 100_000, fogwhisk, plan));
    table.note('acknowledge after HTTP', 'msg/s', await rate(quick ? 2_000 : 5_000, naive, plan));
  }
  table.ratio('fogwhisk', 'msg/s', 'acknowledge after HTTP', atLeast(25));
}

async function rate(
  count: number,
  start: (broker: BrokerAddress) => Promise<Running>,
  { sink }: Plan,
): Promise<number> {
  await sink.reset(SINK_DELAY_MS);
  await using broker = new Child(TOOLS, ['broker', `-count=${count}`, `-window=${WINDOW}`, `-body=${READING}`]);
  const address = await broker.nextResult<BrokerAddress>();
  const sent = broker.nextResult<Published>();
  await using _subject = await start(address);
  const { firstSentUs } = await sent;
  const { lastConfirmedUs } = await sink.confirmed(count);
  return count / ((lastConfirmedUs - firstSentUs) / 1e6);
}
