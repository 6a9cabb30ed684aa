import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { SiteStatus } from '../../src/http/site-status.ts';
import { BooksWatch, booksOfReadings } from './books-watch.ts';
import { faultKinds, type PlannedFault, planFaults } from './faults.ts';
import { Ledger } from './ledger.ts';
import { BURST, Publishers } from './publishers.ts';
import { Random } from './random.ts';
import { type FaultOutcome, report } from './report.ts';
import { type Site, startSite } from './site.ts';
import { countParked, countPoints } from './stored.ts';

/**
 * The fault campaign: readings at full load through a site of real processes, while everything that can go wrong does,
 * several things at a time, as a seed decides. At the end every reading that the broker PUBACKed is a point or parked,
 * exactly once, and the books have added up all the time.
 *
 * `--control` proves that this can fail: there the provider's journal is wiped at each of its starts, and the
 * campaign fails if nothing is lost.
 */

const { values: given } = parseArgs({
  options: {
    faults: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '3' },
    /** Readings per second; bursts have five times as many. */
    rate: { type: 'string', default: '2000' },
    influxdb: { type: 'string', default: 'influxd' },
    control: { type: 'boolean', default: false },
  },
});
const count = Number(given.faults);
const seed = Number(given.seed);
const seconds = Number(given.minutes) * 60;
const rate = Number(given.rate);
if (![count, seed, seconds, rate].every((value) => value >= 0))
  throw new Error('numbers, please: see test/campaign/main.ts');
if (given.influxdb !== 'influxd' && given.influxdb !== 'embedded') throw new Error('--influxdb influxd or embedded');

/** A broker's autosave has seen the session before the first fault. */
const WARM_UP_S = 4;
const RECOVERY_TIMEOUT_MS = 120_000;
const SETTLE_TIMEOUT_MS = 300_000;

const startedAt = performance.now();
const clock = () => `${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s `;
const say = (text: string) => process.stdout.write(`${clock()} ${text}\n`);

const ledger = new Ledger(Math.ceil((seconds + 60) * rate * BURST));
const site = await startSite({ influxdb: given.influxdb, forgetsJournal: given.control }, ledger);
let isGood = false;
try {
  isGood = await campaign(site);
} finally {
  await site.close(!isGood);
  if (!isGood) say(`kept for you to look at: ${site.folder}`);
}
process.exit(isGood ? 0 : 1);

async function campaign(site: Site): Promise<boolean> {
  let fired = 0;
  site.openwhisk.http.onForward = (_path, body) => {
    fired += occurrences(body, '"receivedAt":');
  };
  const { kinds, skipped } = faultKinds(site, ledger);
  const plan = planFaults(kinds, count, seconds - WARM_UP_S, new Random(seed));
  const publishers = new Publishers(site.brokerPort, rate, ledger);
  const books = new BooksWatch(() => site.ask<SiteStatus>('/status', 2_000).catch(() => undefined));
  publishers.start();
  say(`publishing ${rate} readings/s; ${count} faults in ${seconds} s, seed ${seed}`);
  await sleep(WARM_UP_S * 1_000);

  const faultsFrom = performance.now();
  const faults = plan.map(async (fault) => {
    await sleep(fault.at * 1_000 - (performance.now() - faultsFrom));
    return run(fault, books);
  });
  for (const fault of faults) fault.catch(() => undefined); // told where all are awaited
  await sleep((seconds - WARM_UP_S) * 1_000);
  await publishers.stop(30_000);
  const outcomes = await Promise.all(faults);
  say('all faults are over; waiting for what is pending');

  const problems: string[] = [];
  if (!(await books.settled(SETTLE_TIMEOUT_MS))) problems.push(`not settled: ${JSON.stringify(books.last)}`);
  books.stop();
  const received = books.last ? booksOfReadings(books.last).received : 0;
  await countParked(site, ledger);
  await site.provider.end('SIGTERM');
  await countPoints(site.influx.url, ledger);

  const verdict = ledger.verdict();
  const [atLeast, atMost] = verdict.received;
  if (received < atLeast || received > atMost) {
    problems.push(`the books have received ${received}, and should have at least ${atLeast}, at most ${atMost}`);
  }
  problems.push(...books.problems);
  for (const program of [site.provider, site.actionHost, site.influxdb, site.broker])
    problems.push(...program.misdeeds);
  const { lost, duplicated } = verdict;
  if (lost.length > 0) problems.push(`lost: ${lost.slice(0, 20).join(', ')}…`);
  if (duplicated.length > 0) problems.push(`duplicated: ${duplicated.slice(0, 20).join(', ')}…`);

  const outcome = { seed, seconds, faults: outcomes, skipped, verdict, fired, received, booksRead: books.readings };
  if (given.control) {
    process.stdout.write(report({ ...outcome, problems: [] }));
    say(
      lost.length > 0 ? 'the control lost data, as it must' : 'the control lost nothing: the campaign proves nothing',
    );
    return lost.length > 0;
  }
  process.stdout.write(report({ ...outcome, problems }));
  return problems.length === 0;
}

/** One fault from its beginning to the recovery of the site. */
async function run({ kind, seconds }: PlannedFault, books: BooksWatch): Promise<FaultOutcome> {
  say(`${kind.name}${seconds > 0 ? ` (${seconds.toFixed(1)} s)` : ''}`);
  await kind.begin();
  await sleep(seconds * 1_000);
  await kind.heal();
  return { name: kind.name, recoveryMs: await books.progress(RECOVERY_TIMEOUT_MS) };
}

function occurrences(body: Buffer, text: string): number {
  let found = 0;
  for (let at = body.indexOf(text); at >= 0; at = body.indexOf(text, at + text.length)) found += 1;
  return found;
}
