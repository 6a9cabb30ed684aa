import { Fogwhisk, providerSettings } from './subjects/fogwhisk.ts';
import { startMosquittoSub } from './subjects/mosquitto-sub.ts';
import { openSession, startMosquitto } from './support/mosquitto.ts';
import { cpuSeconds } from './support/processes.ts';
import { publish } from './support/publisher.ts';
import { type Plan, progress } from './support/row.ts';
import { atLeast, type Table } from './support/table.ts';

const SITE = '1';

/** The broker has queued messages for a session: from the connection to the last confirmed. */
export async function backlog(plan: Plan, table: Table): Promise<void> {
  const count = plan.quick ? 50_000 : 150_000;
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    progress(`backlog ${repetition + 1}: mosquitto_sub`);
    table.note('mosquitto_sub', 'msg/s', await mosquittoSubRate(count));
    progress(`backlog ${repetition + 1}: fogwhisk`);
    await fogwhiskRate(count, plan, table);
  }
  table.ratio('fogwhisk', 'msg/s', 'mosquitto_sub', atLeast(1));
}

async function mosquittoSubRate(count: number): Promise<number> {
  await using broker = await startMosquitto();
  await openSession(broker, 'ceiling');
  await publish(broker, { count });
  const started = performance.now();
  await using subscriber = startMosquittoSub(broker, 'ceiling', count);
  await subscriber.exited;
  return (count / (performance.now() - started)) * 1e3;
}

async function fogwhiskRate(count: number, { sink, profileTo }: Plan, table: Table): Promise<void> {
  await using broker = await startMosquitto();
  await sink.reset();
  const settings = { ...providerSettings(broker, sink), datacenterId: SITE };
  await openSession(broker, `fogwhisk-${SITE}`);
  await publish(broker, { count });
  const started = Date.now() * 1e3;
  await using fogwhisk = await Fogwhisk.start(settings, profileTo);
  const { lastConfirmedUs } = await sink.confirmed(count);
  table.note('fogwhisk', 'msg/s', count / ((lastConfirmedUs - fogwhisk.connectedAtUs) / 1e6));
  table.note('fogwhisk, start included', 'us CPU/msg', (cpuSeconds(fogwhisk.pid) / count) * 1e6);
  table.note('fogwhisk, process start to connected', 's', (fogwhisk.connectedAtUs - started) / 1e6);
  if (profileTo) await fogwhisk.stop();
}
