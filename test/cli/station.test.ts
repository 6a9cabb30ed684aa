import { connectAsync } from 'mqtt';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { startStation, topicFor } from '../../src/cli/station.ts';
import { startBroker } from '../../src/embedded/broker/broker.ts';
import { temporaryFolder } from '../support/temporary.ts';

const log = pino({ level: 'silent' });
const credentials = { username: 'u', password: 'p' };

async function start(dataDir: string, port = 0) {
  const broker = await startBroker({
    port,
    dataDir,
    credentials,
    maxPacketBytes: 1_000_000,
    log,
    setting: 'embeddedMqttPort',
  });
  onTestFinished(() => broker.close());
  return broker;
}

test('publishes a buoy and a room sensor at once and then every interval, also after the broker was away', async () => {
  const dataDir = await temporaryFolder();
  const broker = await start(dataDir);
  const received: Array<Record<string, unknown>> = [];
  const subscriber = await connectAsync(broker.url, {
    ...credentials,
    clean: false,
    clientId: 'test',
    reconnectPeriod: 20,
  });
  subscriber.on('error', () => {});
  onTestFinished(() => void subscriber.end(true));
  subscriber.on('message', (_topic, payload) =>
    received.push(JSON.parse(payload.toString()) as Record<string, unknown>),
  );
  await subscriber.subscribeAsync('lake', { qos: 1 });

  const station = startStation({
    url: broker.url,
    ...credentials,
    topic: 'lake',
    datacenterId: '7',
    intervalMs: 60_000,
    log,
  });
  await expect.poll(() => received).toHaveLength(2);
  await station.stop();
  expect(received[0]).toMatchObject({
    wtr_0: expect.any(Number) as number,
    device_fingerprint: 8394611,
    datacenter_id: 7,
  });
  expect(Math.abs(Date.parse(String(received[0]!.time)) - Date.now())).toBeLessThan(10_000);
  expect(Object.keys(received[1]!)).toEqual([
    'humidity',
    'temperature',
    'gas_perc',
    'device_fingerprint',
    'datacenter_id',
  ]);

  const frequent = startStation({
    url: broker.url,
    ...credentials,
    topic: 'lake',
    datacenterId: 'x',
    intervalMs: 20,
    log,
  });
  await expect.poll(() => received.length).toBeGreaterThan(8);
  expect(received.at(-1)!.datacenter_id).toBe('x');
  await broker.close();
  await start(dataDir, broker.port);
  const before = received.length;
  await expect.poll(() => received.length).toBeGreaterThan(before + 4);
  await frequent.stop();
});

test('stops while there is no broker', async () => {
  const station = startStation({ url: 'mqtt://127.0.0.1:1', topic: 't', datacenterId: 1, log });
  await station.stop();
});

test.each([
  ['test', 'test'],
  ['lake/+/buoy', 'lake/station/buoy'],
  ['$share/site/lake/#', 'lake/station'],
])('a topic that %s matches is %s', (filter, topic) => expect(topicFor(filter)).toBe(topic));
