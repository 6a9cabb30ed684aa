import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { MqttClient } from 'mqtt';
import openwhisk from 'openwhisk';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeOpenwhisk } from './support/fake-openwhisk.ts';
import { freePort } from './support/free-port.ts';
import { Provider } from './support/provider.ts';
import { Site } from './support/site.ts';
import { temporaryFolder } from './support/temporary.ts';

/** The product as a new user has it: one process tree, everything embedded, real sockets all the way. */

const ROOT = join(import.meta.dirname, '..');
const DATA = join(ROOT, '../shared/data/fcre');
const CATWALK = join(DATA, 'fcre_catwalk_10min_2018-08-29_2018-10-20.csv');
const TARGETS = join(DATA, 'fcre_targets_daily_2018-07-06_2020-12-31.csv');
const run = promisify(execFile);

async function publishAll(client: MqttClient, topic: string, bodies: Array<string | Buffer>): Promise<void> {
  await Promise.all(bodies.map((body) => client.publishAsync(topic, body, { qos: 1 })));
}

/** The CSV's numeric cells by column, counted without the product. */
async function numericCells(file: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { datetime_utc: _time, ...cells } of await csvRows(file)) {
    for (const [name, cell] of Object.entries(cells)) {
      if (cell !== '' && Number.isFinite(Number(cell))) counts[name] = (counts[name] ?? 0) + 1;
    }
  }
  return counts;
}

async function csvRows(file: string): Promise<Array<Record<string, string>>> {
  const [header, ...lines] = (await readFile(file, 'utf8')).trim().split('\n');
  const names = header!.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((cell, index) => [names[index], cell])));
}

/**
 * The published targets were averaged from readings of more digits than the file has, so a mean of six of its readings
 * can be half a unit of its third decimal away.
 */
const PUBLISHED_ROUNDING = 5e-4;
/** At 5 and 9 m the targets combine the thermistor with a second sensor's temperature, which the file does not have. */
const COMBINED_DEPTHS = new Set(['5', '9']);

/** The mean of 00:00-01:00 UTC by day and depth, computed from the CSV without the product. */
async function hourlyMeans(): Promise<Map<string, number>> {
  const cells = new Map<string, number[]>();
  for (const row of await csvRows(CATWALK)) {
    if (row.datetime_utc!.slice(11, 13) !== '00') continue;
    for (let depth = 0; depth <= 9; depth++) {
      const cell = row[`wtr_${depth}`];
      if (!cell) continue;
      const key = `${row.datetime_utc!.slice(0, 10)}T00:00:00Z ${depth}`;
      cells.set(key, [...(cells.get(key) ?? []), Number(cell)]);
    }
  }
  return new Map(
    [...cells].map(([key, values]) => [key, values.reduce((sum, value) => sum + value, 0) / values.length]),
  );
}

function replay(site: Site, file: string) {
  return run(process.execPath, [join(ROOT, 'dist/main.js'), 'replay', file, '--device', '42'], {
    env: site.environment,
  });
}

describe.skipIf(!existsSync(CATWALK))('real lake data replayed at full speed', () => {
  it('becomes exactly one point for each numeric cell, with the means of the published targets', async () => {
    const site = await Site.start();
    const { stdout } = await replay(site, CATWALK);
    expect(stdout).toContain('7,406 acknowledged');
    expect(await site.settled(7_406)).toMatchObject({ received: 7_406, confirmed: 7_406, parked: 0 });
    expect(await site.points()).toEqual(await numericCells(CATWALK));

    const means = await site.query(`
      from(bucket: "measure")
        |> range(start: 2018-08-29T00:00:00Z, stop: 2018-10-21T00:00:00Z)
        |> filter(fn: (r) => r._measurement =~ /^wtr_[0-9]$/ and r._field == "value")
        |> aggregateWindow(every: 1h, fn: mean, createEmpty: false, timeSrc: "_start")`);
    const measured = new Map(
      means
        .filter(({ _time }) => String(_time).endsWith('T00:00:00Z'))
        .map(({ _time, _measurement, _value }) => [
          `${String(_time)} ${String(_measurement).slice(4)}`,
          Number(_value),
        ]),
    );
    const published = new Map(
      (await csvRows(TARGETS))
        .filter(({ variable }) => variable === 'temperature')
        .map((row) => [`${row.datetime} ${Number(row.depth)}`, Number(row.observation)]),
    );
    let compared = 0;
    for (const [key, expected] of await hourlyMeans()) {
      expect(measured.get(key), key).toBeCloseTo(expected, 9);
      const target = published.get(key);
      if (target === undefined || COMBINED_DEPTHS.has(key.split(' ')[1]!)) continue;
      expect(Math.abs(measured.get(key)! - target), key).toBeLessThan(PUBLISHED_ROUNDING);
      compared += 1;
    }
    expect(compared).toBe(8 * 52);
  }, 120_000);

  it('does so when the site is killed with -9 in the middle', async () => {
    const site = await Site.start();
    const replayed = replay(site, CATWALK);
    await site.provider.untilStatus(({ books }) => books.received > 2_000);
    await site.restart('SIGKILL');
    expect((await replayed).stdout).toContain('7,406 acknowledged');
    await site.settled(7_406);
    expect(await site.points()).toEqual(await numericCells(CATWALK));
  }, 120_000);
});

