import { setTimeout as sleep } from 'node:timers/promises';
import { Fogwhisk, providerSettings } from './subjects/fogwhisk.ts';
import { startMosquitto } from './support/mosquitto.ts';
import { benchProgram } from './support/paths.ts';
import { Child, cpuSeconds, residentMegabytes } from './support/processes.ts';
import { publish } from './support/publisher.ts';
import { type Plan, progress } from './support/row.ts';
import { atMost, type Table } from './support/table.ts';
import { temporaryFolder } from './support/temporary.ts';

/** More topics than the provider remembers the registrations of. */
const TOPICS = 20_000;
const BROKERS = 50;
const PER_BROKER = 20;
const COUCHDB = { couchdbUsername: 'bench', couchdbPassword: 'password-of-the-benchmark' };
/** From a registration's being there to its subscription's being granted. */
const SUBSCRIBED_MS = 3_000;
const CONFIRMED_MS = 120_000;

/** The same messages for ten registrations with wildcards, alone and among ten thousand; and a thousand from the center over fifty brokers. */
export async function registrations(plan: Plan, table: Table): Promise<void> {
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    for (const registered of [10, 10_000]) {
      progress(`registrations ${repetition + 1}: ${registered}`);
      table.note(`${registered} registrations`, 'us CPU/msg', await cost(registered, plan));
    }
    progress(`registrations ${repetition + 1}: ${BROKERS * PER_BROKER} over ${BROKERS} brokers`);
    await overBrokers(plan, table);
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

async function overBrokers({ quick, sink }: Plan, table: Table): Promise<void> {
  const name = `${BROKERS * PER_BROKER} registrations over ${BROKERS} brokers`;
  const perBroker = quick ? 1_000 : 4_000;
  const brokers = await Promise.all(Array.from({ length: BROKERS }, () => startMosquitto()));
  try {
    await sink.reset();
    const { couchdbUsername, couchdbPassword } = COUCHDB;
    const login = [temporaryFolder(), couchdbUsername, couchdbPassword];
    await using couchdb = new Child(process.execPath, [benchProgram('embedded-couchdb'), ...login]);
    const couchdbGateway = `http://127.0.0.1:${(await couchdb.nextResult<{ port: number }>()).port}`;
    const settings = { ...providerSettings(brokers[0]!, sink), mqttTopics: '[]', couchdbGateway, ...COUCHDB };
    await using fogwhisk = await Fogwhisk.start(settings);
    const docs = brokers.flatMap(({ port }, broker) =>
      Array.from({ length: PER_BROKER }, (_, n) => {
        const trigger = `/guest/broker-${broker}-${n}`;
        return { _id: trigger, trigger, url: `mqtt://127.0.0.1:${port}`, topic: `site/+/sensor-${n}/temperature` };
      }),
    );
    const began = performance.now();
    await storeRegistrations(couchdbGateway, docs);
    while ((await fogwhisk.status()).registrations.length < docs.length) await sleep(20);
    table.note(name, 'ms to take them over', performance.now() - began);
    await sleep(SUBSCRIBED_MS);
    table.note(name, 'MB', residentMegabytes(fogwhisk.pid, 'now'));

    const before = cpuSeconds(fogwhisk.pid);
    const readings = { count: perBroker, topic: 'site/a/sensor-%[1]d/temperature', topics: PER_BROKER };
    await Promise.all(brokers.map((broker) => publish(broker, readings)));
    // The readings of all brokers have the same numbers, so the sink takes those of the second for copies.
    const confirmed = async () => {
      const { unique, duplicates } = await sink.stats();
      return unique + duplicates;
    };
    for (const end = Date.now() + CONFIRMED_MS; (await confirmed()) < perBroker * BROKERS; await sleep(50)) {
      if (Date.now() > end)
        throw new Error(`${await confirmed()} of ${perBroker * BROKERS} messages confirmed in time`);
    }
    table.note(name, 'us CPU/msg', ((cpuSeconds(fogwhisk.pid) - before) / (perBroker * BROKERS)) * 1e6);
  } finally {
    await Promise.all(brokers.map((broker) => broker[Symbol.asyncDispose]()));
  }
}

async function storeRegistrations(couchdb: string, docs: readonly object[]): Promise<void> {
  const login = Buffer.from(`${COUCHDB.couchdbUsername}:${COUCHDB.couchdbPassword}`).toString('base64');
  const headers = { authorization: `Basic ${login}`, 'content-type': 'application/json' };
  // The provider makes it as well; who comes second is answered 412.
  await fetch(`${couchdb}/topic_listeners`, { method: 'PUT', headers });
  const response = await fetch(`${couchdb}/topic_listeners/_bulk_docs`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ docs }),
  });
  if (response.status !== 201) throw new Error(`CouchDB answered ${response.status}: ${await response.text()}`);
}
