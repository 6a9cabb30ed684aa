import { compareIds } from './collation.ts';

/** What a database knows of each document without reading it: its winning revision and when it changed last. */
export interface Entry {
  readonly id: string;
  readonly rev: string;
  readonly seq: number;
  readonly deleted: boolean;
}

/**
 * CouchDB's two B-trees, by sequence and by id, as sorted arrays in memory (about 0.2 kB a document). They answer what
 * PouchDB has no counts for: offsets, how many changes are pending, how many documents are deleted.
 */
export class Catalog {
  readonly #entries = new Map<string, Entry>();
  readonly #bySequence: Entry[] = [];
  readonly #liveIds: string[] = [];
  #seq = 0;

  /** The sequence of the latest change. */
  get seq(): number {
    return this.#seq;
  }

  /** Ids of the documents that are not deleted, in byte order; not to be changed. */
  get liveIds(): readonly string[] {
    return this.#liveIds;
  }

  get deletedCount(): number {
    return this.#entries.size - this.#liveIds.length;
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  /** Takes in changes, oldest first, each later than all before. */
  add(changes: Entry[]): void {
    const isFirstLoad = this.#entries.size === 0;
    for (const entry of changes) {
      const before = this.#entries.get(entry.id);
      if (before) this.#bySequence.splice(this.#after(before.seq) - 1, 1);
      this.#bySequence.push(entry);
      this.#entries.set(entry.id, entry);
      this.#seq = entry.seq;
      const wasLive = before !== undefined && !before.deleted;
      if (isFirstLoad) {
        if (!entry.deleted) this.#liveIds.push(entry.id);
      } else if (wasLive === entry.deleted) {
        const place = lowerBound(this.#liveIds.length, (i) => compareIds(this.#liveIds[i]!, entry.id));
        if (entry.deleted) this.#liveIds.splice(place, 1);
        else this.#liveIds.splice(place, 0, entry.id);
      }
    }
    if (isFirstLoad) this.#liveIds.sort(compareIds);
  }

  /** At most `limit` entries that changed after `seq`, oldest first. */
  changedAfter(seq: number, limit: number): Entry[] {
    const from = this.#after(seq);
    return this.#bySequence.slice(from, from + limit);
  }

  /** At most `limit` entries that changed before `seq`, latest first. */
  changedBefore(seq: number, limit: number): Entry[] {
    const to = lowerBound(this.#bySequence.length, (i) => this.#bySequence[i]!.seq - seq);
    return this.#bySequence.slice(Math.max(0, to - limit), to).reverse();
  }

  /** How many documents changed after `seq`. */
  countAfter(seq: number): number {
    return this.#bySequence.length - this.#after(seq);
  }

  #after(seq: number): number {
    return lowerBound(this.#bySequence.length, (i) => this.#bySequence[i]!.seq - seq - 1);
  }
}

/** The first index whose `order` (ascending over 0..length-1) is not below 0. */
export function lowerBound(length: number, order: (index: number) => number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (order(middle) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
