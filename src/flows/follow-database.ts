import type { Logger } from 'pino';
import { retryDelayMs } from '../core/retry.ts';
import type { Clock } from '../ports/clock.ts';
import {
  CenterError,
  type Change,
  type Documents,
  type Identity,
  type Snapshots,
  type StoredDocument,
  sequenceNumber,
} from '../ports/documents.ts';

/**
 * Follows a database of the center, so that its documents are at hand whether or not the center is:
 *
 *     start      the snapshot on disk → at hand at once
 *     connect    another database than before, or time for it → compare all revisions; else only go on
 *     listen     changes as they happen; silence, or changes that are not told, mean a dead feed: connect again
 *     flush      what changed → told, and written to the snapshot
 *
 * A document goes when the center says that it was deleted. From a center that was rebuilt and merely lacks it, it does
 * not go: a CouchDB that came back empty by accident must not end what every site does. Such a document is an *orphan*:
 * it stays in use, the status names it, and it goes when somebody stores or deletes one of its id.
 */

const HEARTBEAT_MS = 30_000;
/** So many heartbeats without a byte mean that the connection is dead. */
const SILENT_HEARTBEATS = 2.5;
/** How often it is asked whether the feed told everything. */
const CHECK_MS = 10 * 60_000;
/** How long a change may take from the database into the feed. */
const FEED_DELAY_MS = 5_000;
/** How often all revisions are compared. */
const COMPARE_MS = 60 * 60_000;
/** Changes that come together are told together. */
const GATHER_MS = 100;
const RECONNECT = { firstMs: 500, maxMs: 15_000 };

export interface FollowDatabaseParts {
  readonly database: Documents;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told all documents: first what the snapshot holds, then whenever something changed. */
  readonly onChange: (documents: ReadonlyMap<string, StoredDocument>) => void;
  /** What of a document is kept here, in memory and on disk; by default all. */
  readonly keep?: (document: StoredDocument) => StoredDocument;
  readonly heartbeatMs?: number;
}

/** How things stand with the center, for people. */
export interface FollowState {
  readonly database: string;
  readonly connected: boolean;
  readonly documents: number;
  /** Documents in use that the rebuilt center does not have. */
  readonly orphans: readonly string[];
  /** What is in the way. */
  readonly problem?: string;
}

/** How things stand with the databases that a site follows. */
export interface CenterStatus {
  readonly registrations: FollowState;
  readonly parameters: FollowState;
  /** Documents and parameters that this site can't use, and why. */
  readonly problems: readonly string[];
}

export class FollowDatabase {
  readonly #parts: FollowDatabaseParts;
  readonly #heartbeatMs: number;
  readonly #stopping = new AbortController();
  readonly #documents = new Map<string, StoredDocument>();
  readonly #orphans = new Set<string>();
  /** Of the database that the documents come from, and up to where. */
  #identity: string | undefined;
  #since = '0';
  #connectedSince: number | undefined;
  #problem: string | undefined;
  #heardAt = 0;
  #compareAt = 0;
  #following: Promise<void> | undefined;
  #flushing: Promise<void> | undefined;
  #isChanged = false;

  constructor(parts: FollowDatabaseParts) {
    this.#parts = parts;
    this.#heartbeatMs = parts.heartbeatMs ?? HEARTBEAT_MS;
  }

