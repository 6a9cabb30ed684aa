import { lowerBound } from './catalog.ts';
import { compareIds, compareKeys } from './collation.ts';
import { badRequest, CouchError, notFound } from './couch-error.ts';
import type { Database } from './database.ts';
import { present } from './documents.ts';
import { decodeProperties, encodeProperties, written } from './erlang-term.ts';
import type { Exchange } from './exchange.ts';
import { choosePlan, indexableFields, type Plan, type Sort } from './find-plan.ts';
import { indexDefinition, listIndexes, type MangoIndex, missingKey, parseSort, withIndex } from './mango-index.ts';
import { requireAdmin } from './security.ts';
import { matches, parseSelector, pick, type Selector } from './selector.ts';
import { storeOne } from './store.ts';

/** Mango over HTTP: `_find`, `_explain`, `_index`. */

interface Query {
  readonly json: unknown;
  readonly selector: Selector;
  readonly limit: number;
  readonly skip: number;
  readonly sort: Sort;
  readonly fields: string[] | undefined;
  readonly conflicts: boolean;
  readonly useIndex: string[];
  readonly bookmark: Map<string, unknown> | undefined;
  readonly stats: boolean;
}

const DEFAULT_LIMIT = 25;
const BATCH = 50;
const NO_INDEX = 'No matching index found, create an index to optimize query time.';

/** `POST /db/_find` */
export async function find(exchange: Exchange, database: Database): Promise<void> {
  exchange.allow('POST');
  const query = parseQuery(await exchange.objectBody());
  const plan = await planOf(database, query);
  const rows = await rowsOf(database, plan);
  const { from, to } = bounds(rows, plan, query.bookmark);
  let examinedKeys = 0;
  let examinedDocuments = 0;
  let toSkip = query.bookmark ? 0 : query.skip;
  const docs: unknown[] = [];
  let last: { id: string; key: unknown } | undefined;
  // The first page is as long as what is asked for: with a fitting index it is all that has to be read.
  let size = Math.min(BATCH, query.limit + toSkip);
  for (let at = from; at < to && docs.length < query.limit; ) {
    const places = Array.from({ length: Math.min(size, to - at) }, (_, i) =>
      plan.descending ? to - 1 - (at - from) - i : at + i,
    );
    const page = places.map((place) => rows.at(place));
    at += page.length;
    size = Math.min(BATCH, 2 * size);
    const entries = page.flatMap(({ id }) => database.catalog.get(id) ?? []).filter((entry) => !entry.deleted);
    const documents = new Map((await database.readEntries(entries)).map((document) => [document._id, document]));
    for (const row of page) {
      if (docs.length >= query.limit) break;
      examinedKeys += 1;
      const document = documents.get(row.id);
      if (!document) continue;
      examinedDocuments += 1;
      if (!matches(query.selector, document)) continue;
      if (toSkip > 0) {
        toSkip -= 1;
        continue;
      }
      last = row;
      const shown = query.conflicts ? await database.read(row.id, { conflicts: true }) : document;
      docs.push(query.fields ? pick(shown, query.fields) : present(shown));
    }
  }
  const warnings = plan.index.type === 'special' ? [NO_INDEX] : [];
  const unused = unusedIndex(query, plan.index);
  if (unused) warnings.unshift(unused);
  exchange.json(200, {
    docs,
    bookmark: last
      ? encodeProperties([
          ['startkey_docid', last.id],
          ['startkey', last.key],
        ])
      : 'nil',
    ...(query.stats && {
      execution_stats: {
        total_keys_examined: examinedKeys,
        total_docs_examined: examinedDocuments,
        total_quorum_docs_examined: 0,
        results_returned: docs.length,
        execution_time_ms: 0,
      },
    }),
    ...(warnings.length > 0 && { warning: warnings.join('\n') }),
  });
}

