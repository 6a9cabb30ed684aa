import { expect, onTestFinished, test } from 'vitest';
import { Influx } from './influx.ts';
import { InfluxProxy } from './influx-proxy.ts';
import { actionHosts, kill } from './processes.ts';
import { PROVIDER_TOKEN } from './provider.ts';
import { Site } from './site.ts';

/** Aggregates from the site's journal to the center, whatever the link does: the whole site as processes of its own. */

const START = Date.UTC(2024, 4, 1);
const HALF_HOUR_MS = 1_800_000;
const iso = (time: number) => new Date(time).toISOString();

export interface ChainServers {
  /** An InfluxDB with the bucket `aggregates`, of its own for the test. */
  readonly startCenter: () => Promise<{ influx: Influx; close: () => Promise<void> }>;
  /** The site's InfluxDB, where it is not the embedded one. */
  readonly startLocal?: () => Promise<{ influx: Influx; close: () => Promise<void> }>;
}

/** A site whose center is an InfluxDB behind a link that the test cuts; its bucket `measure` holds a day of readings. */
async function setUp({ startCenter, startLocal }: ChainServers) {
  const { influx: center, close } = await startCenter();
  onTestFinished(close);
  const outside = await startLocal?.();
  if (outside) onTestFinished(outside.close);
  const link = await InfluxProxy.start(center.url);
  const site = await Site.start({
    influxCentralUrl: link.url,
    influxCentralToken: center.token,
    aggregatesCron: 'off',
    forecastCron: 'off',
    ...(outside && { influxLocalUrl: outside.influx.url, influxLocalToken: outside.influx.token }),
  });
  const local = async () => outside?.influx ?? embeddedOf(site);
  const readings = Array.from({ length: 1_440 }, (_, n) => n).flatMap((n) =>
    [1, 2].map(
      (device) =>
        `temperature,datacenter_id=1,device_fingerprint=${device} value=${n / device} ${START + n * 60_000}000000`,
    ),
  );
  await (await local()).write('measure', readings);

  /** What an alarm does for each half hour. */
  const fire = async (from: number, to: number) => {
    for (let n = from; n < to; n++) {
      const window = { from: iso(START + n * HALF_HOUR_MS), to: iso(START + (n + 1) * HALF_HOUR_MS) };
      const body = JSON.stringify({
        trigger: 'aggregatesTrigger',
        payload: { window, every: '30m' },
        key: `half hour ${n}`,
      });
      const headers = { authorization: `Bearer ${PROVIDER_TOKEN}`, 'content-type': 'application/json' };
      const response = await fetch(`${site.provider.url}/firings`, { method: 'POST', headers, body });
      expect(await response.json()).toEqual({ accepted: true });
    }
  };
  const booksOf = async (trigger: string) => {
    const { registrations } = await site.provider.status();
    return registrations.find(({ name }) => name === `next: ${trigger}`);
  };
  const aggregated = (count: number) =>
    site.provider.untilStatus(
      ({ registrations }) =>
        registrations.find(({ name }) => name === 'next: aggregatesTrigger')?.books.confirmed === count,
      60_000,
    );
  return { site, local, center, link, fire, booksOf, aggregated };
}

export function chainSuite(servers: ChainServers): void {
  test('the center is away for a day of half hours, and the site is restarted twice: then the center has all, exactly', async () => {
    const { site, local, center, link, fire, booksOf, aggregated } = await setUp(servers);
    link.answer = (request) => request.socket.destroy();
    await fire(0, 16);
    await aggregated(16);
    await site.restart('SIGTERM');
    await fire(16, 32);
    await aggregated(32);
    await site.restart('SIGKILL');
    await fire(32, 48);
    await aggregated(48);

    expect(await center.values('aggregates')).toEqual({});
    // After the kill it must first have tried.
    await site.provider.untilStatus(({ registrations }) =>
      registrations.some(
        ({ name, obstacle }) => name === 'next: forwardTrigger' && obstacle?.code === 'INFLUX_UNREACHABLE',
      ),
    );
    const waiting = await booksOf('forwardTrigger');
    expect(waiting).toMatchObject({ books: { confirmed: 0 }, obstacle: { code: 'INFLUX_UNREACHABLE' } });
    expect(waiting!.books.pending).toBeGreaterThan(2);
    expect(Date.parse(waiting!.pendingSince!)).toBeGreaterThan(Date.now() - 300_000);
    expect((await site.provider.status()).journal.bytes).toBeLessThan(200_000);

    link.answer = (_request, _response, pass) => pass();
    await site.settled(48 + waiting!.books.pending);
    const values = await (await local()).values('aggregates');
    expect(Object.keys(values)).toHaveLength(48 * 6);
    expect(await center.values('aggregates')).toEqual(values);
    expect(await booksOf('forwardTrigger')).toMatchObject({ books: { pending: 0, parked: 0 } });
  }, 180_000);

  test('the action host is killed with -9 while the center is written to: the next attempt makes it whole', async () => {
    const { site, local, center, link, fire } = await setUp(servers);
    let killed: number[] = [];
    link.answer = (_request, response, pass) => {
      if (killed.length > 0) return pass();
      killed = actionHosts(site.provider.pid);
      killed.forEach(kill);
      response.destroy();
    };
    await fire(0, 1);
    await site.settled(2, 100_000); // the receipt is waited for, for a minute
    expect(killed).not.toEqual([]);
    expect(Object.keys(await center.values('aggregates'))).toHaveLength(6);
    expect(await center.values('aggregates')).toEqual(await (await local()).values('aggregates'));
  }, 120_000);

  test('of another type in the center: the others get there, and the firing is parked with the reason', async () => {
    const { site, local, center, fire, booksOf } = await setUp(servers);
    await center.write('aggregates', [`temperature,datacenter_id=9 max="text" ${START}000000`]);
    await fire(0, 1);
    await site.settled(2);
    expect(await booksOf('forwardTrigger')).toMatchObject({ books: { parked: 1 } });
    const headers = { authorization: `Bearer ${PROVIDER_TOKEN}` };
    const parked = await (await fetch(`${site.provider.url}/parked`, { headers })).text();
    expect(parked).toContain('INFLUX_REFUSED');
    expect(parked).toContain('refused 1 of 6 values');
    const { [`temperature{"datacenter_id":"1"} max ${iso(START).replace('.000', '')}`]: max, ...others } = await (
      await local()
    ).values('aggregates');
    expect(max).toBe(29);
    expect(await center.values('aggregates')).toMatchObject(others);
  }, 60_000);
}

/** The embedded InfluxDB of a site. */
async function embeddedOf(site: Site): Promise<Influx> {
  const { influxLocalToken: token } = await site.credentials();
  return new Influx({ url: site.provider.address('InfluxDB'), token, org: 'influxdata' });
}
