import { compareIds, compareKeys } from './collation.ts';
import { notFound } from './couch-error.ts';
import type { Database } from './database.ts';
import type { Exchange } from './exchange.ts';
import { type ViewArguments, viewArguments } from './view-arguments.ts';
import { checkArguments, range } from './view-query.ts';
import { manyQueries, readForRow } from './views.ts';

/** `/db/_all_docs` and `/db/_design_docs`, and their `/queries`. */
export async function handleAllDocs(
  exchange: Exchange,
  database: Database,
  path: string[],
  onlyDesign: boolean,
): Promise<void> {
  exchange.allow('GET,HEAD,POST');
  const ids = onlyDesign ? database.designDocuments.ids : database.catalog.liveIds;
  const body = exchange.method === 'POST' ? await exchange.objectBody() : {};
  if (path.length === 0) {
    return exchange.json(200, await queryIds(database, ids, viewArguments(exchange.query, body)));
  }
  if (path[0] !== 'queries') throw notFound();
  const results = await manyQueries(exchange, body, async (args) => {
    const answer = await queryIds(database, ids, args);
    // Here, unlike for a single query, CouchDB gives keys an offset too.
    return { ...answer, offset: answer.offset ?? range(ids.length, compareAt(ids), first(args)).from };
  });
  exchange.json(200, { results });
}

async function queryIds(database: Database, ids: readonly string[], args: ViewArguments) {
  checkArguments(args, false);
  const { keys, offset } = args.keys ? { keys: args.keys, offset: null } : select(ids, args);
  const rows = [];
  for (const key of keys.slice(args.skip, args.skip + args.limit)) {
    const entry = typeof key === 'string' ? database.catalog.get(key) : undefined;
    if (!entry) {
      rows.push({ key, error: 'not_found' });
      continue;
    }
    const { id, rev, deleted } = entry;
    const doc = args.includeDocs ? { doc: deleted ? null : await readForRow(database, id, args) } : {};
    rows.push({ id, key: id, value: { rev, ...(deleted && { deleted }) }, ...doc });
  }
  return {
    total_rows: ids.length,
    offset: offset === null ? null : offset + args.skip,
    ...(args.updateSeq && { update_seq: database.sequence(database.catalog.seq) }),
    rows,
  };
}

function select(ids: readonly string[], args: ViewArguments): { keys: unknown[]; offset: number } {
  const { from, to } = range(ids.length, compareAt(ids), args);
  // Only what is asked for is copied: a page of a large database costs a page.
  const wanted = args.skip + args.limit;
  if (args.descending) {
    return { keys: ids.slice(Math.max(from, to - wanted), to).reverse(), offset: ids.length - to };
  }
  return { keys: ids.slice(from, Math.min(to, from + wanted)), offset: from };
}

function compareAt(ids: readonly string[]) {
  return (i: number, key: unknown) => (typeof key === 'string' ? compareIds(ids[i]!, key) : compareKeys(ids[i], key));
}

function first(args: ViewArguments): ViewArguments {
  return { ...args, startkey: args.keys?.[0] };
}
