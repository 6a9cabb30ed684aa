import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pouch } from 'pouchdb-core';
import { CouchError, notFound } from './couch-error.ts';
import { Database, type DatabaseRecord } from './database.ts';
import { openPouch } from './storage.ts';

/** CouchDB's rule for names, and its own databases. */
const NAME = /^[a-z][a-z0-9_$()+/-]*$/;
const SYSTEM_NAMES = new Set(['_users', '_replicator', '_global_changes']);
/** CouchDB adds a suffix to make a file name of it. */
const MAX_NAME_LENGTH = 238;

/**
 * All databases of a server. Which there are is itself kept in a database, `_dbs`, as CouchDB does: one document each,
 * so creating the same one twice is a conflict. Documents of a database are in a folder named by its uuid.
 */
export class Databases {
  /** Stable across restarts. */
  readonly serverId: string;
  /** For signing, stable across restarts. */
  readonly secret: string;
  readonly #folder: string;
  readonly #registry: Pouch;
  readonly #records: Map<string, DatabaseRecord>;
  readonly #open = new Map<string, Promise<Database>>();

  private constructor(folder: string, registry: Pouch, records: DatabaseRecord[], server: Server) {
    this.#folder = folder;
    this.#registry = registry;
    this.#records = new Map(records.map((record) => [record.name, record]));
    this.serverId = server.uuid;
    this.secret = server.secret;
  }

  static async open(folder: string): Promise<Databases> {
    await mkdir(join(folder, 'shards'), { recursive: true });
    const registry = await openPouch(join(folder, '_dbs'));
    const { rows } = await registry.allDocs({ include_docs: true });
    const records = rows.map(({ doc }) => (doc as { record: DatabaseRecord }).record);
    // Left by a crash between forgetting a database and deleting its files.
    const known = new Set(records.map(({ uuid }) => uuid));
    for (const name of await readdir(join(folder, 'shards'))) {
      if (!known.has(name)) await rm(join(folder, 'shards', name), { recursive: true, force: true });
    }
    return new Databases(folder, registry, records, await serverOf(registry));
  }

  /** All names, sorted. */
  get names(): string[] {
    return [...this.#records.keys()].sort();
  }

  /** @throws CouchError 404 */
  async get(name: string): Promise<Database> {
    const record = this.#records.get(name);
    if (!record) throw notFound('Database does not exist.');
    let database = this.#open.get(name);
    if (!database) {
      database = Database.open(record, this.#folderOf(record));
      this.#open.set(name, database);
      // A database that could not be opened (no file handles left) is tried again.
      database.catch(() => this.#open.delete(name));
    }
    return await database;
  }

  /** Durable when it resolves. @throws CouchError 400 for a bad name, 412 if there is one */
  async create(name: string): Promise<void> {
    if (!NAME.test(name) && !SYSTEM_NAMES.has(name)) {
      throw new CouchError(
        400,
        'illegal_database_name',
        `Name: '${name}'. Only lowercase characters (a-z), digits (0-9), and any of the characters _, $, (, ), +, -, and / are allowed. Must begin with a letter.`,
      );
    }
    if (name.split('/').some((segment) => segment.length > MAX_NAME_LENGTH)) {
      throw new CouchError(400, 'database_name_too_long', `At least one path segment of \`${name}\` is too long.`);
    }
    const record: DatabaseRecord = {
      name,
      uuid: randomUUID().replaceAll('-', ''),
      createdAt: Math.floor(Date.now() / 1_000),
    };
    try {
      await this.#registry.put({ _id: registryId(name), record });
    } catch (error) {
      if ((error as { status?: number }).status !== 409) throw error;
      throw new CouchError(412, 'file_exists', 'The database could not be created, the file already exists.');
    }
    this.#records.set(name, record);
  }

  /** Keeps what changed in a database's record. */
  async save(record: DatabaseRecord): Promise<void> {
    const stored = (await this.#registry.get(registryId(record.name))) as { _id: string; _rev: string };
    await this.#registry.put({ ...stored, record });
  }

  /** @throws CouchError 404 */
  async delete(name: string): Promise<void> {
    const record = this.#records.get(name);
    const database = await this.get(name);
    if (this.#records.get(name) !== record || !record) throw notFound('Database does not exist.');
    this.#records.delete(name);
    this.#open.delete(name);
    await this.#registry.remove((await this.#registry.get(registryId(name))) as { _id: string; _rev: string });
    await database.destroy();
  }

  async close(): Promise<void> {
    for (const opened of await Promise.allSettled(this.#open.values())) {
      if (opened.status === 'fulfilled') await opened.value.close();
    }
    await this.#registry.close();
  }

  #folderOf(record: DatabaseRecord): string {
    return join(this.#folder, 'shards', record.uuid);
  }
}

interface Server {
  readonly uuid: string;
  readonly secret: string;
}

async function serverOf(registry: Pouch): Promise<Server> {
  const known = await registry.get('_local/server').catch(() => undefined);
  if (known) return known as Server;
  const server = { uuid: randomUUID().replaceAll('-', ''), secret: randomUUID() };
  await registry.put({ _id: '_local/server', ...server });
  return server;
}

/** A document's id may not begin with an underscore, a system database's name does. */
function registryId(name: string): string {
  return `db:${name}`;
}
