import { badRequest, CouchError } from './couch-error.ts';
import type { Database } from './database.ts';
import { checkDocument, MAX_DOCUMENT_BYTES } from './document.ts';
import { openOrder, present } from './documents.ts';
import type { Exchange } from './exchange.ts';
import { checkRevision } from './revision.ts';
import { store } from './store.ts';

/** `POST /db/_bulk_docs` */
export async function bulkDocs(exchange: Exchange, database: Database): Promise<void> {
  const body = await exchange.objectBody();
  if (body.docs === undefined) throw badRequest('POST body must include `docs` parameter.');
  if (!Array.isArray(body.docs)) throw badRequest('`docs` parameter must be an array.');
  if (body.new_edits !== undefined && typeof body.new_edits !== 'boolean') {
    throw badRequest('`new_edits` parameter must be a boolean.');
  }
  const newEdits = body.new_edits ?? true;
  const documents = body.docs.map((document) => checkDocument(document));
  for (const document of documents) {
    if (!newEdits && !document._rev && !document._revisions) {
      throw badRequest('When `new_edits: false`, the document needs `_rev` or `_revisions` specified');
    }
    if (JSON.stringify(document).length > MAX_DOCUMENT_BYTES) {
      throw new CouchError(413, 'document_too_large', document._id);
    }
  }
  if (body.all_or_nothing === true) {
    const reason = 'all_or_nothing is not supported';
    const refused = documents.map(({ _id }) => ({ id: _id, rev: '0-', error: 'not_implemented', reason }));
    return exchange.json(417, refused);
  }
  exchange.json(201, await store(exchange, database, documents, { newEdits }));
}

/** `POST /db/_bulk_get`, with which replicators fetch. */
export async function bulkGet(exchange: Exchange, database: Database): Promise<void> {
  const { docs } = await exchange.objectBody();
  if (!Array.isArray(docs)) throw badRequest("Missing JSON list of 'docs'.");
  const options = { revs: exchange.flag('revs'), attachments: exchange.flag('attachments') };
  const results: Array<{ id: unknown; docs: Array<{ ok: unknown } | { error: unknown }> }> = [];
  for (const wanted of docs as Array<{ id?: unknown; rev?: unknown } | null>) {
    const { id = null, rev } = wanted ?? {};
    results.push({ id, docs: await revisions(database, id, rev, options) });
  }
  exchange.json(200, { results });
}

async function revisions(
  database: Database,
  id: unknown,
  rev: unknown,
  options: Record<string, unknown>,
): Promise<Array<{ ok: unknown } | { error: unknown }>> {
  const failure = (error: string, reason: string, shownRev: unknown = rev ?? 'undefined') => [
    { error: { id, rev: shownRev, error, reason } },
  ];
  if (typeof id !== 'string') return failure('bad_request', 'document id missed', null);
  try {
    if (rev !== undefined) {
      return [{ ok: present(await database.read(id, { ...options, rev: checkRevision(rev) })) }];
    }
    const leaves = await database.leaves(id, options);
    return openOrder(leaves).map((document) => ({ ok: present(document) }));
  } catch (error) {
    if (!(error instanceof CouchError)) throw error;
    return failure(error.error, error.message);
  }
}

/** `POST /db/_revs_diff` and `/db/_missing_revs` */
export async function missingRevisions(exchange: Exchange, database: Database, withAncestors: boolean): Promise<void> {
  const body = await exchange.objectBody();
  for (const revs of Object.values(body)) {
    if (!Array.isArray(revs)) throw badRequest('the revisions of each document must be a list');
    revs.forEach(checkRevision);
  }
  const missing = await database.missingRevisions(body as Record<string, string[]>);
  if (withAncestors) return exchange.json(200, missing);
  const lists = Object.entries(missing).map(([id, item]) => [id, item.missing]);
  exchange.json(200, { missing_revs: Object.fromEntries(lists) });
}
