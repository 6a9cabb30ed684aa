import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from './catalog.ts';
import { badRequest, CouchError, notFound } from './couch-error.ts';
import type { Database } from './database.ts';
import type { Document } from './document.ts';
import { present } from './documents.ts';
import { BASE_HEADERS, type Exchange, hashEtag } from './exchange.ts';
import { parseJson } from './json.ts';
import { matches, parseSelector, pick, type Selector } from './selector.ts';

/** `/db/_changes`, all feeds. */

const FEEDS = ['normal', 'continuous', 'live', 'longpoll', 'eventsource'];
const BATCH = 100;
const DEFAULT_TIMEOUT_MS = 60_000;

interface Wish {
  readonly feed: string;
  readonly since: number;
  readonly limit: number;
  readonly descending: boolean;
  readonly includeDocs: boolean;
  readonly conflicts: boolean;
  readonly allLeaves: boolean;
  readonly sequenceInterval: number;
  readonly timeoutMs: number;
  readonly heartbeatMs: number | undefined;
  readonly filter: Filter;
}

interface Filter {
  /** Whether documents have to be read for it. */
  readonly needsDocuments: boolean;
  /** CouchDB counts what these leave out as pending. */
  readonly skipsArePending: boolean;
  readonly fields?: string[];
  select(entries: Entry[], documents: Document[]): boolean[];
}

/** @param stopping aborts when the server stops: live feeds then end as if they had timed out */
export async function handleChanges(exchange: Exchange, database: Database, stopping: AbortSignal): Promise<void> {
  exchange.allow('GET,POST,HEAD');
  const body = exchange.method === 'POST' ? await exchange.objectBody() : undefined;
  const wish = await readWish(exchange, database, body);
  const feed = new Feed(exchange, database, wish);
  if (wish.feed === 'normal' || wish.descending) await feed.answer();
  else await feed.follow(stopping);
}

class Feed {
  readonly #exchange: Exchange;
  readonly #database: Database;
  readonly #wish: Wish;
  #seq: number;
  #sent = 0;

  constructor(exchange: Exchange, database: Database, wish: Wish) {
    this.#exchange = exchange;
    this.#database = database;
    this.#wish = wish;
    this.#seq = wish.since;
  }

