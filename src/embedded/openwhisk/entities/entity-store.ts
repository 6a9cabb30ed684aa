import { readFile, rename, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContext } from 'node:tls';
import nano from 'nano';
import type { Logger } from 'pino';
import { Agent } from 'undici';
import { ApiError } from '../api-error.ts';
import type { Entity, EntityType } from './entities.ts';

const DATABASE = 'whisks';
const COPY_FILE = 'entities.json';

/** How long a start waits for CouchDB before it goes on with the copy on disk. */
const FIRST_LOAD_WAIT_MS = 1_500;
const LONGPOLL_MS = 30_000;
/** A link that has gone silent is noticed this long after an answer was due. */
const ANSWER_WAIT_MS = 10_000;
const RETRY_MS = 500;
/** How long close() waits for an answer that is due. */
const CLOSE_WAIT_MS = 500;
const COPY_DELAY_MS = 100;

export interface CouchdbAccess {
  readonly url: string;
  readonly username: string;
  readonly password: string;
  /** What is trusted, where that is not what Node.js trusts by itself. */
  readonly secureContext?: SecureContext | undefined;
}

/**
 * The entities: kept in CouchDB (one document each, shared by all sites), held in memory for every read, followed by `_changes`,
 * and copied to disk, so that a site runs its actions, and starts, without CouchDB. Changes need CouchDB; its revisions
 * decide between two who change one entity at once.
 */
export class EntityStore {
  readonly #url: URL;
  readonly #secureContext: SecureContext | undefined;
  readonly #server: nano.ServerScope;
  readonly #copyFile: string;
  readonly #log: Logger;
  readonly #entities = new Map<string, Entity>();
  readonly #stop = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #copyTimer: NodeJS.Timeout | undefined;
  #copying: Promise<void> = Promise.resolve();

