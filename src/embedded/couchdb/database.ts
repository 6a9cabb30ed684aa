import { EventEmitter, once } from 'node:events';
import type { BulkResult, Pouch } from 'pouchdb-core';
import { Catalog, type Entry } from './catalog.ts';
import { badRequest, CouchError, conflict, notFound } from './couch-error.ts';
import { DesignDocuments } from './design-documents.ts';
import type { Document } from './document.ts';
import { compareRevisionsDescending, generation } from './revision.ts';
import { openPouch } from './storage.ts';
import { newId } from './uuid.ts';

/** Who may read and write (`members`) and who may administer a database; empty lists mean everybody. */
export interface Security {
  admins?: { names?: string[]; roles?: string[] };
  members?: { names?: string[]; roles?: string[] };
}

/** What is kept about a database beside its documents. */
export interface DatabaseRecord {
  readonly name: string;
  /** Names the folder, and is in every sequence, so that a database made anew is told from the one before. */
  readonly uuid: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  security?: Security;
  /** How many revisions PouchDB remembers of a document; a change counts from the next start. */
  revsLimit?: number;
}

export type WriteResult =
  | { ok: true; id: string; rev: string }
  | { id: string; rev?: string; error: string; reason: string };

interface Write {
  readonly documents: Document[];
  readonly newEdits: boolean;
  readonly resolve: (results: WriteResult[]) => void;
  readonly reject: (error: unknown) => void;
}

/** One database: its documents in PouchDB, its catalog in memory, one writer. */
export class Database {
  readonly record: DatabaseRecord;
  readonly catalog = new Catalog();
  readonly designDocuments: DesignDocuments;
  readonly #pouch: Pouch;
  readonly #events = new EventEmitter().setMaxListeners(0);
  readonly #writes: Write[] = [];
  #writing: Promise<void> | undefined;
  #localWrites: Promise<unknown> = Promise.resolve();
  #isDeleted = false;

  private constructor(record: DatabaseRecord, pouch: Pouch) {
    this.record = record;
    this.#pouch = pouch;
    this.designDocuments = new DesignDocuments(this);
  }

  static async open(record: DatabaseRecord, folder: string): Promise<Database> {
    const database = new Database(record, await openPouch(folder, record.revsLimit));
    await database.#catchUp();
    return database;
  }

