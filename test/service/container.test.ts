import { chown, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InfluxDB } from '@influxdata/influxdb-client';
import { connectAsync, type MqttClient } from 'mqtt';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { Credentials } from '../../src/credentials.ts';
import { Container } from '../deploy/support/container.ts';
import { buildImage, describeWithImages, IMAGE, ROOT } from '../deploy/support/images.ts';
import { Mosquitto } from '../support/mosquitto.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** Not the image's own, as OpenShift and others choose one. */
const USER = 4_242;
const GRACE_SECONDS = 10;

describeWithImages(['mosquitto'], 'the image', () => {
  beforeAll(() => buildImage(IMAGE, ROOT), 300_000);

  it('takes readings from Mosquitto with a read-only root, no capabilities, a numeric user, and stops in time', async () => {
    const { container, publish, points } = await site();
    await publish(0, 50);
    await container.untilStatus(({ books }) => books.confirmed === 50);
    expect(await points()).toBe(50);

    const status = await container.shell('cat /proc/1/status');
    expect(status).toMatch(new RegExp(`^Uid:(\\s+${USER}){4}$`, 'm'));
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(await container.shell('touch /app/x 2>&1 || true')).toContain('Read-only file system');

    expect(await container.shell('fogwhisk --version')).toMatch(/^\d+\.\d+\.\d+\n$/);

    const begun = performance.now();
    expect(await container.stop(GRACE_SECONDS)).toBe(0);
    expect(performance.now() - begun).toBeLessThan(GRACE_SECONDS * 1_000);
    expect(container.output()).toContain('fogwhisk has stopped: nothing is left in the journal (50 received');
  }, 60_000);

  it('goes on from its volume after a kill under load', async () => {
    const { container, publish, points, restart } = await site();
    const publishing = publish(0, 2_000);
    await container.untilStatus(({ books }) => books.received > 300);
    expect(await container.kill()).toBe(137);
    await publishing;
    const second = await restart();
    await second.untilStatus(({ books }) => books.received >= 2_000 && books.pending === 0, 50_000);
    expect(await points()).toBe(2_000);
  }, 120_000);

  it('ends the orphans that actions leave behind', async () => {
    const { container } = await site();
    await container.shell('sleep 0.2 &');
    // A process that nobody waits for keeps its line in /proc for ever.
    for (;;) {
      const left = await container.shell('grep -ls "^sleep$" /proc/[0-9]*/comm || true');
      if (left === '') break;
    }
  });
});

/** A container beside a Mosquitto; its OpenWhisk and InfluxDB are embedded, so their data are in the volume too. */
async function site() {
  const mosquitto = await Mosquitto.start();
  const volume = await temporaryFolder();
  await chown(volume, USER, USER);
  const settings = { mqttUrl: mosquitto.url, mqttTopics: '[{"topic":"readings/#"}]', logLevel: 'warn' };
  let container = await Container.start(volume, USER, settings);
  const client = await connectAsync(mosquitto.url);
  onTestFinished(() => client.endAsync(true));
  return {
    container,
    publish: (from: number, to: number) => publish(client, from, to),
    points: () => points(container, volume),
    restart: async () => {
      container = await Container.start(volume, USER, settings);
      return container;
    },
  };
}

async function publish(client: MqttClient, from: number, to: number): Promise<void> {
  const start = Date.UTC(2026, 0, 1);
  for (let n = from; n < to; n++) {
    const reading = { temperature: n, device_fingerprint: 1, time: new Date(start + n * 1_000).toISOString() };
    await client.publishAsync('readings/room', JSON.stringify(reading), { qos: 1 });
  }
}

/** How many points the embedded InfluxDB of the container holds. */
async function points(container: Container, volume: string): Promise<number> {
  const { influxLocalToken: token } = JSON.parse(
    await readFile(join(volume, 'credentials.json'), 'utf8'),
  ) as Credentials;
  const url = /^ {2}InfluxDB\s+(\S+)$/m.exec(container.output())![1]!;
  const rows = await new InfluxDB({ url, token })
    .getQueryApi('influxdata')
    .collectRows<{ _value: number }>(
      'from(bucket: "measure") |> range(start: 2026-01-01T00:00:00Z, stop: 2027-01-01T00:00:00Z) |> group() |> count()',
    );
  return rows[0]?._value ?? 0;
}