  /** The feed that ends: everything up to now. */
  async answer(): Promise<void> {
    const etag = `"${hashEtag(this.#database.record.uuid, this.#database.catalog.seq)}"`;
    const { response } = this.#exchange;
    response.writeHead(200, { ...BASE_HEADERS, 'content-type': 'application/json', etag });
    if (this.#exchange.method === 'HEAD') return void response.end();
    response.write('{"results":[\n');
    await this.#send();
    response.end(`\n],\n${this.#summary()}\n`);
  }

  /** The feeds that wait for changes. */
  async follow(stopping: AbortSignal): Promise<void> {
    const { response } = this.#exchange;
    const { feed, limit, heartbeatMs } = this.#wish;
    const isEvents = feed === 'eventsource';
    const isLongPoll = feed === 'longpoll';
    response.writeHead(200, {
      ...BASE_HEADERS,
      ...(isEvents && { 'cache-control': 'no-cache' }),
      'content-type': isEvents ? 'text/event-stream' : 'application/json',
    });
    response.flushHeaders();
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const heartbeat = heartbeatMs && setInterval(() => response.write(isEvents ? HEARTBEAT_EVENT : '\n'), heartbeatMs);
    try {
      if (isLongPoll) response.write('{"results":[\n');
      await this.#send();
      if (this.#sent === 0 && limit > 0 && feed !== 'continuous') response.write('\n');
      const isOver = () => this.#sent >= limit || (isLongPoll && this.#sent > 0) || this.#database.isDeleted;
      while (!isOver() && (await this.#wait(AbortSignal.any([stopping, gone.signal])))) await this.#send();
    } finally {
      clearInterval(heartbeat || undefined);
    }
    // A follower would keep its connection for the next request, and the stop waiting for it.
    const { socket } = this.#exchange.request;
    if (stopping.aborted) response.once('finish', () => socket.end());
    if (isEvents) response.end();
    else if (isLongPoll) response.end(`\n],\n${this.#summary()}\n`);
    else response.end(`{${this.#summary()}\n`);
  }

  /** Whether something changed in time. */
  async #wait(ended: AbortSignal): Promise<boolean> {
    if (ended.aborted) return false;
    const waiting = new AbortController();
    const end = () => waiting.abort();
    ended.addEventListener('abort', end, { once: true });
    try {
      const changed = this.#database.changed(this.#seq, waiting.signal).then(() => true);
      if (this.#wish.heartbeatMs) return await changed;
      const tooLong = sleep(this.#wish.timeoutMs, false, { signal: waiting.signal });
      tooLong.catch(() => {});
      changed.catch(() => {});
      return await Promise.race([changed, tooLong]);
    } catch (error) {
      if (waiting.signal.aborted) return false;
      throw error;
    } finally {
      ended.removeEventListener('abort', end);
      waiting.abort();
    }
  }

  /** Writes what changed until now, as far as the limit and the filter let it pass. */
  async #send(): Promise<void> {
    const { catalog } = this.#database;
    const { descending, limit, filter, includeDocs } = this.#wish;
    let last = descending ? Number.POSITIVE_INFINITY : this.#seq;
    while (this.#sent < limit && !this.#exchange.response.destroyed) {
      const entries = descending ? catalog.changedBefore(last, BATCH) : catalog.changedAfter(last, BATCH);
      if (entries.length === 0) break;
      const needed = filter.needsDocuments || includeDocs;
      const documents = needed ? await this.#database.readEntries(entries) : [];
      const passes = filter.select(entries, documents);
      for (const [i, entry] of entries.entries()) {
        if (this.#sent >= limit) break;
        last = entry.seq;
        if (!descending || this.#sent === 0) this.#seq = entry.seq;
        if (passes[i]) await this.#write(await this.#row(entry, documents[i]));
      }
    }
  }

  async #row(entry: Entry, document: Document | undefined): Promise<Record<string, unknown>> {
    const { includeDocs, conflicts, allLeaves, sequenceInterval, filter } = this.#wish;
    const leaves =
      allLeaves || (conflicts && includeDocs)
        ? await this.#database.leaves(entry.id)
        : [{ _rev: entry.rev, _deleted: entry.deleted }];
    const row: Record<string, unknown> = {
      seq: this.#sent % sequenceInterval === 0 ? this.#database.sequence(entry.seq) : null,
      id: entry.id,
      changes: (allLeaves ? leaves : leaves.slice(0, 1)).map(({ _rev }) => ({ rev: _rev })),
    };
    if (entry.deleted) row.deleted = true;
    if (includeDocs && document) {
      const losers = leaves.slice(1).flatMap(({ _deleted, _rev }) => (_deleted ? [] : [_rev]));
      const shown = filter.fields ? pick(document, filter.fields) : present(document);
      row.doc = conflicts && losers.length > 0 ? { ...shown, _conflicts: losers } : shown;
    }
    return row;
  }

  async #write(row: Record<string, unknown>): Promise<void> {
    const { response } = this.#exchange;
    const { feed } = this.#wish;
    const json = JSON.stringify(row);
    let text = `${json}\n`;
    if (feed === 'eventsource') text = `data: ${json}\nid: ${JSON.stringify(row.seq)}\n\n`;
    else if (feed === 'normal' || feed === 'longpoll') text = `${this.#sent > 0 ? ',\r\n' : ''}${json}`;
    this.#sent += 1;
    if (!response.write(text) && !response.destroyed) {
      await new Promise<void>((resolve) => {
        const go = () => {
          response.off('drain', go).off('close', go);
          resolve();
        };
        response.on('drain', go).on('close', go);
      });
    }
  }

  #summary(): string {
    const { catalog } = this.#database;
    const { filter, descending, since } = this.#wish;
    const left = filter.skipsArePending ? catalog.countAfter(since) - this.#sent : catalog.countAfter(this.#seq);
    const pending = descending ? 0 : left;
    return `"last_seq":${JSON.stringify(this.#database.sequence(this.#seq))},"pending":${pending}}\n`;
  }
}

const HEARTBEAT_EVENT = 'event: heartbeat\ndata: \n\n';

async function readWish(
  exchange: Exchange,
  database: Database,
  body: Record<string, unknown> | undefined,
): Promise<Wish> {
  const { query } = exchange;
  const feed = query.get('feed') ?? 'normal';
  if (!FEEDS.includes(feed)) {
    throw badRequest(`Supported \`feed\` types: ${FEEDS.join(', ')}`);
  }
  const resumed = feed === 'eventsource' ? exchange.header('last-event-id') : '';
  const sequenceInterval = integer(query, 'seq_interval') ?? 1;
  return {
    feed: feed === 'live' ? 'continuous' : feed,
    since: parseSince(query.get('last-event-id') ?? query.get('since') ?? resumed, database),
    limit: integer(query, 'limit') ?? Number.POSITIVE_INFINITY,
    descending: exchange.flag('descending'),
    includeDocs: exchange.flag('include_docs'),
    conflicts: exchange.flag('conflicts'),
    allLeaves: query.get('style') === 'all_docs',
    sequenceInterval: Math.max(1, sequenceInterval),
    timeoutMs: Math.min(integer(query, 'timeout') ?? DEFAULT_TIMEOUT_MS, DEFAULT_TIMEOUT_MS),
    heartbeatMs: heartbeat(query),
    filter: await readFilter(exchange, database, body),
  };
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d+$/.test(text)) throw badRequest(`\`${name}\` must be a non-negative integer`);
  return Number(text);
}

function heartbeat(query: URLSearchParams): number | undefined {
  const text = query.get('heartbeat');
  if (text === null || text === 'false') return undefined;
  if (text === 'true') return DEFAULT_TIMEOUT_MS;
  const milliseconds = /^\d+$/.test(text) ? Number(text) : 0;
  if (milliseconds === 0) {
    throw badRequest('Invalid heartbeat value. Expecting a positive integer value (in milliseconds).');
  }
  return Math.min(milliseconds, 2 ** 31 - 1);
}

/** @throws CouchError 400 */
function parseSince(text: string, database: Database): number {
  const since = text.replaceAll('"', '');
  if (since === '' || since === '0') return 0;
  if (since === 'now') return database.catalog.seq;
  const parts = /^(\d+)-([0-9a-f]{32})$/.exec(since);
  if (!parts) throw badRequest("Malformed sequence supplied in 'since' parameter.");
  // From a database that was deleted and made anew: everything is news.
  return parts[2] === database.record.uuid ? Math.min(Number(parts[1]), database.catalog.seq) : 0;
}

const EVERYTHING: Filter = {
  needsDocuments: false,
  skipsArePending: false,
  select: (entries) => entries.map(() => true),
};

async function readFilter(
  exchange: Exchange,
  database: Database,
  body: Record<string, unknown> | undefined,
): Promise<Filter> {
  const name = exchange.query.get('filter');
  switch (name) {
    case null:
      return EVERYTHING;
    case '_design':
      return {
        ...EVERYTHING,
        skipsArePending: true,
        select: (entries) => entries.map(({ id }) => id.startsWith('_design/')),
      };
    case '_doc_ids': {
      const text = exchange.query.get('doc_ids');
      const ids = body?.doc_ids ?? (text === null ? undefined : parseJson(text));
      if (!Array.isArray(ids)) throw badRequest('`doc_ids` filter parameter is not a list of doc ids.');
      const wanted = new Set(ids);
      return { ...EVERYTHING, skipsArePending: true, select: (entries) => entries.map(({ id }) => wanted.has(id)) };
    }
    case '_selector':
      return selectorFilter(body);
    case '_view':
      return await viewFilter(exchange, database);
    default:
      return await functionFilter(exchange, database, name);
  }
}

function selectorFilter(body: Record<string, unknown> | undefined): Filter {
  if (!body) throw badRequest('Selector must be specified in POST payload');
  let selector: Selector;
  try {
    if (body.selector === undefined) throw badRequest('Selector error: expected a JSON object');
    selector = parseSelector(body.selector);
  } catch (error) {
    throw error instanceof CouchError ? badRequest(error.message) : error;
  }
  const fields = Array.isArray(body.fields) ? { fields: body.fields.map(String) } : {};
  return {
    ...EVERYTHING,
    ...fields,
    needsDocuments: true,
    select: (_, documents) => documents.map((document) => matches(selector, document)),
  };
}

async function viewFilter(exchange: Exchange, database: Database): Promise<Filter> {
  const path = exchange.query.get('view');
  if (path === null) throw badRequest('`view` filter parameter is not provided.');
  const [design, view] = path.split('/');
  if (!design || !view) throw badRequest('`view` must be of the form `designname/viewname`');
  const { map } = (await database.designDocuments.get(`_design/${design}`)).view(view);
  const documents = await database.designDocuments.get(`_design/${design}`);
  const key = `map ${view}`;
  const sandbox = documents.sandboxWith(key, String(map));
  return {
    ...EVERYTHING,
    needsDocuments: true,
    select: (_, changed) => sandbox.map(key, changed).map((emitted) => emitted.length > 0),
  };
}

async function functionFilter(exchange: Exchange, database: Database, path: string): Promise<Filter> {
  const [designName, filterName] = path.split('/');
  if (!designName || !filterName) throw badRequest('`filter` must be of the form `designname/filtername`');
  const design = await database.designDocuments.get(`_design/${designName}`);
  const filters = (design.document.filters ?? {}) as Record<string, unknown>;
  const source = Object.hasOwn(filters, filterName) ? filters[filterName] : undefined;
  if (typeof source !== 'string') throw notFound(`missing json key: ${filterName}`);
  const key = `filter ${filterName}`;
  const sandbox = design.sandboxWith(key, source);
  const { name, roles } = exchange.user;
  const request = {
    method: exchange.method,
    query: Object.fromEntries(exchange.query),
    path: exchange.path,
    userCtx: { db: database.record.name, name, roles },
  };
  return {
    ...EVERYTHING,
    needsDocuments: true,
    select: (_, documents) => sandbox.filter(key, documents, request),
  };
}
