import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { Fogwhisk } from './subjects/fogwhisk.ts';
import { processTree, residentMegabytes } from './support/processes.ts';
import { type Plan, progress } from './support/row.ts';
import { atLeast, atMost, median, type Table } from './support/table.ts';

const AUTH = '11111111-2222-3333-4444-555555555555:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef';
const ECHO = 'function main(params) { return params }';
const PARALLEL = 8;

/** Half of what a real controller took on a like machine (reference: standalone, lean, 2 cores), in ms. */
const GOALS = { echo: 1.5, sequence: 3.05, nonBlocking: 2, fire: 2.5, prewarmed: 20, cold: 126 };

/** The embedded OpenWhisk of a whole site: calls one after the other, then many at once. */
export async function openwhisk(plan: Plan, table: Table): Promise<void> {
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    progress(`openwhisk ${repetition + 1}`);
    await measure(plan.quick ? 200 : 2_000, table);
  }
}

interface Activation {
  readonly activationId: string;
  readonly duration: number;
  readonly annotations: ReadonlyArray<{ readonly key: string; readonly value: number }>;
}

async function measure(calls: number, table: Table): Promise<void> {
  await using site = await Fogwhisk.start({ owAuth: AUTH });
  const pool = new Pool(site.address('OpenWhisk').origin, { connections: PARALLEL });
  const headers = { authorization: `Basic ${btoa(AUTH)}`, 'content-type': 'application/json' };
  const ask = async (method: 'PUT' | 'POST', path: string, body: unknown = {}) => {
    const answer = await pool.request({
      method,
      path: `/api/v1/namespaces/_/${path}`,
      headers,
      body: JSON.stringify(body),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return JSON.parse(text) as Activation;
  };
  const timed = async (path: string, times: number) => {
    const spent: number[] = [];
    for (let n = 0; n < times; n++) {
      const started = performance.now();
      await ask('POST', path, { n });
      spent.push(performance.now() - started);
    }
    return median(spent);
  };
  for (const name of ['echo', 'second', 'third']) {
    await ask('PUT', `actions/${name}`, { exec: { kind: 'nodejs:20', code: ECHO } });
  }
  await ask('PUT', 'actions/both', { exec: { kind: 'sequence', components: ['/_/echo', '/_/echo'] } });
  await ask('PUT', 'triggers/fired');
  await ask('PUT', 'rules/bound', { trigger: '/_/fired', action: '/_/echo' });

  await sleep(1_000); // the pre-warmed process has started
  table.note(
    'first invocation, pre-warmed',
    'ms',
    await timed('actions/echo?blocking=true', 1),
    atMost(GOALS.prewarmed),
  );
  table.note(
    'the next kind of action at once after it',
    'ms',
    await timed('actions/second?blocking=true', 1),
    atMost(GOALS.cold),
  );

  await timed('actions/echo?blocking=true', calls);
  const echo = await timed('actions/echo?blocking=true&result=true', calls);
  table.note('warm blocking echo', 'ms', echo, atMost(GOALS.echo));
  const record = await ask('POST', 'actions/echo?blocking=true', {});
  const waited = record.annotations.find(({ key }) => key === 'waitTime')?.value ?? 0;
  table.note('… of it before the process had it', 'ms', waited);
  table.note('… of it in the process', 'ms', record.duration);
  table.note('sequence of two', 'ms', await timed('actions/both?blocking=true', calls / 2), atMost(GOALS.sequence));
  table.note('non-blocking', 'ms', await timed('actions/echo', calls / 2), atMost(GOALS.nonBlocking));
  table.note('fire with one rule', 'ms', await timed('triggers/fired', calls / 2), atMost(GOALS.fire));

  const started = performance.now();
  await Promise.all(Array.from({ length: PARALLEL }, () => timed('actions/echo?blocking=true&result=true', calls)));
  const seconds = (performance.now() - started) / 1_000;
  table.note(`warm invocations, ${PARALLEL} at once`, '/s', (PARALLEL * calls) / seconds, atLeast(1_000));
  const resident = processTree(site.pid).reduce((sum, pid) => sum + residentMegabytes(pid, 'now'), 0);
  table.note('whole site after it, all processes', 'MB', resident);
  await pool.close();
}
