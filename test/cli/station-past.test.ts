import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import pino from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startStationPast } from '../../src/cli/station-past.ts';
import { startBroker } from '../../src/embedded/broker/broker.ts';
import { temporaryFolder } from '../support/temporary.ts';

const log = pino({ level: 'silent' });

async function setUp() {
  const dataDir = await temporaryFolder();
  const broker = await startBroker({ port: 0, dataDir, maxPacketBytes: 1_000_000, log, setting: 'embeddedMqttPort' });
  onTestFinished(() => broker.close());
  const received: Array<Record<string, unknown>> = [];
  const subscriber = await connectAsync(broker.url);
  onTestFinished(() => void subscriber.end(true));
  subscriber.on('message', (_topic, body) => received.push(JSON.parse(body.toString()) as Record<string, unknown>));
  await subscriber.subscribeAsync('lake', { qos: 1 });
  const aggregate = vi.fn<(period: { from: number; to: number }) => Promise<void>>(async () => {});
  const options = {
    url: broker.url,
    topic: 'lake',
    datacenterId: '7',
    timezone: 'UTC',
    days: 2,
    markerFile: join(dataDir, 'station-past.json'),
    isStored: () => true,
    aggregate,
    log,
  };
  return { received, aggregate, options };
}

test('the past is published once, each reading with its own time, and its closed days are aggregated', async () => {
  const { received, aggregate, options } = await setUp();
  const past = startStationPast(options);
  await vi.waitFor(() => access(options.markerFile), 20_000);
  await past.stop();
  const times = received.map(({ time }) => Date.parse(String(time)));
  expect(received.length % 2).toBe(0);
  expect(received.length / 2).toBeGreaterThanOrEqual(2 * 144);
  expect(received.length / 2).toBeLessThanOrEqual(3 * 144);
  expect(new Set(times).size).toBe(received.length / 2);
  expect(received[0]).toMatchObject({ datacenter_id: 7, wtr_0: expect.any(Number) as number });
  expect(received[1]).toMatchObject({ datacenter_id: 7, humidity: expect.any(Number) as number });
  const midnight = Math.floor(Date.now() / 86_400_000) * 86_400_000;
  expect(aggregate.mock.calls).toEqual([[{ from: Math.min(...times), to: midnight }]]);
  expect(Math.min(...times) % 86_400_000).toBe(0);

  const count = received.length;
  await startStationPast(options).stop();
  expect([received.length, aggregate.mock.calls.length]).toEqual([count, 1]);
}, 30_000);

test('stopped in between, or without a broker, it leaves no mark', async () => {
  const { received, aggregate, options } = await setUp();
  const past = startStationPast(options);
  await vi.waitFor(() => expect(received.length).toBeGreaterThan(50), 10_000);
  await past.stop();
  await expect(access(options.markerFile)).rejects.toThrow('ENOENT');
  await startStationPast({ ...options, url: 'mqtt://127.0.0.1:1' }).stop();
  expect(aggregate).not.toHaveBeenCalled();
}, 30_000);
