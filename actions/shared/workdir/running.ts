import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { ActionError } from '../result.ts';
import { type Cycle, cycleOf, earlier, stampOf } from './cycle.ts';
import type { WorkdirStore } from './store.ts';

/**
 * Marks in a store by which the clean-up knows which cycles run: each pull leaves one. It says how far back is looked,
 * and counts for a day from when the store says it was written: so what is between two steps is safe too, and a cycle
 * that never ends protects nothing for ever.
 */

const FOLDER = 'running';
const GOOD_FOR_MS = 86_400_000;
const MAX_BYTES = 1_000;

/** What a running cycle may read. */
export interface Running {
  readonly lake: string;
  /** Stamps of the first and the last cycle. */
  readonly from: string;
  readonly to: string;
}

/**
 * Tells the clean-up that a cycle runs.
 * @param lookBack periods before the cycle that its steps may read
 */
export async function markRunning(store: WorkdirStore, cycle: Cycle, lookBack: number): Promise<void> {
  const mark = Buffer.from(JSON.stringify({ cycle, lookBack }));
  const sha256 = createHash('sha256').update(mark).digest('hex');
  await store.put(`${marksOf(cycle)}${lookBack}.json`, Readable.from([mark]), { size: mark.length, sha256 });
}

/** Tells the clean-up that a cycle is over. */
export async function markEnded(store: WorkdirStore, cycle: Cycle): Promise<void> {
  for (const { key } of await store.list(marksOf(cycle))) await store.remove(key);
}

/** How the keys of a cycle's marks begin: steps that look back differently far leave one each. */
function marksOf(cycle: Cycle): string {
  return `${cycle.lake}/${FOLDER}/${cycle.lake}_${stampOf(cycle)}_${FOLDER}_`;
}

/** The marks of a lake: what is protected at a moment (epoch ms), and the keys of the marks that no longer count. */
export async function runningCycles(
  store: WorkdirStore,
  lake: string,
  now: number,
): Promise<{ running: Running[]; ended: string[] }> {
  const running: Running[] = [];
  const ended: string[] = [];
  for (const { key, size, publishedAt } of await store.list(`${lake}/${FOLDER}/`)) {
    if (!key.endsWith('.json') || size > MAX_BYTES) continue;
    if (publishedAt < now - GOOD_FOR_MS) ended.push(key);
    else {
      const mark = await runningOf(store, key);
      if (mark) running.push(mark);
    }
  }
  return { running, ended };
}

/** @returns undefined for a mark that is gone meanwhile, or is none */
async function runningOf(store: WorkdirStore, key: string): Promise<Running | undefined> {
  try {
    const { cycle, lookBack } = JSON.parse(await text((await store.get(key)).content)) as Record<string, unknown>;
    const last = cycleOf(cycle);
    return { lake: last.lake, from: stampOf(earlier(last, Number(lookBack))), to: stampOf(last) };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    if (error instanceof ActionError && ['NoSuchKey', 'PAYLOAD_INVALID'].includes(error.code)) return undefined;
    throw error;
  }
}
