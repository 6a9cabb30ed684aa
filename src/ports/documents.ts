/** A database of JSON documents in the center, as its followers and writers need it. */

export interface StoredDocument {
  readonly _id: string;
  readonly _rev: string;
  readonly [field: string]: unknown;
}

/** A document's latest version, or that it was deleted. */
export interface Change {
  readonly id: string;
  /** Absent: it was deleted. */
  readonly document?: StoredDocument;
}

/** Which database it is, and how far it has come. */
export interface Identity {
  /** Differs from one database of that name to the next: it was deleted, restored from elsewhere, or is another server's. */
  readonly id: string;
  /** How many changes it has seen, opaque but for {@link sequenceNumber}. */
  readonly sequence: string;
}

/** Each call fails with {@link CenterError} when the center can't be reached or refuses. */
export interface Documents {
  readonly name: string;

  /** Makes the database and its design documents where they are missing. */
  prepare(signal: AbortSignal): Promise<void>;

  identity(signal: AbortSignal): Promise<Identity>;

  /** Revisions of all documents by their ids, without design documents. */
  revisions(signal: AbortSignal): Promise<Map<string, string>>;

  /** The documents with these ids; those that never existed are left out. */
  read(ids: readonly string[], signal: AbortSignal): Promise<Change[]>;

  /**
   * Tells what changes from `since` on, as it happens, without design documents, until `signal` says stop or the
   * connection ends.
   * @param heartbeatMs how often the center says that it is there while nothing changes
   * @param hear called for whatever comes, with the changes in it, if any, and the sequence to go on from
   */
  changes(
    since: string,
    heartbeatMs: number,
    signal: AbortSignal,
    hear: (changes: Change[], sequence: string | undefined) => void,
  ): Promise<void>;

  /**
   * Stores a document. One without `_rev` must not exist yet.
   * @returns whether it was stored; false: somebody else changed it meanwhile
   */
  write(document: Readonly<Record<string, unknown>> & { readonly _id: string }, signal: AbortSignal): Promise<boolean>;
}

/** Why the center did not do what it was asked. Decided by status, never by text. */
export class CenterError extends Error {
  /** The HTTP status; absent where nothing answered. */
  readonly status: number | undefined;

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CenterError';
    this.status = status;
  }
}

/** What a follower keeps on disk, to run from it with the center away. */
export interface Snapshot {
  readonly identity: string;
  readonly since: string;
  readonly documents: readonly StoredDocument[];
  /** Ids of documents that a rebuilt center no longer has, and nobody deleted. */
  readonly orphans: readonly string[];
}

export interface Snapshots {
  /** The snapshot; undefined where there is none that can be read. */
  load(): Promise<Snapshot | undefined>;
  /** Replaces it as a whole, durably. */
  save(snapshot: Snapshot): Promise<void>;
}

/** The number that CouchDB's sequences begin with: never smaller in a later one of the same database. */
export function sequenceNumber(sequence: string): number {
  return Number.parseInt(sequence, 10) || 0;
}
