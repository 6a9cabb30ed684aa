/** The little of PouchDB 9 and leveldown 6 that is used here; neither ships types. */

declare module 'pouchdb-core' {
  interface Constructor {
    new (name: string, options?: Record<string, unknown>): Pouch;
    plugin(plugin: unknown): Constructor;
  }
  export interface Pouch {
    get(id: string, options?: Record<string, unknown>): Promise<unknown>;
    put(doc: Record<string, unknown>): Promise<{ id: string; rev: string }>;
    remove(doc: { _id: string; _rev: string }): Promise<{ id: string; rev: string }>;
    bulkDocs(docs: unknown[], options?: { new_edits?: boolean }): Promise<BulkResult[]>;
    allDocs(options: Record<string, unknown>): Promise<{ rows: Array<{ id: string; doc?: unknown }> }>;
    changes(options: Record<string, unknown>): Promise<{ results: Change[]; last_seq: number }>;
    revsDiff(revs: Record<string, string[]>): Promise<Record<string, { missing: string[] }>>;
    getAttachment(id: string, name: string, options?: { rev?: string }): Promise<Uint8Array>;
    compact(): Promise<unknown>;
    close(): Promise<void>;
    destroy(): Promise<unknown>;
  }
  export interface BulkResult {
    ok?: boolean;
    id: string;
    rev: string;
    error?: unknown;
    status?: number;
    name?: string;
    message?: string;
  }
  export interface Change {
    id: string;
    seq: number;
    deleted?: boolean;
    changes: Array<{ rev: string }>;
  }
  const PouchDB: Constructor;
  export default PouchDB;
}

declare module 'pouchdb-adapter-leveldb' {
  const plugin: unknown;
  export default plugin;
}

declare module 'leveldown' {
  interface Leveldown {
    _batch(operations: unknown[], options: Record<string, unknown>, callback: (error?: Error) => void): void;
    _put(key: unknown, value: unknown, options: Record<string, unknown>, callback: (error?: Error) => void): void;
    _del(key: unknown, options: Record<string, unknown>, callback: (error?: Error) => void): void;
  }
  interface Factory {
    (location: string): Leveldown;
    destroy(location: string, callback: (error?: Error) => void): void;
  }
  const leveldown: Factory;
  export default leveldown;
}
