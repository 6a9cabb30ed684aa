import { expired, isInUse, type Retention } from './retention.ts';
import { runningCycles } from './running.ts';
import type { Entry, Remain, WorkdirStore } from './store.ts';

export interface CleanUpRequest {
  readonly store: WorkdirStore;
  /** Where the store can't tell its lakes, or others are none of ours. */
  readonly lakes?: readonly string[];
  readonly retention: Retention;
  /** The alarm's instant, in epoch ms. */
  readonly now: number;
  /** Nothing is removed, only told. */
  readonly isDryRun: boolean;
}

/** What was removed, or in a dry run what would be. */
export interface CleanUpReport {
  readonly store: string;
  readonly removed: ReadonlyArray<{ readonly key: string; readonly size: number }>;
  /** Bytes. */
  readonly freed: number;
  readonly kept: number;
  /** Would have been removed, but a running cycle may read them. */
  readonly inUse: readonly string[];
  /** What dead runs had left. */
  readonly remains: ReadonlyArray<{ readonly name: string; readonly size: number }>;
}

/** A put that has not ended after a day never will. */
const DEAD_AFTER_MS = 86_400_000;

/**
 * Removes from a store what the retention does not keep, one archive after the other, each wholly. Ended in the middle,
 * it leaves whole archives, and the next run goes on.
 * @throws ActionError `STORE_*`
 */
export async function cleanUp({ store, lakes, retention, now, isDryRun }: CleanUpRequest): Promise<CleanUpReport> {
  const removed: Entry[] = [];
  const inUse: string[] = [];
  let kept = 0;
  for (const lake of lakes ?? (await store.lakes())) {
    const entries = await store.list(`${lake}/`);
    const archives = entries.filter(({ key }) => key.endsWith('.gz') || key.endsWith('.tgz'));
    const candidates = expired(archives, retention, now);
    kept += archives.length - candidates.length;
    for (const entry of candidates) {
      // Looked at anew for each: a cycle that has begun since then has left its mark before it looked for archives.
      const { running } = await runningCycles(store, lake, now);
      if (isInUse(entry, running)) inUse.push(entry.key);
      else {
        if (!isDryRun) await store.remove(entry.key);
        removed.push(entry);
      }
    }
    if (!isDryRun) for (const mark of (await runningCycles(store, lake, now)).ended) await store.remove(mark);
  }
  const remains = await removeRemains(await store.remains(now - DEAD_AFTER_MS), isDryRun);
  return {
    store: store.name,
    removed: removed.map(({ key, size }) => ({ key, size })),
    freed: [...removed, ...remains].reduce((sum, { size }) => sum + size, 0),
    kept: kept + inUse.length,
    inUse,
    remains,
  };
}

/** Removes what dead runs have left, and tells it. */
export async function removeRemains(
  remains: readonly Remain[],
  isDryRun: boolean,
): Promise<Array<{ name: string; size: number }>> {
  if (!isDryRun) for (const remain of remains) await remain.remove();
  return remains.map(({ name, size }) => ({ name, size }));
}