describe('readings', () => {
  it('are counted exactly: equal copies, two devices in one moment, wildcards, garbage in between', async () => {
    const topics = [{ topic: 'test' }, { topic: 'wild/+/x' }, { topic: 'wild/#' }];
    const site = await Site.start({ mqttTopics: JSON.stringify(topics) });
    const client = await site.mqtt();
    const room = '{"humidity":41.0,"temperature":23.5,"gas_perc":17.0,"device_fingerprint":8394527,"datacenter_id":1}';
    await publishAll(
      client,
      'test',
      Array.from({ length: 16 }, () => room),
    );
    await publishAll(client, 'test', ['{"level":1,"device_fingerprint":1}', '{"level":1,"device_fingerprint":2}']);
    const garbage: Array<[name: string, body: string | Buffer]> = [
      ['not JSON', 'Hello, world!'],
      ['not an object', '[1,2]'],
      ['empty', ''],
      ['ten megabytes', `{"big":"${'x'.repeat(10_000_000)}"}`],
      ['deep', `${'['.repeat(10_000)}${']'.repeat(10_000)}`],
      ['not UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
      ['NaN', '{"a":NaN}'],
    ];
    for (const [, body] of garbage) await publishAll(client, 'test', [body, '{"between":1}']);
    await publishAll(client, 'test', [
      '{"twice":1,"twice":2}',
      '{"far":1e400,"near":1}',
      '{"a b,c=d\\"e\\\\f":1}',
      '{"\\ud800":1,"low":2}',
      '{"new\\nline":1,"other":3}',
      '{"t":true,"s":"x","n":null,"o":{},"value":5}',
    ]);
    await publishAll(client, 'wild/a/x', ['{"wild":1}']);
    await publishAll(client, 'wild/a', ['{"wild":1}']);
    const books = await site.settled(2 + 16 + 14 + 6 + 3);
    expect(books.received).toBe(2 + 16 + 14 + 6 + 3);
    expect(books.received).toBe(books.confirmed + books.parked);
    const points = await site.points();
    expect(points).toMatchObject({
      humidity: 16,
      temperature: 16,
      gas_perc: 16,
      level: 2,
      between: 7,
      twice: 1,
      near: 1,
      low: 2 - 1,
      value: 1,
      wild: 3,
    });
    expect(points).not.toHaveProperty('big');
    const twice = await site.query(
      'from(bucket: "measure") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "twice")',
    );
    expect(twice.map(({ _value }) => _value)).toEqual([2]);
    await publishAll(client, 'test', ['{"after":1}']);
    await site.settled(books.received + 1);
    expect((await site.points()).after).toBe(1);
  }, 60_000);

  it('keep their own time to the nanosecond', async () => {
    const site = await Site.start();
    await publishAll(await site.mqtt(), 'test', [
      '{"x":1,"time":"2024-02-29T23:59:59.123456789Z"}',
      '{"y":1,"timestamp":1709251199123456789}',
    ]);
    await site.settled(2);
    const rows = await site.query(
      'from(bucket: "measure") |> range(start: 2024-01-01T00:00:00Z, stop: 2025-01-01T00:00:00Z) |> group()',
    );
    expect(rows.map(({ _time }) => _time)).toEqual([
      '2024-02-29T23:59:59.123456789Z',
      '2024-02-29T23:59:59.123456789Z',
    ]);
  });

  it('reach a second provider that has this broker as an outside one, and falls back to MQTT 3.1.1', async () => {
    const [site, platform] = [await Site.start(), await FakeOpenwhisk.start()];
    const second = await Provider.start({
      dataDir: await temporaryFolder(),
      datacenterId: '2',
      mqttUrl: site.provider.address('MQTT'),
      ...platform.settings,
    });
    expect(second.output()).toContain('"mqtt":4');
    await publishAll(await site.mqtt(), 'test', ['{"x":1}']);
    await second.untilStatus(({ books }) => books.confirmed === 1);
    expect(await site.settled(1)).toMatchObject({ confirmed: 1 });
  });

  it("are all stored under OpenWhisk's own limits of 60 firings and invocations a minute", async () => {
    const site = await Site.start({ embeddedLimits: 'openwhisk' });
    const client = await site.mqtt();
    for (let round = 0; round < 40; round++) {
      await publishAll(
        client,
        'test',
        Array.from({ length: 100 }, (_, n) => `{"x":1,"device_fingerprint":${round * 100 + n}}`),
      );
    }
    expect(await site.settled(4_000)).toMatchObject({ received: 4_000, confirmed: 4_000 });
    expect(await site.points()).toEqual({ x: 4_000 });
    expect(site.provider.output()).not.toContain('THROTTLED');
  }, 90_000);

  it('go on being fired when a subscription is refused', async () => {
    const site = await Site.start({ mqttTopics: '[{"topic":"$share/group/a"},{"topic":"test"}]' });
    expect(site.provider.output()).toContain('refuses the subscription');
    await publishAll(await site.mqtt(), 'test', ['{"x":1}']);
    expect(await site.settled(1)).toMatchObject({ confirmed: 1 });
  });
});

describe('a fresh site', () => {
  it('shows points of the imitated station, and every pasted command of the ready block works', async () => {
    const started = Date.now();
    const site = await Site.start({ simulate: 'true' });
    expect(Date.now() - started).toBeLessThan(10_000);
    await site.provider.untilStatus(({ books }) => books.confirmed >= 2, 10_000 - (Date.now() - started));
    const commands = [...site.provider.output().matchAll(/^ {2}((?:npx|curl) .*)$/gm)].map((match) => match[1]!);
    expect(commands).toHaveLength(4);
    const [publish, activations, query, days] = commands.map(
      (command) => () => run('sh', ['-c', command], { cwd: process.cwd() }),
    );
    await publish!();
    const names = (JSON.parse((await activations!()).stdout) as Array<{ name: string }>).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['addReadingToDb', 'addReadingToDbTrigger']));
    await vi.waitFor(async () => expect((await query!()).stdout).toMatch(/21\.5,value,temperature/), 20_000);
    expect((await query!()).stdout).toMatch(/wtr_9/);
    const forecasts =
      'from(bucket: "aggregates") |> range(start: -1d, stop: 30d) |> filter(fn: (r) => r._measurement == "forecast") |> count()';
    // The imitated station has a past: aggregates of its days within a minute, a forecast within two.
    await vi.waitFor(async () => expect((await days!()).stdout).toMatch(/,avg,/), { timeout: 60_000, interval: 500 });
    await vi.waitFor(async () => expect(await site.query(forecasts)).not.toEqual([]), {
      timeout: 60_000,
      interval: 500,
    });
  }, 180_000);

  it('goes on with the same data after Ctrl-C, which ends it within 5 s with exit code 0', async () => {
    const site = await Site.start();
    await publishAll(await site.mqtt(), 'test', ['{"x":1}']);
    await site.settled(1);
    const stopping = Date.now();
    expect(await site.provider.kill('SIGINT')).toEqual({ code: 0, signal: null });
    expect(Date.now() - stopping).toBeLessThan(5_000);
    expect(site.provider.output()).toContain('nothing is left in the journal (1 received, 1 confirmed');
    await site.restart('SIGINT');
    expect(await site.points()).toEqual({ x: 1 });
    const { owAuth } = await site.credentials();
    const client = openwhisk({ api: `${site.provider.address('OpenWhisk')}/api/v1/`, api_key: owAuth });
    const { version } = await client.actions.get({ name: 'addReadingToDb' });
    expect(version, 'an action that has not changed is not deployed again').toBe('0.0.1');
    expect((await site.provider.status()).books).toMatchObject({ received: 1, confirmed: 1 });
  }, 60_000);

  it('leaves no process behind when it is killed with -9', async () => {
    const site = await Site.start();
    await publishAll(await site.mqtt(), 'test', ['{"x":1}']);
    await site.settled(1);
    const { pid } = site.provider;
    const children = (await run('ps', ['-o', 'pid=', '--ppid', String(pid)])).stdout
      .split('\n')
      .filter(Boolean)
      .map(Number);
    expect(children.length).toBeGreaterThan(0);
    await site.provider.kill('SIGKILL');
    const alive = () => children.filter((child) => existsSync(`/proc/${child}`));
    for (const end = Date.now() + 20_000; alive().length > 0 && Date.now() < end; )
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(alive()).toEqual([]);
  });
});

