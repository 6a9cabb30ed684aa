import { archiveNameOf } from './key.ts';
import type { Running } from './running.ts';
import type { Entry } from './store.ts';

/** Which archives are no longer needed. Both limits hold for each container of a lake. */
export interface Retention {
  /** Archives older than this are removed. */
  readonly days: number;
  /** At most so many are kept. */
  readonly keep: number;
}

const DAY_MS = 86_400_000;

/**
 * The archives to remove, oldest cycle first: too old, or too many; never the newest of a container. How old an archive
 * is counts from when it was published: what is computed for a past cycle today is not gone tomorrow.
 * @param entries of one lake
 * @param now epoch ms
 */
export function expired(entries: readonly Entry[], { days, keep }: Retention, now: number): Entry[] {
  const containers = new Map<string, Array<{ entry: Entry; stamp: string }>>();
  for (const entry of entries) {
    const name = archiveNameOf(entry.key);
    if (!name) continue;
    const archives = containers.get(name.container) ?? [];
    archives.push({ entry, stamp: name.stamp });
    containers.set(name.container, archives);
  }
  const oldest = now - days * DAY_MS;
  return [...containers.values()]
    .flatMap((archives) =>
      archives
        .sort((a, b) => (a.stamp === b.stamp ? b.entry.publishedAt - a.entry.publishedAt : a.stamp < b.stamp ? 1 : -1))
        .filter(({ entry }, rank) => rank > 0 && (rank >= keep || entry.publishedAt < oldest)),
    )
    .sort((a, b) => (a.stamp < b.stamp ? -1 : 1))
    .map(({ entry }) => entry);
}

/** Whether a running cycle may read it. */
export function isInUse({ key }: Entry, running: readonly Running[]): boolean {
  const name = archiveNameOf(key);
  return running.some(
    ({ lake, from, to }) => name !== undefined && name.lake === lake && from <= name.stamp && name.stamp <= to,
  );
}
