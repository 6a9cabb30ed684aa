import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openCenter } from '../src/center.ts';
import { loadConfig } from '../src/config.ts';
import type { Registration } from '../src/core/registration.ts';
import { loadCredentials } from '../src/credentials.ts';
import { CENTER_LOGIN, Center, Told } from './support/center.ts';
import { temporaryFolder } from './support/temporary.ts';

const SHARED_KEY = 'a key that the sites and the center share';

/** A site's side of the center, started. */
async function openSite(center: Center, site: string, settings: Record<string, string> = {}) {
  const config = loadConfig(undefined, {
    dataDir: await temporaryFolder(),
    datacenterId: site,
    couchdbGateway: center.url,
    couchdbPassword: CENTER_LOGIN.password,
    sharedKey: SHARED_KEY,
    ...settings,
  });
  const credentials = await loadCredentials(config);
  const couchdb = { url: center.url, ...CENTER_LOGIN };
  const told = new Told<readonly Registration[]>();
  const endpoints = {
    mqtt: { url: 'mqtt://127.0.0.1:1883', version: 5 as const },
    openwhisk: { url: 'http://127.0.0.1:1', auth: credentials.owAuth },
    couchdb,
    stateCouchdb: couchdb,
    influxLocal: { url: 'http://influx', token: 't' },
  };
  const open = openCenter(config, credentials, endpoints, {
    registrations: config.registrations,
    parameters: {
      influx_url: ['influxLocalUrl', endpoints.influxLocal.url],
      influx_bucket: ['influxLocalBucket', config.influxLocalBucket],
    },
    onChange: told.tell,
    log: pino({ level: 'silent' }),
  });
  onTestFinished(() => open.stop());
  await open.start();
  return { open, told };
}

describe("a site's side of the center", () => {
  it('runs without it, and makes what is missing there when it comes', async () => {
    const center = await Center.start();
    await center.stop();
    const { open, told } = await openSite(center, '1', { influxLocalBucket: 'mine', parameters: '{"days":3}' });
    expect(told.last).toMatchObject([{ name: 'test' }]);
    expect(open.parameters()).toEqual({ influx_url: 'http://influx', influx_bucket: 'mine', days: 3 });
    expect(open.status()).toMatchObject({ registrations: { connected: false }, problems: [] });

    await center.startAgain();
    await expect
      .poll(() => open.status())
      .toMatchObject({
        registrations: { connected: true },
        parameters: { connected: true },
      });
    expect((await center.request('GET', '/topic_listeners/_design/subscriptions')).status).toBe(200);
    expect((await center.request('GET', '/parameters')).status).toBe(200);
  });

  it('acts within 2 s on what the center says to every site and to one', async () => {
    const center = await Center.start();
    const [one, two] = [await openSite(center, '1'), await openSite(center, '2')];
    for (const { open } of [one, two]) {
      await expect.poll(() => open.status().registrations.connected).toBe(true);
      await expect.poll(() => open.status().parameters.connected).toBe(true);
    }
    const names = ({ told }: typeof one) => told.last!.map(({ name }) => name);
    await center.put('topic_listeners', { _id: 'all', trigger: '/guest/a', topic: 'a' });
    await center.put('topic_listeners', { _id: 'mine', trigger: '/guest/a', topic: 'b', sites: ['1'] });
    await center.put('topic_listeners', { _id: 'bad', trigger: 7 });
    await center.put('parameters', { _id: '*', values: { influx_bucket: 'for all' } });
    await center.put('parameters', { _id: '2', values: { influx_bucket: 'for two' } });
    await expect
      .poll(() => [names(one), names(two)], { timeout: 2_000 })
      .toEqual([
        ['test', 'all', 'mine'],
        ['test', 'all'],
      ]);
    await expect
      .poll(() => [one.open.parameters().influx_bucket, two.open.parameters().influx_bucket], { timeout: 2_000 })
      .toEqual(['for all', 'for two']);
    await expect.poll(() => one.open.status().problems).toEqual([expect.stringMatching(/^bad: .*trigger/)]);
  });
});