describe('a site that can not start says why', () => {
  it.each(['providerPort', 'embeddedMqttPort', 'embeddedOpenwhiskPort', 'embeddedCouchdbPort', 'embeddedInfluxdbPort'])(
    '%s is taken',
    async (setting) => {
      const port = await freePort();
      const server = createServer().listen(port, '127.0.0.1');
      onTestFinished(() => void server.close());
      const start = Provider.start({ dataDir: await temporaryFolder(), [setting]: String(port) });
      await expect(start).rejects.toThrow(
        `127.0.0.1:${port} is already in use by another program; stop that one, or set ${setting} to a free port`,
      );
    },
  );

  it('the data folder can not be written', async () => {
    const dataDir = join(ROOT, 'package.json', 'data');
    await expect(Provider.start({ dataDir })).rejects.toThrow(`the data folder ${dataDir} can't be written (ENOTDIR)`);
  });

  it('the configuration is wrong: exit code 78 and every problem', async () => {
    const child = spawn(process.execPath, [join(ROOT, 'dist/main.js'), 'check'], {
      env: { PATH: process.env.PATH, providerPort: 'x', simulate: 'maybe' },
    });
    let text = '';
    child.stderr.on('data', (data: Buffer) => {
      text += data.toString();
    });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(78);
    expect(text).toMatch(/has 2 problems[\s\S]*providerPort = "x"[\s\S]*simulate = "maybe"/);
  });
});
