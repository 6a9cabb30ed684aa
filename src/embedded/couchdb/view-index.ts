import type { Entry } from './catalog.ts';
import { lowerBound } from './catalog.ts';
import { compareIds, compareKeys } from './collation.ts';
import type { Database } from './database.ts';
import type { Document } from './document.ts';

export interface Row {
  readonly id: string;
  readonly key: unknown;
  readonly value: unknown;
}

/** Emits rows for documents: the map function of a view, or the fields of a Mango index. */
export type Mapper = (documents: Document[]) => Array<Array<[key: unknown, value: unknown]>>;

const BATCH = 50;

/**
 * The rows of one view, sorted by key and then by document, in memory: built when it is first asked after a start,
 * then brought up to date with what changed. PouchDB's own indexes are a LevelDB each and take longer to build than
 * this takes to rebuild for the tens of thousands of documents that a site holds.
 */
export class ViewIndex {
  readonly #database: Database;
  readonly #mapper: Mapper;
  #rows: Row[] = [];
  readonly #rowsOf = new Map<string, Row[]>();
  #seq = 0;
  #updating: Promise<void> | undefined;

  constructor(database: Database, mapper: Mapper) {
    this.#database = database;
    this.#mapper = mapper;
  }

  /** Sorted; not to be changed, and valid until the next update. */
  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** The sequence of the latest change that is in the rows. */
  get seq(): number {
    return this.#seq;
  }

  /** Takes in what changed until now. */
  async update(): Promise<void> {
    const wanted = this.#database.catalog.seq;
    while (this.#seq < wanted) {
      this.#updating ??= (this.#seq === 0 ? this.#build() : this.#updateBatch()).finally(() => {
        this.#updating = undefined;
      });
      await this.#updating;
    }
  }

  /** Reads the documents in the order that they are stored in, which is many times faster than one by one. */
  async #build(): Promise<void> {
    // What changes in the meantime is changed later than this, and mapped again.
    const seq = this.#database.catalog.seq;
    this.#rowsOf.clear();
    for await (const documents of this.#database.readAll(BATCH)) {
      for (const [id, rows] of this.#map(documents.filter(isMapped))) {
        if (rows.length > 0) this.#rowsOf.set(id, rows);
      }
    }
    this.#rows = [...this.#rowsOf.values()].flat().sort(compareRows);
    this.#seq = seq;
  }

  async #updateBatch(): Promise<void> {
    const entries = this.#database.catalog.changedAfter(this.#seq, BATCH);
    const live = await this.#database.readEntries(entries.filter((entry) => !entry.deleted));
    this.#replace(entries, this.#map(live.filter(isMapped)));
    this.#seq = entries.at(-1)?.seq ?? this.#database.catalog.seq;
  }

  #map(documents: Document[]): Map<string, Row[]> {
    const emissions = this.#mapper(documents);
    return new Map(documents.map(({ _id: id }, i) => [id, emissions[i]!.map(([key, value]) => ({ id, key, value }))]));
  }

  #replace(entries: Entry[], added: Map<string, Row[]>): void {
    const removed = new Set<Row>();
    for (const { id } of entries) {
      for (const row of this.#rowsOf.get(id) ?? []) removed.add(row);
      const rows = added.get(id) ?? [];
      if (rows.length > 0) this.#rowsOf.set(id, rows);
      else this.#rowsOf.delete(id);
    }
    const fresh = [...added.values()].flat();
    if (removed.size + fresh.length < BATCH) {
      for (const row of removed) this.#rows.splice(this.#rows.indexOf(row, this.#placeOf(row)), 1);
      for (const row of fresh) this.#rows.splice(this.#placeAfter(row), 0, row);
    } else {
      const kept = removed.size > 0 ? this.#rows.filter((row) => !removed.has(row)) : this.#rows;
      this.#rows = kept.concat(fresh).sort(compareRows);
    }
  }

  #placeOf(row: Row): number {
    return lowerBound(this.#rows.length, (i) => compareRows(this.#rows[i]!, row));
  }

  #placeAfter(row: Row): number {
    return lowerBound(this.#rows.length, (i) => (compareRows(this.#rows[i]!, row) <= 0 ? -1 : 1));
  }
}

/** Design documents are in no view, as in CouchDB. */
function isMapped({ _id, _deleted }: Document): boolean {
  return !_deleted && !_id.startsWith('_design/');
}

function compareRows(a: Row, b: Row): number {
  return compareKeys(a.key, b.key) || compareIds(a.id, b.id);
}