/** `POST /db/_explain` */
export async function explain(exchange: Exchange, database: Database): Promise<void> {
  exchange.allow('POST');
  const query = parseQuery(await exchange.objectBody());
  const { index, low, high, descending } = await planOf(database, query);
  const { limit, skip, fields = [], useIndex } = query;
  const { indexable, unindexable } = indexableFields(query.selector);
  const isSpecial = index.type === 'special';
  exchange.json(200, {
    dbname: database.record.name,
    index,
    partitioned: false,
    selector: query.json,
    opts: {
      use_index: useIndex,
      bookmark: 'nil',
      limit,
      skip,
      sort: Object.fromEntries(query.sort),
      fields,
      partition: '',
      r: 1,
      conflicts: query.conflicts,
      stale: false,
      update: true,
      stable: false,
      execution_stats: query.stats,
      allow_fallback: true,
    },
    limit,
    skip,
    fields,
    index_candidates: [],
    selector_hints: [{ type: 'json', indexable_fields: indexable, unindexable_fields: unindexable }],
    mrargs: {
      include_docs: true,
      view_type: 'map',
      reduce: false,
      partition: null,
      start_key: isSpecial ? (low[0] ?? null) : low,
      end_key: isSpecial ? (high[0] ?? '<MAX>') : [...high, '<MAX>'],
      direction: descending ? 'rev' : 'fwd',
      stable: false,
      update: true,
      conflicts: 'undefined',
    },
    covering: false,
  });
}

/** `/db/_index` and below. */
export async function handleIndexes(exchange: Exchange, database: Database, path: string[]): Promise<void> {
  if (path.length === 0) {
    exchange.allow('GET,POST');
    if (exchange.method === 'POST') return await createIndex(exchange, database);
    const indexes = await listIndexes(database);
    return exchange.json(200, { total_rows: indexes.length, indexes });
  }
  requireAdmin(exchange, database);
  if (path[0] === '_bulk_delete') {
    exchange.allow('POST');
    return await deleteIndexes(exchange, database);
  }
  exchange.allow('DELETE');
  const [ddoc, type, name] = path[0] === '_design' ? path.slice(1) : path;
  if (!ddoc || type !== 'json' || !name) throw notFound();
  const id = ddoc.startsWith('_design/') ? ddoc : `_design/${ddoc}`;
  const entry = database.catalog.get(id);
  if (!entry || entry.deleted) throw notFound();
  const document = await database.read(id);
  const views = { ...(document.views as Record<string, unknown> | undefined) };
  if (document.language !== 'query' || !Object.hasOwn(views, name)) throw notFound();
  delete views[name];
  const isEmpty = Object.keys(views).length === 0;
  await storeOne(exchange, database, isEmpty ? { _id: id, _rev: entry.rev, _deleted: true } : { ...document, views });
  exchange.json(200, { ok: true });
}

async function createIndex(exchange: Exchange, database: Database): Promise<void> {
  requireAdmin(exchange, database);
  const { ddoc: id, name, view } = indexDefinition(await exchange.objectBody());
  const entry = database.catalog.get(id);
  const existing = entry && !entry.deleted ? await database.read(id) : undefined;
  const known = (existing?.views as Record<string, unknown> | undefined)?.[name];
  if (JSON.stringify(known) === JSON.stringify(view)) return exchange.json(200, { result: 'exists', id, name });
  await storeOne(exchange, database, withIndex(existing, id, name, view));
  exchange.json(200, { result: 'created', id, name });
}

async function deleteIndexes(exchange: Exchange, database: Database): Promise<void> {
  const { docids } = await exchange.objectBody();
  if (!Array.isArray(docids)) throw badRequest('`docids` must be a list of design document ids');
  const success: unknown[] = [];
  const fail: unknown[] = [];
  for (const docid of docids.map(String)) {
    const id = docid.startsWith('_design/') ? docid : `_design/${docid}`;
    const entry = database.catalog.get(id);
    if (!entry || entry.deleted) {
      fail.push({ id, error: 'not_found' });
      continue;
    }
    await storeOne(exchange, database, { _id: id, _rev: entry.rev, _deleted: true });
    success.push({ id, ok: true });
  }
  exchange.json(200, { success, fail });
}

async function planOf(database: Database, { selector, sort, useIndex }: Query): Promise<Plan> {
  const preferred = useIndex.length > 0 ? (index: MangoIndex) => isNamed(index, useIndex) : undefined;
  return choosePlan(selector, sort, await listIndexes(database), preferred);
}

function isNamed({ ddoc, name }: MangoIndex, [wanted = '', wantedName]: string[]): boolean {
  return ddoc === designId(wanted) && (wantedName === undefined || name === wantedName);
}