  /** Tells what the snapshot holds, and follows the center from then on; resolves without waiting for the center. */
  async start(): Promise<void> {
    const { snapshots, onChange } = this.#parts;
    const snapshot = await snapshots.load();
    if (snapshot) {
      this.#identity = snapshot.identity;
      this.#since = snapshot.since;
      for (const document of snapshot.documents) this.#documents.set(document._id, document);
      for (const id of snapshot.orphans) this.#orphans.add(id);
    }
    this.#scheduleCompare();
    onChange(this.#documents);
    this.#following = this.#follow();
  }

  /** Stops, with everything that was heard on disk. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#following;
    await this.#flushing;
  }

  get state(): FollowState {
    return {
      database: this.#parts.database.name,
      connected: this.#connectedSince !== undefined,
      documents: this.#documents.size,
      orphans: [...this.#orphans],
      ...(this.#problem !== undefined && { problem: this.#problem }),
    };
  }

  /** Since when the center has been followed without a break, in elapsed ms; undefined while it is away. */
  get connectedSince(): number | undefined {
    return this.#connectedSince;
  }

  async #follow(): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; ) {
      const begun = clock.elapsed();
      try {
        await this.#connect(signal);
        this.#found();
        await this.#listen(signal);
        failures = 0;
      } catch (error) {
        this.#lost(error);
        failures = clock.elapsed() - begun > RECONNECT.maxMs ? 1 : failures + 1;
      }
      if (failures > 0) await clock.sleep(retryDelayMs(failures, clock.random(), RECONNECT), signal);
    }
    this.#connectedSince = undefined;
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { database, clock } = this.#parts;
    await database.prepare(signal);
    const identity = await database.identity(signal);
    const isKnown = identity.id === this.#identity;
    const isRewound = isKnown && sequenceNumber(identity.sequence) < sequenceNumber(this.#since);
    if (isKnown && !isRewound && clock.elapsed() < this.#compareAt) return;
    await this.#compare(identity, this.#identity !== undefined && (!isKnown || isRewound), signal);
    this.#scheduleCompare();
  }

  /** Takes over what the database holds, by revisions: only what differs is read. */
  async #compare(identity: Identity, isRebuilt: boolean, signal: AbortSignal): Promise<void> {
    const { database, log } = this.#parts;
    const revisions = await database.revisions(signal);
    const differing = [...revisions].flatMap(([id, rev]) => (this.#documents.get(id)?._rev === rev ? [] : [id]));
    const absent = [...this.#documents.keys()].filter((id) => !revisions.has(id));
    const changes = await database.read([...differing, ...absent], signal);
    const told = new Set(changes.map(({ id }) => id));
    for (const id of revisions.keys()) this.#orphans.delete(id);
    this.#apply(changes);
    for (const id of absent) {
      if (told.has(id)) continue;
      if (isRebuilt) this.#orphans.add(id);
      else if (!this.#orphans.has(id)) this.#documents.delete(id);
    }
    if (isRebuilt) {
      log.warn(
        { database: database.name, documents: revisions.size, orphans: this.#orphans.size },
        'the database is not the one known before; what it lacks stays in use until it is stored anew or deleted',
      );
    }
    this.#identity = identity.id;
    this.#since = identity.sequence;
    this.#changed();
  }

  /** Hears changes until all is to be compared. @throws CenterError when the feed is dead */
  async #listen(signal: AbortSignal): Promise<void> {
    const { database, clock } = this.#parts;
    const over = new AbortController();
    const ended = AbortSignal.any([signal, over.signal]);
    this.#heardAt = clock.elapsed();
    const hearing = database.changes(this.#since, this.#heartbeatMs, ended, (changes, sequence) => {
      this.#heardAt = clock.elapsed();
      if (sequence !== undefined) this.#since = sequence;
      if (changes.length > 0) {
        this.#apply(changes);
        this.#changed();
      }
    });
    const watching = this.#watch(ended);
    const closed = hearing.then(() => {
      if (!ended.aborted) throw new CenterError('CouchDB has closed the changes feed');
    });
    try {
      await Promise.race([closed, watching]);
    } finally {
      over.abort();
      await Promise.allSettled([closed, watching]);
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    let checkAt = clock.elapsed() + CHECK_MS;
    for (;;) {
      await clock.sleep(this.#heartbeatMs, signal);
      if (signal.aborted) return;
      const now = clock.elapsed();
      const silentMs = now - this.#heardAt;
      if (silentMs > this.#heartbeatMs * SILENT_HEARTBEATS) {
        throw new CenterError(`nothing was heard from CouchDB for ${Math.round(silentMs / 1_000)} s`);
      }
      if (now >= this.#compareAt) return;
      if (now >= checkAt) {
        await this.#checkFeed(signal);
        checkAt = clock.elapsed() + CHECK_MS;
      }
    }
  }

  /** A feed can beat and tell nothing: what the database has seen must have come through it. */
  async #checkFeed(signal: AbortSignal): Promise<void> {
    const { database, clock } = this.#parts;
    const { id, sequence } = await database.identity(signal);
    if (id === this.#identity && sequenceNumber(sequence) <= sequenceNumber(this.#since)) return;
    await clock.sleep(FEED_DELAY_MS, signal);
    if (signal.aborted || (id === this.#identity && sequenceNumber(sequence) <= sequenceNumber(this.#since))) return;
    this.#compareAt = 0;
    throw new CenterError('the changes feed does not tell what changes');
  }

  #apply(changes: readonly Change[]): void {
    const { keep = (document) => document } = this.#parts;
    for (const { id, document } of changes) {
      this.#orphans.delete(id);
      if (document) this.#documents.set(id, keep(document));
      else this.#documents.delete(id);
    }
  }

  #changed(): void {
    this.#isChanged = true;
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
  }

  async #flush(): Promise<void> {
    const { clock, onChange, snapshots, database, log } = this.#parts;
    while (this.#isChanged) {
      await clock.sleep(GATHER_MS, this.#stopping.signal);
      this.#isChanged = false;
      onChange(this.#documents);
      const snapshot = {
        identity: this.#identity ?? '',
        since: this.#since,
        documents: [...this.#documents.values()],
        orphans: [...this.#orphans],
      };
      await snapshots.save(snapshot).catch((error: NodeJS.ErrnoException) => {
        // What runs goes on; after a restart the center is asked from the older snapshot on.
        log.warn({ database: database.name, reason: error.code ?? error.message }, 'the snapshot was not written');
      });
    }
  }

  #found(): void {
    const { log, database, clock } = this.#parts;
    if (this.#connectedSince === undefined)
      log.info({ database: database.name, documents: this.#documents.size }, 'following the center');
    this.#connectedSince ??= clock.elapsed();
    this.#problem = undefined;
  }

  #lost(error: unknown): void {
    const { log, database } = this.#parts;
    if (this.#stopping.signal.aborted) return;
    const problem = (error as Error).message;
    // Said once for each cause, not for each attempt.
    if (problem !== this.#problem) {
      log.warn({ database: database.name, reason: problem }, 'the center is away; what it said last stays in use');
    }
    this.#connectedSince = undefined;
    this.#problem = problem;
  }

  /** Spread over the fleet, so that its sites do not ask in step. */
  #scheduleCompare(): void {
    const { clock } = this.#parts;
    this.#compareAt = clock.elapsed() + COMPARE_MS * (0.75 + clock.random() / 2);
  }
}
