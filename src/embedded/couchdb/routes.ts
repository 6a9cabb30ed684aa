import { handleAllDocs } from './all-docs.ts';
import { handleAttachment } from './attachments.ts';
import { bulkDocs, bulkGet, missingRevisions } from './bulk.ts';
import { handleChanges } from './changes.ts';
import { badRequest, CouchError, notFound } from './couch-error.ts';
import type { Database } from './database.ts';
import type { Databases } from './databases.ts';
import { handleDocument, postDocument } from './documents.ts';
import { type Exchange, hashEtag } from './exchange.ts';
import { explain, find, handleIndexes } from './find.ts';
import { checkObject } from './json.ts';
import { checkSecurity, DEFAULT_SECURITY, requireAdmin, requireMember, requireServerAdmin } from './security.ts';
import type { Sessions } from './session.ts';
import { newId } from './uuid.ts';
import { handleDesignFunction } from './views.ts';

export interface Server {
  readonly databases: Databases;
  readonly sessions: Sessions;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
}

const MAX_UUIDS = 1000;

/** Finds who answers a request. @throws CouchError */
export async function route(exchange: Exchange, server: Server): Promise<void> {
  server.sessions.authenticate(exchange);
  const [first, ...rest] = exchange.path;
  switch (first) {
    case undefined:
      exchange.allow('GET,HEAD');
      return exchange.json(200, {
        couchdb: 'Welcome',
        version: '3.5.0',
        uuid: server.databases.serverId,
        features: [],
        vendor: { name: 'fogwhisk' },
      });
    case '_up':
      exchange.allow('GET,HEAD');
      return exchange.json(200, { status: 'ok', seeds: {} });
    case '_session':
      return await server.sessions.handle(exchange);
    case '_uuids':
      exchange.allow('GET');
      return uuids(exchange);
    case '_all_dbs':
      exchange.allow('GET,HEAD');
      requireServerAdmin(exchange);
      return allDatabases(exchange, server.databases);
    case '_dbs_info':
      exchange.allow('GET,POST');
      requireServerAdmin(exchange);
      return await databasesInformation(exchange, server.databases);
    case '_active_tasks':
      exchange.allow('GET,HEAD');
      requireServerAdmin(exchange);
      return exchange.json(200, []);
    default:
      return await routeDatabase(exchange, server, first, rest);
  }
}

async function routeDatabase(exchange: Exchange, server: Server, name: string, path: string[]): Promise<void> {
  const { databases } = server;
  if (path.length === 0 && exchange.method === 'PUT') return await createDatabase(exchange, databases, name);
  const database = await databases.get(name);
  if (path.length === 0 && exchange.method === 'DELETE') {
    requireServerAdmin(exchange);
    if (exchange.query.has('rev')) {
      throw badRequest(
        'You tried to DELETE a database with a ?=rev parameter. Did you mean to DELETE a document instead?',
      );
    }
    await databases.delete(name);
    return exchange.json(200, { ok: true });
  }
  requireMember(exchange, database);
  if (path.length === 0) {
    exchange.allow('DELETE,GET,HEAD,POST');
    if (exchange.method === 'POST') return await postDocument(exchange, database);
    return exchange.json(200, information(database));
  }
  const [first = '', ...rest] = path;
  switch (first) {
    case '_all_docs':
    case '_design_docs':
      return await handleAllDocs(exchange, database, rest, first === '_design_docs');
    case '_bulk_docs':
      exchange.allow('POST');
      return await bulkDocs(exchange, database);
    case '_bulk_get':
      exchange.allow('POST');
      return await bulkGet(exchange, database);
    case '_changes':
      return await handleChanges(exchange, database, server.stopping);
    case '_find':
      return await find(exchange, database);
    case '_explain':
      return await explain(exchange, database);
    case '_index':
      return await handleIndexes(exchange, database, rest);
    case '_revs_diff':
    case '_missing_revs':
      exchange.allow('POST');
      return await missingRevisions(exchange, database, first === '_revs_diff');
    case '_security':
      return await security(exchange, databases, database);
    case '_revs_limit':
      return await revisionsLimit(exchange, databases, database);
    case '_ensure_full_commit':
      exchange.allow('POST');
      exchange.requireJsonType();
      // Every answer to a write is already after its fdatasync.
      return exchange.json(201, { ok: true, instance_start_time: String(database.record.createdAt) });
    case '_compact':
    case '_view_cleanup':
      return await maintain(exchange, database, first, rest);
    case '_purge':
    case '_sync_shards':
      exchange.allow('POST');
      throw new CouchError(501, 'not_implemented', `the embedded CouchDB has no ${first}`);
    case '_temp_view':
      throw new CouchError(410, 'gone', 'Temporary views are not supported in CouchDB');
    case '_design':
    case '_local':
      return await routeNamed(exchange, database, first, rest);
    default:
      return await routeDocument(exchange, database, first, rest);
  }
}

async function routeNamed(exchange: Exchange, database: Database, kind: string, path: string[]): Promise<void> {
  const [name, ...rest] = path;
  if (name === undefined) throw kind === '_local' ? badRequest('Invalid _local document id.') : notFound();
  await routeDocument(exchange, database, `${kind}/${name}`, rest);
}