function unusedIndex({ useIndex }: Query, used: MangoIndex): string | undefined {
  if (useIndex.length === 0 || isNamed(used, useIndex)) return undefined;
  const shown = [designId(useIndex[0]!), ...useIndex.slice(1)].join(', ');
  return `${shown} was not used because it does not contain a valid index for this query.`;
}

function designId(name: string): string {
  return name.startsWith('_design/') ? name : `_design/${name}`;
}

/** The rows of an index, up to date; a snapshot, since a query waits while it reads documents. */
interface Rows {
  readonly length: number;
  at(place: number): { id: string; key: unknown };
}

async function rowsOf(database: Database, { index }: Plan): Promise<Rows> {
  if (index.ddoc === null) {
    const ids = database.catalog.liveIds.filter((id) => !id.startsWith('_design/'));
    return { length: ids.length, at: (place) => ({ id: ids[place]!, key: ids[place] }) };
  }
  const view = (await database.designDocuments.get(index.ddoc)).index(index.name);
  await view.update();
  const rows = view.rows.slice();
  return { length: rows.length, at: (place) => rows[place]! };
}

/** The places of the rows between the plan's bounds, and beyond the bookmark. */
function bounds(rows: Rows, plan: Plan, bookmark: Map<string, unknown> | undefined): { from: number; to: number } {
  const isSpecial = plan.index.type === 'special';
  const order = (place: number, wanted: unknown[]) => {
    const { key } = rows.at(place);
    const values = isSpecial ? [key] : (key as unknown[]);
    return compareKeys(values.slice(0, wanted.length), wanted);
  };
  let from = lowerBound(rows.length, (place) => order(place, plan.low));
  let to = lowerBound(rows.length, (place) => (order(place, plan.high) <= 0 ? -1 : 1));
  if (bookmark) {
    const [key, id] = [bookmark.get('startkey'), String(bookmark.get('startkey_docid'))];
    const beyond = (place: number) => {
      const row = rows.at(place);
      return isSpecial ? compareIds(row.id, id) : compareKeys(row.key, key) || compareIds(row.id, id);
    };
    if (plan.descending) to = Math.min(to, lowerBound(rows.length, beyond));
    else
      from = Math.max(
        from,
        lowerBound(rows.length, (place) => (beyond(place) <= 0 ? -1 : 1)),
      );
  }
  return { from, to: Math.max(from, to) };
}

const KEYS = new Set([
  'selector',
  'bookmark',
  'limit',
  'skip',
  'sort',
  'fields',
  'r',
  'conflicts',
  'stale',
  'update',
  'stable',
  'use_index',
  'execution_stats',
  'allow_fallback',
  'partition',
]);

/** @throws CouchError 400 */
function parseQuery(body: Record<string, unknown>): Query {
  for (const key of Object.keys(body)) {
    if (!KEYS.has(key)) throw new CouchError(400, 'invalid_key', `Invalid key ${key} for this request.`);
  }
  if (body.selector === undefined) throw missingKey('selector');
  return {
    json: body.selector,
    selector: parseSelector(body.selector),
    limit: nonNegative(body.limit, DEFAULT_LIMIT),
    skip: nonNegative(body.skip, 0),
    sort: parseSort(body.sort ?? []),
    fields: parseFields(body.fields),
    conflicts: body.conflicts === true,
    useIndex: body.use_index === undefined ? [] : [body.use_index].flat().map(String),
    bookmark: parseBookmark(body.bookmark),
    stats: body.execution_stats === true,
  };
}

function nonNegative(value: unknown, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new CouchError(
    400,
    'invalid_non_neg_integer',
    `${written(value)} is not an integer greater than or equal to zero`,
  );
}

function parseFields(fields: unknown): string[] | undefined {
  if (fields === undefined || fields === 'all_fields') return undefined;
  if (!Array.isArray(fields) || fields.some((field) => typeof field !== 'string')) {
    throw new CouchError(400, 'invalid_fields', `Fields must be an array of strings, not: ${written(fields)}`);
  }
  return fields.length > 0 ? fields : undefined;
}

function parseBookmark(bookmark: unknown): Map<string, unknown> | undefined {
  if (bookmark === undefined || bookmark === null || bookmark === 'nil' || bookmark === '') return undefined;
  try {
    return decodeProperties(bookmark as string);
  } catch {
    throw new CouchError(400, 'invalid_bookmark', `Invalid bookmark value: ${JSON.stringify(bookmark)}`);
  }
}
