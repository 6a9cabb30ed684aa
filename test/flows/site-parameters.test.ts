import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SnapshotFile } from '../../src/adapters/couchdb/snapshot-file.ts';
import { systemClock } from '../../src/adapters/system/clock.ts';
import { sealedParameter } from '../../src/core/parameters.ts';
import { Seal } from '../../src/core/sealed.ts';
import { SiteParameters } from '../../src/flows/site-parameters.ts';
import { Center } from '../support/center.ts';
import { temporaryFolder } from '../support/temporary.ts';

const log = pino({ level: 'silent' });
const DATABASE = 'parameters';
const seal = new Seal(['shared by all sites']);

async function startSite(center: Center, site: string, folder: string) {
  const parameters = new SiteParameters({
    database: center.documents(DATABASE),
    snapshots: new SnapshotFile(join(folder, `parameters-${site}.json`), log),
    clock: systemClock,
    log,
    site,
    secrets: { seal, named: () => undefined },
    defaults: { influx_url: 'http://default', datacenter_id: site },
    configMap: { pinned: 'by the ConfigMap' },
  });
  onTestFinished(() => parameters.stop());
  await parameters.start();
  return parameters;
}

describe('the parameters of a site', () => {
  it('follow the center within 2 s, each site its own, and go on without it', async () => {
    const center = await Center.start();
    const folder = await temporaryFolder();
    const [one, two] = [await startSite(center, '1', folder), await startSite(center, '2', folder)];
    expect(one.current()).toEqual({ influx_url: 'http://default', datacenter_id: '1', pinned: 'by the ConfigMap' });
    await expect.poll(() => [one.state, two.state]).toMatchObject([{ connected: true }, { connected: true }]);

    await center.put(DATABASE, { _id: '*', values: { influx_url: 'http://all', pinned: 'by the center' } });
    const secrets = { influx_token: sealedParameter('planted-token', '1', 'influx_token', seal) };
    await center.put(DATABASE, { _id: '1', values: { influx_url: 'http://one' }, secrets });
    const wanted = { influx_url: 'http://one', influx_token: 'planted-token', pinned: 'by the ConfigMap' };
    await expect.poll(() => one.current(), { timeout: 2_000 }).toMatchObject(wanted);
    await expect.poll(() => two.current(), { timeout: 2_000 }).toMatchObject({ influx_url: 'http://all' });
    expect(two.current()).not.toHaveProperty('influx_token');

    await one.stop();
    await center.stop();
    expect(await readFile(join(folder, 'parameters-1.json'), 'utf8')).not.toContain('planted');
    const again = await startSite(center, '1', folder);
    expect(again.current()).toMatchObject(wanted);
    expect(again.problems).toEqual([]);
  });

  it('leave out what can not be opened, and say so', async () => {
    const center = await Center.start();
    const site = await startSite(center, '1', await temporaryFolder());
    await expect.poll(() => site.state.connected).toBe(true);
    const foreign = sealedParameter('x', '*', 'token', new Seal(['another']));
    await center.put(DATABASE, { _id: '*', values: { a: 1 }, secrets: { token: foreign } });
    await expect.poll(() => site.current()).toMatchObject({ a: 1 });
    expect(site.problems).toEqual([expect.stringContaining('secrets.token of *')]);
  });
});
