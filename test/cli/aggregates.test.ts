import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { Site } from '../support/site.ts';

const run = promisify(execFile);
const MAIN = join(import.meta.dirname, '../../dist/main.js');

/** A `fogwhisk` command of this site; rejects with its output when it fails. */
function fogwhisk(site: Site, ...args: string[]) {
  const providerPort = new URL(site.provider.url).port;
  const env = { ...site.environment, providerPort, providerToken: 'test-token-of-the-provider' };
  return run(process.execPath, [MAIN, ...args], { env });
}

async function openwhisk(site: Site, path: string): Promise<unknown> {
  const { owAuth } = await site.credentials();
  const headers = { authorization: `Basic ${Buffer.from(owAuth).toString('base64')}` };
  return (await fetch(`${site.provider.address('OpenWhisk')}/api/v1/namespaces/_/${path}`, { headers })).json();
}

test('past readings are aggregated again, days by the zone, with progress; the same again changes nothing', async () => {
  const site = await Site.start({ timezone: 'America/New_York' });
  const mqtt = await site.mqtt();
  const times = Array.from({ length: 96 }, (_, hour) =>
    new Date(Date.UTC(2024, 2, 9, 5) + hour * 3_600_000).toISOString(),
  );
  await Promise.all(times.map((time, n) => mqtt.publishAsync('test', JSON.stringify({ level: n, time }), { qos: 1 })));
  await site.settled(96);

  const stored = () =>
    site.query(
      'from(bucket: "aggregates") |> range(start: 2024-01-01T00:00:00Z) |> filter(fn: (r) => r._field == "count")',
    );
  for (let round = 0; round < 2; round++) {
    const { stdout } = await fogwhisk(
      site,
      'aggregates',
      '--from',
      '2024-03-09',
      '--to',
      '2024-03-12',
      '--statistics',
      'count,avg',
    );
    expect(stdout).toMatch(/^100 % {2}3 parts$/m);
    expect(stdout).toContain('The aggregates are computed.');
    expect((await stored()).map(({ _time, _value }) => [_time, _value])).toEqual([
      ['2024-03-09T05:00:00Z', 24],
      ['2024-03-10T05:00:00Z', 23],
      ['2024-03-11T04:00:00Z', 24],
    ]);
  }
  await expect(fogwhisk(site, 'aggregates', '--from', '2024-03-12', '--to', 'noon')).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('is no period') as string,
  });
}, 60_000);

test("a user's file becomes a further action on the trigger, and stays one", async () => {
  const site = await Site.start();
  const file = join(site.dataDir, 'Count.js');
  for (const version of [1, 2]) {
    await writeFile(file, `exports.main = ({ window }) => ({ version: ${version}, window });`);
    const { stdout } = await fogwhisk(site, 'action', 'add', file, '--on', 'aggregatesTrigger');
    expect(stdout).toBe('aggregatesTrigger starts Count (rule CountRule)\n');
  }
  await fogwhisk(site, 'aggregates', '--from', '2024-03-09', '--to', '2024-03-10');
  const records = async () =>
    (await openwhisk(site, 'activations?name=Count&docs=true')) as Array<{ response: { result: unknown } }>;
  await expect
    .poll(async () => (await records()).map(({ response }) => response.result))
    .toEqual([{ version: 2, window: { from: '2024-03-09T00:00:00.000Z', to: '2024-03-10T00:00:00.000Z' } }]);
  await expect(fogwhisk(site, 'action', 'add', file, '--on', 'nothing')).rejects.toMatchObject({
    stderr: expect.stringContaining('no trigger nothing') as string,
  });
  await expect(fogwhisk(site, 'action', 'add', 'x.zip', '--on', 'aggregatesTrigger')).rejects.toMatchObject({
    stderr: expect.stringContaining('--kind') as string,
  });
}, 60_000);

test("the predecessor's nine actions are there where they are wanted, and make their fields", async () => {
  const site = await Site.start({ oneStatisticActions: 'true' });
  const actions = (await openwhisk(site, 'actions')) as Array<{ name: string }>;
  const names = actions.map(({ name }) => name).filter((name) => /^aggregates.+Action$/.test(name));
  expect(names.sort()).toEqual(
    ['Gas', 'Humidity', 'Temperature'].flatMap((of) =>
      ['Avg', 'Max', 'Min'].map((what) => `aggregates${of}${what}Action`),
    ),
  );
  const mqtt = await site.mqtt();
  await mqtt.publishAsync('test', '{"temperature":20,"time":"2024-03-09T12:00:00Z"}', { qos: 1 });
  await site.settled(1);
  await fogwhisk(site, 'aggregates', '--from', '2024-03-09', '--to', '2024-03-10');
  const resultsOf = async (name: string) =>
    ((await openwhisk(site, `activations?name=${name}&docs=true`)) as Array<{ response: { result: unknown } }>).map(
      ({ response }) => response.result,
    );
  const poll = { timeout: 10_000 };
  await expect.poll(() => resultsOf('aggregatesTemperatureMaxAction'), poll).toMatchObject([{ ok: true, points: 1 }]);
  await expect.poll(() => resultsOf('aggregatesGasMinAction'), poll).toMatchObject([{ ok: true, points: 0, empty: 1 }]);
}, 60_000);
