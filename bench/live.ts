import { Fogwhisk, providerSettings } from './subjects/fogwhisk.ts';
import { startMosquittoSub } from './subjects/mosquitto-sub.ts';
import { startNaive } from './subjects/naive.ts';
import { installNodeRed, startNodeRed } from './subjects/node-red.ts';
import { startTelegraf } from './subjects/telegraf.ts';
import type { BrokerAddress } from './support/mosquitto.ts';
import { openSession, startMosquitto } from './support/mosquitto.ts';
import { cpuSeconds, findProgram, type Running } from './support/processes.ts';
import { publish } from './support/publisher.ts';
import { type Plan, progress } from './support/row.ts';
import { atLeast, atMost, type Table } from './support/table.ts';

interface Subject {
  readonly name: string;
  readonly count: number;
  readonly start: (broker: BrokerAddress) => Promise<Running>;
}

/** A burst at QoS 1 through a real Mosquitto: messages per second from the first sent to the last confirmed. */
export async function live(plan: Plan, table: Table): Promise<void> {
  const { quick, sink, profileTo } = plan;
  installNodeRed();
  const fast = quick ? 50_000 : 300_000;
  const slow = quick ? 2_000 : 10_000;
  const subjects: Subject[] = [
    { name: 'fogwhisk', count: fast, start: (broker) => Fogwhisk.start(providerSettings(broker, sink), profileTo) },
    {
      name: 'Node-RED, batched',
      count: Math.round(fast / 3),
      start: (broker) => startNodeRed(broker, sink, 'batched'),
    },
    { name: 'Node-RED, per message', count: slow, start: (broker) => startNodeRed(broker, sink, 'single') },
    { name: 'fire per message', count: slow, start: (broker) => startNaive('fire-per-message', broker, sink) },
  ];
  if (findProgram('telegraf')) {
    subjects.push({ name: 'Telegraf', count: fast / 2, start: (broker) => startTelegraf(broker, sink) });
  } else {
    progress('live: without Telegraf, which is not on PATH');
  }
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    progress(`live ${repetition + 1}: mosquitto_sub`);
    table.note('mosquitto_sub', 'msg/s', await mosquittoSubRate(fast));
    for (const subject of subjects) {
      progress(`live ${repetition + 1}: ${subject.name}`);
      await measure(subject, plan, table);
    }
  }
  table.ratio('fogwhisk', 'msg/s', 'mosquitto_sub', atLeast(1));
  table.ratio('fogwhisk', 'msg/s', 'Telegraf', atLeast(4));
  table.ratio('fogwhisk', 'msg/s', 'fire per message', atLeast(80));
  table.ratio('fogwhisk', 'msg/s', 'Node-RED, per message', atLeast(40));
  table.ratio('fogwhisk', 'msg/s', 'Node-RED, batched', atLeast(3));
  table.ratio('fogwhisk', 'us CPU/msg', 'Telegraf', atMost(1));
}

async function measure({ name, count, start }: Subject, { sink, profileTo }: Plan, table: Table): Promise<void> {
  await using broker = await startMosquitto();
  await sink.reset();
  await using subject = await start(broker);
  const before = cpuSeconds(subject.pid);
  const { firstSentUs } = await publish(broker, { count });
  const { lastConfirmedUs, requests } = await sink.confirmed(count);
  table.note(name, 'msg/s', count / ((lastConfirmedUs - firstSentUs) / 1e6));
  table.note(name, 'us CPU/msg', ((cpuSeconds(subject.pid) - before) / count) * 1e6);
  table.note(name, 'msg/request', count / requests);
  if (profileTo && subject instanceof Fogwhisk) await subject.stop();
}

async function mosquittoSubRate(count: number): Promise<number> {
  await using broker = await startMosquitto();
  await openSession(broker, 'ceiling');
  await using subscriber = startMosquittoSub(broker, 'ceiling', count);
  const { firstSentUs } = await publish(broker, { count });
  await subscriber.exited;
  return count / (Date.now() / 1e3 - firstSentUs / 1e6);
}