async function routeDocument(exchange: Exchange, database: Database, id: string, rest: string[]): Promise<void> {
  if (id.startsWith('_') && !id.includes('/') && (exchange.method === 'GET' || exchange.method === 'HEAD')) {
    throw notFound();
  }
  if (rest.length === 0) return await handleDocument(exchange, database, id);
  if (id.startsWith('_design/') && rest[0]!.startsWith('_')) {
    return await handleDesignFunction(exchange, database, id, rest);
  }
  await handleAttachment(exchange, database, id, rest.join('/'));
}

async function createDatabase(exchange: Exchange, databases: Databases, name: string): Promise<void> {
  requireServerAdmin(exchange);
  for (const parameter of ['q', 'n']) {
    const value = exchange.query.get(parameter);
    if (value !== null && !/^0*[1-9]\d*$/.test(value)) {
      throw badRequest(`The \`${parameter}\` value should be a positive integer.`);
    }
  }
  if (exchange.flag('partitioned')) throw badRequest('the embedded CouchDB has no partitioned databases');
  await databases.create(name);
  exchange.json(201, { ok: true }, { location: exchange.url(name) });
}

function information({ record, catalog, sequence }: Database) {
  return {
    instance_start_time: String(record.createdAt),
    db_name: record.name,
    purge_seq: '0',
    update_seq: sequence.call({ record }, catalog.seq),
    sizes: {},
    props: {},
    doc_del_count: catalog.deletedCount,
    doc_count: catalog.liveIds.length,
    disk_format_version: 8,
    compact_running: false,
    cluster: { q: 1, n: 1, w: 1, r: 1 },
  };
}

function uuids(exchange: Exchange): void {
  const text = exchange.query.get('count') ?? '1';
  if (!/^\d+$/.test(text)) throw badRequest('count must be a positive integer');
  const count = Number(text);
  if (count > MAX_UUIDS) throw badRequest('count parameter too large');
  const made = Array.from({ length: count }, () => newId());
  exchange.json(200, { uuids: made }, { etag: hashEtag(made), 'cache-control': 'no-cache' });
}

function allDatabases(exchange: Exchange, { names }: Databases): void {
  const key = (name: string) => exchange.query.get(name)?.replaceAll('"', '');
  const [start, end] = [key('start_key') ?? key('startkey'), key('end_key') ?? key('endkey')];
  const inRange = names.filter((name) => (start === undefined || name >= start) && (end === undefined || name <= end));
  if (exchange.flag('descending')) inRange.reverse();
  const skip = Number(exchange.query.get('skip') ?? 0);
  const limit = Number(exchange.query.get('limit') ?? Number.POSITIVE_INFINITY);
  if (!(skip >= 0 && limit >= 0)) throw badRequest('`skip` and `limit` must be non-negative integers');
  exchange.json(200, inRange.slice(skip, skip + limit), { etag: hashEtag(names) });
}

async function databasesInformation(exchange: Exchange, databases: Databases): Promise<void> {
  const keys = exchange.method === 'POST' ? (await exchange.objectBody()).keys : databases.names;
  if (!Array.isArray(keys)) throw badRequest('`keys` member must exist.');
  const rows = [];
  for (const key of keys) {
    const isThere = databases.names.includes(String(key));
    rows.push(isThere ? { key, info: information(await databases.get(String(key))) } : { key, error: 'not_found' });
  }
  exchange.json(200, rows, exchange.method === 'GET' ? { etag: hashEtag(databases.names) } : {});
}

async function security(exchange: Exchange, databases: Databases, database: Database): Promise<void> {
  exchange.allow('PUT,GET');
  if (exchange.method === 'GET') return exchange.json(200, database.record.security ?? DEFAULT_SECURITY);
  requireAdmin(exchange, database);
  const body = checkObject(await exchange.body());
  checkSecurity(body);
  database.record.security = body;
  await databases.save(database.record);
  exchange.json(200, { ok: true });
}

async function revisionsLimit(exchange: Exchange, databases: Databases, database: Database): Promise<void> {
  exchange.allow('PUT,GET');
  if (exchange.method === 'GET') return exchange.json(200, database.record.revsLimit ?? 1000);
  requireAdmin(exchange, database);
  const limit = await exchange.body();
  if (!Number.isSafeInteger(limit) || (limit as number) < 1) throw badRequest('the limit must be a positive integer');
  database.record.revsLimit = limit as number;
  await databases.save(database.record);
  exchange.json(200, { ok: true });
}

async function maintain(exchange: Exchange, database: Database, task: string, path: string[]): Promise<void> {
  exchange.allow('POST');
  requireAdmin(exchange, database);
  exchange.requireJsonType();
  if (path[0] !== undefined) await database.designDocuments.get(`_design/${path[0]}`);
  // Views are in memory, so there is nothing of theirs to compact or clean up.
  else if (task === '_compact') await database.compact();
  exchange.json(202, { ok: true });
}