  private constructor(couchdb: CouchdbAccess, folder: string, log: Logger) {
    const url = new URL(couchdb.url);
    url.username = encodeURIComponent(couchdb.username);
    url.password = encodeURIComponent(couchdb.password);
    if (!url.pathname.endsWith('/')) url.pathname += '/';
    this.#url = url;
    const { secureContext } = couchdb;
    this.#secureContext = secureContext;
    this.#server = nano({
      url: url.href,
      // Its types ask for the class, its code for an instance.
      ...(secureContext && { agentOptions: new Agent({ connect: { secureContext } }) as unknown as typeof Agent }),
    });
    this.#copyFile = join(folder, COPY_FILE);
    this.#log = log;
  }

  /** Loads the entities from CouchDB, or from the copy in `folder` while CouchDB can't be reached, and follows their changes. */
  static async open(couchdb: CouchdbAccess, folder: string, log: Logger): Promise<EntityStore> {
    const store = new EntityStore(couchdb, folder, log);
    await store.#readCopy();
    const loaded = new Promise<void>((resolve) => {
      store.#following = store.#follow(resolve);
    });
    await Promise.race([loaded, sleep(FIRST_LOAD_WAIT_MS, undefined, { ref: false })]);
    return store;
  }

  get(id: string): Entity | undefined {
    return this.#entities.get(id);
  }

  /** The entities of one type under a namespace (`ns`, packages included) or in a package (`ns/pkg`), last changed first. */
  list<T extends EntityType>(type: T, container: string): Extract<Entity, { entityType: T }>[] {
    const found: Entity[] = [];
    for (const entity of this.#entities.values()) {
      if (entity.entityType !== type) continue;
      if (entity.namespace === container || entity.namespace.startsWith(`${container}/`)) found.push(entity);
    }
    return found.reverse().sort((a, b) => b.updated - a.updated) as Extract<Entity, { entityType: T }>[];
  }

  /** Creates an entity, or replaces the one whose `_rev` it carries. @throws ApiError 409 when somebody else was faster, 503 */
  async put<T extends Entity>(entity: T): Promise<T> {
    const { rev } = await this.#write(
      entity._id,
      (body) => this.#request<{ rev: string }>('put', path(entity._id), { body }),
      entity,
    );
    const stored = { ...entity, _rev: rev };
    this.#remember(stored);
    return stored;
  }

  /** @throws ApiError 409 when somebody else has changed it, 503 */
  async remove(entity: Entity): Promise<void> {
    await this.#write(
      entity._id,
      () => this.#request('delete', path(entity._id), { qs: { rev: entity._rev } }),
      entity,
    );
    this.#forget(entity._id);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.race([this.#following, sleep(CLOSE_WAIT_MS, undefined, { ref: false })]);
    if (this.#copyTimer) {
      clearTimeout(this.#copyTimer);
      this.#writeCopy();
    }
    await this.#copying;
  }

  async #write<T>(id: string, write: (entity: Entity) => Promise<T>, entity: Entity): Promise<T> {
    try {
      return await write(entity);
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode !== 409) {
        this.#log.warn({ reason: reasonOf(error) }, 'OpenWhisk entities: CouchDB did not take a change');
        throw new ApiError(503, 'The entities are kept in CouchDB, which did not take the change; it can be repeated.');
      }
      await this.#reload(id).catch(() => {});
      throw new ApiError(409, 'Concurrent modification to resource detected.');
    }
  }

  async #reload(id: string): Promise<void> {
    const { rows } = await this.#request<AllDocs>('post', '_all_docs', {
      qs: { include_docs: true },
      body: { keys: [id] },
    });
    const doc = rows[0]?.doc;
    if (doc) this.#remember(doc);
    else this.#forget(id);
  }

  async #follow(onLoaded: () => void): Promise<void> {
    let reachable = true;
    while (!this.#stop.signal.aborted) {
      try {
        let since = await this.#load();
        onLoaded();
        if (!reachable) this.#log.info('OpenWhisk entities: CouchDB is back');
        reachable = true;
        while (!this.#stop.signal.aborted) since = await this.#nextChanges(since);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (reachable) {
          this.#log.warn(
            { reason: reasonOf(error) },
            'OpenWhisk entities: CouchDB is out of reach; going on with the copy',
          );
          reachable = false;
        }
        await sleep(RETRY_MS, undefined, { signal: this.#stop.signal }).catch(() => {});
      }
    }
  }

  /** Makes memory equal to the database and returns the sequence from which to follow. */
  async #load(): Promise<string> {
    await this.#request('put', '').catch((error: { statusCode?: number }) => {
      if (error.statusCode !== 412) throw error;
    });
    const { update_seq } = await this.#request<{ update_seq: string }>('get', '');
    const { rows } = await this.#request<AllDocs>('get', '_all_docs');
    const present = new Set(rows.map((row) => row.id));
    for (const id of this.#entities.keys()) if (!present.has(id)) this.#forget(id);
    const keys = rows.filter((row) => this.#entities.get(row.id)?._rev !== row.value.rev).map((row) => row.id);
    if (keys.length > 0) {
      const changed = await this.#request<AllDocs>('post', '_all_docs', { qs: { include_docs: true }, body: { keys } });
      for (const { doc } of changed.rows) if (doc) this.#remember(doc);
    }
    return update_seq;
  }

  async #nextChanges(since: string): Promise<string> {
    const query = new URLSearchParams({ feed: 'longpoll', include_docs: 'true', timeout: String(LONGPOLL_MS), since });
    const changes = await getJson<Changes>(new URL(`${DATABASE}/_changes?${query}`, this.#url), {
      signal: this.#stop.signal,
      ...(this.#secureContext && { secureContext: this.#secureContext }),
    });
    for (const { id, deleted, doc } of changes.results) {
      if (deleted) this.#forget(id);
      else if (doc) this.#remember(doc);
    }
    return changes.last_seq;
  }

  #request<T = unknown>(
    method: string,
    resource: string,
    options: { qs?: Record<string, unknown>; body?: unknown } = {},
  ): Promise<T> {
    this.#stop.signal.throwIfAborted();
    const request = { db: DATABASE, path: resource, method, ...options };
    return this.#server.request(request as nano.RequestOptions) as Promise<T>;
  }

  #remember(entity: Entity): void {
    if (!('entityType' in entity) || generation(this.#entities.get(entity._id)) > generation(entity)) return;
    // Deleting first puts the entity last: lists show what was changed last first.
    this.#entities.delete(entity._id);
    this.#entities.set(entity._id, entity);
    this.#scheduleCopy();
  }

  #forget(id: string): void {
    if (this.#entities.delete(id)) this.#scheduleCopy();
  }

  async #readCopy(): Promise<void> {
    try {
      const entities = JSON.parse(await readFile(this.#copyFile, 'utf8')) as Entity[];
      for (const entity of entities) this.#entities.set(entity._id, entity);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      this.#log.warn(
        { reason: reasonOf(error) },
        `OpenWhisk entities: ${this.#copyFile} can't be read; CouchDB has them all`,
      );
    }
  }

  #scheduleCopy(): void {
    this.#copyTimer ??= setTimeout(() => {
      this.#copyTimer = undefined;
      this.#writeCopy();
    }, COPY_DELAY_MS);
  }

  #writeCopy(): void {
    this.#copying = this.#copying.then(async () => {
      const temporary = `${this.#copyFile}.new`;
      try {
        // 0600: default parameters may hold secrets.
        await writeFile(temporary, JSON.stringify([...this.#entities.values()]), { mode: 0o600, flush: true });
        await rename(temporary, this.#copyFile);
      } catch (error) {
        this.#log.warn({ reason: reasonOf(error) }, 'OpenWhisk entities: the copy on disk could not be written');
      }
    });
  }
}

interface AllDocs {
  readonly rows: ReadonlyArray<{
    readonly id: string;
    readonly value: { readonly rev: string };
    readonly doc?: Entity | null;
  }>;
}

interface Changes {
  readonly last_seq: string;
  readonly results: ReadonlyArray<{ readonly id: string; readonly deleted?: boolean; readonly doc?: Entity }>;
}

/**
 * One GET that can be given up at any time: not by nano, whose fetch (in Node.js 20) forgets its abort signal when memory is
 * collected, and a long poll would hold a stop up for half a minute.
 */
async function getJson<T>(url: URL, options: { signal: AbortSignal; secureContext?: SecureContext }): Promise<T> {
  const get = url.protocol === 'https:' ? https.get : http.get;
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const request = get(url, { ...options, timeout: LONGPOLL_MS + ANSWER_WAIT_MS }, resolve);
    request.on('timeout', () => request.destroy(new Error('CouchDB has gone silent')));
    request.on('error', reject);
  });
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  if (response.statusCode !== 200) throw new Error(`CouchDB answered ${response.statusCode}`);
  return JSON.parse(text) as T;
}

function path(id: string): string {
  return encodeURIComponent(id);
}

/** The number before the dash of a revision: of two revisions in one line, the later has the higher. */
function generation(entity: Entity | undefined): number {
  return Number.parseInt(entity?._rev ?? '0', 10);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
