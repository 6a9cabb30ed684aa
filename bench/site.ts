import { setTimeout as sleep } from 'node:timers/promises';
import { Fogwhisk } from './subjects/fogwhisk.ts';
import { query } from './subjects/influxdb.ts';
import type { BrokerAddress } from './support/mosquitto.ts';
import { cpuSeconds, mainThreadCpuSeconds, processTree, residentMegabytes } from './support/processes.ts';
import { type PublishOptions, publish } from './support/publisher.ts';
import { type Plan, progress } from './support/row.ts';
import { atLeast, atMost, type Table } from './support/table.ts';

const TOKEN = 'token-of-the-benchmark';
const SUSTAINED_RATE = 20_000;
/** One quantity: a reading is a point. */
const BODY = '{"temperature":{sequence},"device_fingerprint":7}';
const COUNT_POINTS = `from(bucket: "measure") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "temperature") |> count() |> keep(columns: ["_value"])`;

/** A whole embedded site: from the first sent to the last point that a query finds. */
export async function site(plan: Plan, table: Table): Promise<void> {
  const seconds = plan.quick ? 5 : 30;
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    progress(`site ${repetition + 1}: burst`);
    await burst({ count: plan.quick ? 50_000 : 300_000 }, plan, table);
    progress(`site ${repetition + 1}: sustained`);
    await sustained({ count: SUSTAINED_RATE * seconds, rate: SUSTAINED_RATE }, plan, table);
  }
}

async function burst(options: PublishOptions, { profileTo }: Plan, table: Table): Promise<void> {
  await using fogwhisk = await Fogwhisk.start({ influxLocalToken: TOKEN }, profileTo);
  const before = cpuByPart(fogwhisk.pid);
  const { firstSentUs } = await publish(brokerOf(fogwhisk), { ...options, body: BODY });
  await queryable(fogwhisk, options.count);
  const seconds = Date.now() / 1e3 - firstSentUs / 1e6;
  table.note('publish to queryable', 'readings/s', options.count / seconds);
  for (const [part, used] of cpuByPart(fogwhisk.pid)) {
    table.note(`CPU: ${part}`, 'us/reading', ((used - (before.get(part) ?? 0)) / options.count) * 1e6);
  }
  const resident = processTree(fogwhisk.pid).reduce((sum, pid) => sum + residentMegabytes(pid, 'now'), 0);
  table.note('resident, all processes, after it', 'MB', resident);
  if (profileTo) await fogwhisk.stop();
}

/** The rate is kept if hardly anything is left to do when the last message is sent. */
async function sustained(options: PublishOptions, _plan: Plan, table: Table): Promise<void> {
  await using fogwhisk = await Fogwhisk.start({ influxLocalToken: TOKEN });
  const { firstSentUs, lastAckUs } = await publish(brokerOf(fogwhisk), { ...options, body: BODY });
  table.note(
    'sustained, as published',
    'readings/s',
    options.count / ((lastAckUs - firstSentUs) / 1e6),
    atLeast(0.99 * SUSTAINED_RATE),
  );
  await queryable(fogwhisk, options.count);
  table.note('last sent to all queryable', 's', Date.now() / 1e3 - lastAckUs / 1e6, atMost(1));
}

function brokerOf(site: Fogwhisk): BrokerAddress {
  return { port: Number(site.address('MQTT').port) };
}

async function queryable(site: Fogwhisk, points: number, timeoutMs = 240_000): Promise<void> {
  const where = { url: site.address('InfluxDB').origin, token: TOKEN, org: 'influxdata' };
  let found = 0;
  for (const end = Date.now() + timeoutMs; Date.now() < end; await sleep(100)) {
    const { books } = await site.status();
    if (books.parked > 0) throw new Error(`${books.parked} readings are parked`);
    if (books.confirmed < points) continue; // a query would only take its time from the site
    const csv = await query(where, COUNT_POINTS);
    found = Number(/,(\d+)\s*$/.exec(csv)?.[1] ?? 0);
    if (found === points) return;
  }
  throw new Error(`${found} of ${points} points after ${timeoutMs} ms: ${JSON.stringify(await site.status())}`);
}

/** CPU seconds: of the site's JavaScript, of its other threads (DuckDB, file system, crypto), of the actions' processes. */
function cpuByPart(root: number): Map<string, number> {
  const [main, ...actions] = processTree(root) as [number, ...number[]];
  const javascript = mainThreadCpuSeconds(main);
  return new Map([
    ['site, main thread', javascript],
    ['site, other threads', cpuSeconds(main) - javascript],
    ['action processes', actions.reduce((sum, pid) => sum + cpuSeconds(pid), 0)],
  ]);
}