  /**
   * Stores documents; each result says what became of its document. Durable when this resolves.
   * @param newEdits false stores the revisions as they are (replication); only what failed is in the results then
   */
  async write(documents: Document[], { newEdits = true } = {}): Promise<WriteResult[]> {
    if (documents.length === 0) return [];
    return await new Promise((resolve, reject) => {
      this.#writes.push({ documents, newEdits, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  /** Stores one document. @throws CouchError 409, 412 */
  async writeOne(document: Document, options?: { newEdits?: boolean }): Promise<{ id: string; rev: string }> {
    const [result] = await this.write([document], options);
    if (!result) return { id: document._id, rev: document._rev ?? '' };
    if ('ok' in result) return result;
    throw result.error === 'conflict' ? conflict() : new CouchError(400, result.error, result.reason);
  }

  /** Reads a document. @throws CouchError 404, with reason `deleted` if it was */
  async read(id: string, options: Record<string, unknown> = {}): Promise<Document> {
    const entry = this.catalog.get(id);
    if (!options.rev && entry?.deleted) throw notFound('deleted');
    try {
      return (await this.#pouch.get(id, options)) as Document;
    } catch (error) {
      throw fromPouch(error);
    }
  }

  /** Reads the current version of many documents, deleted ones too. */
  async readEntries(entries: readonly Entry[]): Promise<Document[]> {
    if (entries.length === 0) return [];
    const { rows } = await this.#pouch.allDocs({ keys: entries.map(({ id }) => id), include_docs: true });
    return await Promise.all(
      entries.map(async ({ id, rev }, i) => {
        const document = rows[i]?.doc as Document | undefined;
        return document?._rev === rev ? document : await this.read(id, { rev });
      }),
    );
  }

  /** Reads all documents that are not deleted, `count` at a time, in the order of their ids. */
  async *readAll(count: number): AsyncGenerator<Document[]> {
    for (let startkey = ''; ; ) {
      const { rows } = await this.#pouch.allDocs({ include_docs: true, startkey, limit: count });
      if (rows.length > 0) yield rows.map(({ doc }) => doc as Document);
      if (rows.length < count) return;
      // The next id that there can be.
      startkey = `${rows.at(-1)!.id}\0`;
    }
  }

  /** All leaf revisions of a document, the winner first, then conflicts, then deleted ones. @throws CouchError 404 */
  async leaves(id: string, options: Record<string, unknown> = {}): Promise<Document[]> {
    try {
      const found = (await this.#pouch.get(id, { ...options, open_revs: 'all' })) as Array<{ ok: Document }>;
      return found
        .map(({ ok }) => ok)
        .sort(
          (a, b) =>
            Number(a._deleted ?? false) - Number(b._deleted ?? false) || compareRevisionsDescending(a._rev!, b._rev!),
        );
    } catch (error) {
      throw fromPouch(error);
    }
  }

  /** Which of the revisions are not stored, and which leaves might be their ancestors. */
  async missingRevisions(
    revisions: Record<string, string[]>,
  ): Promise<Record<string, { missing: string[]; possible_ancestors?: string[] }>> {
    const answer: Record<string, { missing: string[]; possible_ancestors?: string[] }> = {};
    for (const [id, { missing }] of Object.entries(await this.#pouch.revsDiff(revisions))) {
      answer[id] = { missing };
      if (!this.catalog.get(id)) continue;
      const newest = Math.max(...missing.map(generation));
      const ancestors = (await this.leaves(id)).map(({ _rev }) => _rev!).filter((rev) => generation(rev) < newest);
      if (ancestors.length > 0) answer[id].possible_ancestors = ancestors;
    }
    return answer;
  }

  async attachment(id: string, name: string, rev: string): Promise<Uint8Array> {
    return await this.#pouch.getAttachment(id, name, { rev });
  }

  /** Reads a `_local/` document, which has no history and is not replicated. @throws CouchError 404 */
  async readLocal(id: string): Promise<Document> {
    try {
      const { body } = (await this.#pouch.get(id)) as unknown as { body: Document };
      return body;
    } catch (error) {
      throw fromPouch(error);
    }
  }

  /**
   * Stores or (with `_deleted`) deletes a `_local/` document. CouchDB asks for no revision here and counts from the
   * one it is given; PouchDB insists on its own, so the document is wrapped.
   */
  async writeLocal(document: Document): Promise<{ id: string; rev: string }> {
    const rev = document._deleted ? '0-0' : `0-${Number(document._rev?.slice(2) ?? 0) + 1}`;
    const write = async () => {
      const stored = await this.#pouch.get(document._id).catch(() => undefined);
      const before = stored as { _id: string; _rev: string } | undefined;
      if (!document._deleted) {
        const wrapped = { _id: document._id, ...(before && { _rev: before._rev }), body: { ...document, _rev: rev } };
        await this.#pouch.put(wrapped);
      } else {
        if (!before) throw notFound();
        await this.#pouch.remove(before);
      }
      return { id: document._id, rev };
    };
    const written = this.#localWrites.then(write, write);
    this.#localWrites = written.catch(() => {});
    return await written;
  }

  get isDeleted(): boolean {
    return this.#isDeleted;
  }

  /** A sequence as users see it. */
  sequence(seq: number): string {
    return `${seq}-${this.record.uuid}`;
  }

  /** Resolves when something changed after `seq`, and at once if that is so already; rejects when `signal` aborts. */
  async changed(seq: number, signal: AbortSignal): Promise<void> {
    if (this.catalog.seq <= seq) await once(this.#events, 'change', { signal });
  }

  /** Forgets the bodies of revisions that are no leaves. */
  async compact(): Promise<void> {
    await this.#pouch.compact();
  }

  /** Finishes what is being written and closes the files. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#localWrites;
    await this.#pouch.close();
  }

  /** Closes the database and deletes its files. */
  async destroy(): Promise<void> {
    await this.#writing;
    await this.#localWrites;
    await this.#pouch.destroy();
    this.#isDeleted = true;
    this.#events.emit('change');
  }

  /** Group commit: what arrives while one batch is being synced is the next batch. */
  async #drain(): Promise<void> {
    while (this.#writes.length > 0) {
      const group = [this.#writes.shift()!];
      while (this.#writes[0] && mayShareABatch(group[0]!) && mayShareABatch(this.#writes[0])) {
        group.push(this.#writes.shift()!);
      }
      await this.#commit(group);
    }
    this.#writing = undefined;
  }

  async #commit(group: Write[]): Promise<void> {
    const { newEdits } = group[0]!;
    const documents = group.flatMap((write) => write.documents);
    for (const document of documents) {
      document._id ??= newId();
      if (newEdits) delete document._revisions;
    }
    try {
      const results = (await this.#pouch.bulkDocs(documents, { new_edits: newEdits })).map(toWriteResult);
      await this.#catchUp();
      // Of revisions stored as they are (never in company) only what failed is told.
      for (const write of group) write.resolve(newEdits ? results.splice(0, write.documents.length) : results);
    } catch (error) {
      for (const write of group) write.reject(fromPouch(error));
    }
  }

  async #catchUp(): Promise<void> {
    const { results } = await this.#pouch.changes({ since: this.catalog.seq });
    if (results.length === 0) return;
    this.catalog.add(
      results.map(({ id, seq, deleted, changes }) => ({ id, seq, deleted: deleted === true, rev: changes[0]!.rev })),
    );
    this.#events.emit('change');
  }
}

/** PouchDB refuses a whole batch for one bad attachment, and takes `new_edits` for all of it. */
function mayShareABatch({ newEdits, documents }: Write): boolean {
  return newEdits && documents.every((document) => document._attachments === undefined);
}

function toWriteResult(result: BulkResult): WriteResult {
  if (!result.error) return { ok: true, id: result.id, rev: result.rev };
  const { error, message } = result.status === 409 ? conflict() : fromPouch(result);
  return { id: result.id, error: error, reason: message };
}

/** PouchDB's errors carry CouchDB's status and name. */
function fromPouch(error: unknown): CouchError {
  if (error instanceof CouchError) return error;
  const { status, name, message } = error as { status?: number; name?: string; message?: string };
  if (status === 404) return notFound(message === 'deleted' ? 'deleted' : 'missing');
  if (status === 409) return conflict();
  if (status === 400) return badRequest(message ?? '');
  if (status && name) return new CouchError(status, name, message ?? '');
  return new CouchError(500, 'internal_error', String(message ?? error));
}
