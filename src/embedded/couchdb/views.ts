import { badRequest, CouchError, methodNotAllowed, notFound } from './couch-error.ts';
import type { Database } from './database.ts';
import type { DesignDocument } from './design-documents.ts';
import type { Document } from './document.ts';
import { present } from './documents.ts';
import type { Exchange } from './exchange.ts';
import { checkObject } from './json.ts';
import { reduceGroups } from './reduce.ts';
import { type ViewArguments, viewArguments } from './view-arguments.ts';
import { checkArguments, checkRange, type MapAnswer, queryGroups, queryMap } from './view-query.ts';

/** `/db/_design/name/_view/view` (and `/queries`), `/db/_design/name/_info`. */
export async function handleDesignFunction(
  exchange: Exchange,
  database: Database,
  designId: string,
  path: string[],
): Promise<void> {
  const [handler, view, queries] = path;
  if (handler === '_info') {
    exchange.allow('GET');
    return exchange.json(200, information(await database.designDocuments.get(designId), designId));
  }
  if (handler !== undefined && NOT_OFFERED.has(handler)) {
    throw new CouchError(501, 'not_implemented', `the embedded CouchDB has no ${handler} functions`);
  }
  if (handler !== '_view') throw notFound('Document is missing attachment');
  if (view === undefined) throw methodNotAllowed('GET,POST,HEAD');
  exchange.allow('GET,POST,HEAD');
  const design = await database.designDocuments.get(designId);
  const body = exchange.method === 'POST' ? await exchange.objectBody() : {};
  if (queries === 'queries') {
    const answers = await manyQueries(exchange, body, (args) => queryView(database, design, view, args));
    return exchange.json(200, { results: answers });
  }
  if (body.queries !== undefined) {
    throw badRequest('The `queries` parameter is no longer supported at this endpoint');
  }
  exchange.json(200, await queryView(database, design, view, viewArguments(exchange.query, body)));
}

/** Deprecated in CouchDB 3, or programs of their own beside it. */
const NOT_OFFERED = new Set(['_show', '_list', '_update', '_rewrite', '_search', '_search_info', '_nouveau']);

/** Answers each of the `queries` of a body. @throws CouchError 400 */
export async function manyQueries<T>(
  exchange: Exchange,
  { queries }: Record<string, unknown>,
  answer: (args: ViewArguments) => Promise<T> | T,
): Promise<T[]> {
  if (!Array.isArray(queries)) throw badRequest('`queries` must be a list of queries');
  const answers: T[] = [];
  for (const query of queries) answers.push(await answer(viewArguments(exchange.query, checkObject(query))));
  return answers;
}

async function queryView(database: Database, design: DesignDocument, name: string, args: ViewArguments) {
  const { reduce } = design.view(name);
  const { reduces } = checkArguments(args, reduce !== undefined);
  checkRange(args);
  const index = design.index(name);
  if (args.update || index.seq === 0) await index.update();
  if (reduces && reduce !== undefined) {
    const key = `reduce ${name}`;
    const groups = queryGroups(index.rows, args);
    return { rows: reduceGroups(groups, reduce, () => design.sandboxWith(key, reduce), key) };
  }
  const { total_rows, offset, rows } = queryMap(index.rows, args);
  return {
    total_rows,
    offset,
    ...(args.updateSeq && { update_seq: database.sequence(index.seq) }),
    rows: args.includeDocs ? await withDocuments(database, rows, args) : rows,
  };
}

/** Adds to each row the document it came from, or the one that its value names by `_id` (and `_rev`). */
async function withDocuments(database: Database, rows: MapAnswer['rows'], args: ViewArguments) {
  return await Promise.all(
    rows.map(async (row) => {
      const { _id = row.id, _rev } = (row.value ?? {}) as { _id?: unknown; _rev?: unknown };
      const options = typeof _rev === 'string' ? { rev: _rev } : {};
      return { ...row, doc: await readForRow(database, String(_id), args, options) };
    }),
  );
}

/** The document of a row with `include_docs`, null if it is gone. */
export async function readForRow(
  database: Database,
  id: string,
  { conflicts, attachments }: Pick<ViewArguments, 'conflicts' | 'attachments'>,
  options: { rev?: string } = {},
): Promise<Record<string, unknown> | null> {
  try {
    const document: Document = await database.read(id, { ...options, conflicts, attachments });
    return present(document);
  } catch (error) {
    if (error instanceof CouchError && error.status === 404) return null;
    throw error;
  }
}

function information(design: DesignDocument, id: string) {
  return {
    name: id.slice('_design/'.length),
    view_index: {
      signature: design.signature,
      language: design.document.language ?? 'javascript',
      update_seq: design.updateSeq,
      updater_running: false,
      waiting_clients: 0,
      waiting_commit: false,
      compact_running: false,
      purge_seq: 0,
      updates_pending: { minimum: 0, preferred: 0, total: 0 },
    },
  };
}
