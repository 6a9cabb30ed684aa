import { randomUUID } from 'node:crypto';
import { badRequest, CouchError, conflict, methodNotAllowed, notFound } from './couch-error.ts';
import type { Database } from './database.ts';
import { checkDocument, checkId, type Document, MAX_DOCUMENT_BYTES } from './document.ts';
import { BASE_HEADERS, type Exchange, hashEtag } from './exchange.ts';
import { parseJson } from './json.ts';
import { checkRevision } from './revision.ts';
import { storeOne } from './store.ts';
import { newId } from './uuid.ts';

/** `/db/docid`, `/db/_design/name` and `/db/_local/name`. */
export async function handleDocument(exchange: Exchange, database: Database, id: string): Promise<void> {
  switch (exchange.method) {
    case 'GET':
    case 'HEAD':
      return await getDocument(exchange, database, id);
    case 'PUT':
      return await putDocument(exchange, database, id);
    case 'DELETE':
      return await deleteDocument(exchange, database, id);
    case 'COPY':
      return await copyDocument(exchange, database, id);
    case 'POST':
      // What a browser's form would be; CouchDB takes attachments so.
      throw badRequest('Referer header required.');
    default:
      throw methodNotAllowed('DELETE,GET,HEAD,POST,PUT,COPY');
  }
}

/** `POST /db` */
export async function postDocument(exchange: Exchange, database: Database): Promise<void> {
  exchange.requireJsonType();
  const document = checkDocument(await documentBody(exchange));
  document._id ??= newId();
  await answerStored(exchange, database, document);
}

async function putDocument(exchange: Exchange, database: Database, id: string): Promise<void> {
  checkId(id);
  const document = checkDocument(await documentBody(exchange), id);
  const rev = requestedRevision(exchange, document._rev);
  if (rev !== undefined) document._rev = rev;
  await answerStored(exchange, database, document, true);
}

async function documentBody(exchange: Exchange): Promise<unknown> {
  const bytes = await exchange.bytes();
  if (bytes.length > MAX_DOCUMENT_BYTES) throw new CouchError(413, 'document_too_large', '');
  return parseJson(bytes);
}

async function answerStored(exchange: Exchange, database: Database, document: Document, tag = false): Promise<void> {
  const newEdits = exchange.query.get('new_edits') !== 'false';
  const { id, rev } = await storeOne(exchange, database, document, { newEdits });
  if (exchange.query.get('batch') === 'ok') return exchange.json(202, { ok: true, id });
  const etag = id.startsWith('_local/') ? hashEtag(document) : rev;
  const location = exchange.url(database.record.name, id);
  exchange.json(201, { ok: true, id, rev }, { location, ...(tag && { etag }) });
}

async function deleteDocument(exchange: Exchange, database: Database, id: string): Promise<void> {
  checkId(id);
  const rev = requestedRevision(exchange);
  if (!id.startsWith('_local/')) {
    const entry = database.catalog.get(id);
    if (!entry || entry.deleted) throw notFound(entry ? 'deleted' : 'missing');
    if (rev === undefined) throw conflict();
  }
  const deleted = await storeOne(exchange, database, { _id: id, _deleted: true, ...(rev && { _rev: rev }) });
  exchange.json(200, { ok: true, ...deleted }, { etag: deleted.rev });
}

async function copyDocument(exchange: Exchange, database: Database, id: string): Promise<void> {
  const destination = exchange.header('destination');
  if (!destination) throw badRequest('Destination header is mandatory for COPY.');
  const [target = '', query] = destination.split('?');
  const targetRev = new URLSearchParams(query).get('rev');
  const { _rev, ...fields } = await readRevision(exchange, database, id, { attachments: true });
  const copy: Document = { ...fields, _id: decodeURIComponent(target) };
  if (targetRev) copy._rev = checkRevision(targetRev);
  await answerStored(exchange, database, copy, true);
}

/** The revision that the body, the query string and `If-Match` agree on. @throws CouchError 400 */
export function requestedRevision(exchange: Exchange, inBody?: string): string | undefined {
  const inQuery = exchange.query.get('rev');
  if (inQuery !== null) checkRevision(inQuery);
  const matched = exchange.header('if-match').replaceAll('"', '') || undefined;
  if (inBody && inQuery && inBody !== inQuery) {
    throw badRequest('Document rev from request body and query string have different values');
  }
  const rev = inBody ?? inQuery ?? undefined;
  if (rev && matched && rev !== matched) throw badRequest('Document rev and etag have different values');
  return rev ?? (matched === undefined ? undefined : checkRevision(matched));
}

async function getDocument(exchange: Exchange, database: Database, id: string): Promise<void> {
  if (id.startsWith('_local/')) {
    const document = await database.readLocal(id);
    return exchange.json(200, present(document), { etag: hashEtag(document) });
  }
  checkId(id);
  const openRevisions = exchange.query.get('open_revs');
  if (openRevisions !== null) return await getOpenRevisions(exchange, database, id, openRevisions);

  const document = await readRevision(exchange, database, id, { attachments: exchange.flag('attachments') });
  const revision = document._rev!;
  const meta: Record<string, unknown> = {};
  const all = exchange.flag('meta');
  if (exchange.flag('local_seq')) meta._local_seq = database.catalog.get(id)?.seq;
  if ((all || exchange.flag('revs_info')) && !document._deleted) {
    const { _revs_info } = await database.read(id, { rev: revision, revs_info: true });
    meta._revs_info = _revs_info;
  }
  if (all || exchange.flag('conflicts') || exchange.flag('deleted_conflicts')) {
    const others = (await database.leaves(id)).filter(({ _rev }) => _rev !== revision);
    const conflicts = others.filter(({ _deleted }) => !_deleted).map(({ _rev }) => _rev);
    const deletedConflicts = others.filter(({ _deleted }) => _deleted).map(({ _rev }) => _rev);
    if ((all || exchange.flag('conflicts')) && conflicts.length > 0) meta._conflicts = conflicts;
    if ((all || exchange.flag('deleted_conflicts')) && deletedConflicts.length > 0) {
      meta._deleted_conflicts = deletedConflicts;
    }
  }
  // What depends on more than the revision has no etag.
  const etag = Object.keys(meta).length === 0 ? revision : undefined;
  exchange.json(200, { ...present(document), ...meta }, { etag });
}

/** Reads what `rev`, `latest` and `revs` ask for. */
async function readRevision(
  exchange: Exchange,
  database: Database,
  id: string,
  options: { attachments: boolean },
): Promise<Document> {
  const wanted = exchange.query.get('rev');
  const revs = exchange.flag('revs');
  if (wanted === null) return await database.read(id, { ...options, revs });
  checkRevision(wanted);
  if (exchange.flag('latest')) {
    const leaves = await database.leaves(id, { revs: true });
    const hash = wanted.slice(wanted.indexOf('-') + 1);
    const winner = leaves[0];
    const descendant = leaves.find(({ _deleted, _revisions }) => !_deleted && _revisions!.ids.includes(hash));
    // CouchDB answers with the winner even for another branch's leaf.
    return await database.read(id, { ...options, revs, rev: (winner ?? descendant)?._rev ?? wanted });
  }
  return await database.read(id, { ...options, revs, rev: wanted });
}

async function getOpenRevisions(exchange: Exchange, database: Database, id: string, wanted: string): Promise<void> {
  const options = { revs: exchange.flag('revs'), attachments: exchange.flag('attachments') };
  let found: Array<{ ok: Record<string, unknown> } | { missing: string }>;
  if (wanted === 'all') {
    const leaves = await database.leaves(id, options);
    found = openOrder(leaves).map((document) => ({ ok: present(document) }));
  } else {
    const revisions = parseJson(wanted);
    if (!Array.isArray(revisions)) throw badRequest('`open_revs` must be `all` or a list of revisions');
    found = await Promise.all(
      revisions.map(checkRevision).map(async (rev) => {
        const document = await database.read(id, { ...options, rev }).catch(() => undefined);
        return document ? { ok: present(document) } : { missing: rev };
      }),
    );
  }
  if (exchange.accepts('application/json')) return exchange.json(200, found);
  multipart(
    exchange,
    found.map((item) => ('ok' in item ? { json: item.ok } : { json: item, error: true })),
  );
}

/** Answers with JSON documents as the parts of a `multipart/mixed` body. */
function multipart(exchange: Exchange, parts: Array<{ json: unknown; error?: boolean }>): void {
  const boundary = randomUUID().replaceAll('-', '');
  let text = '';
  for (const { json, error } of parts) {
    const type = `Content-Type: application/json${error ? '; error="true"' : ''}`;
    text += `--${boundary}\r\n${type}\r\n\r\n${JSON.stringify(json)}\r\n`;
  }
  exchange.response.writeHead(200, { ...BASE_HEADERS, 'content-type': `multipart/mixed; boundary="${boundary}"` });
  exchange.response.end(`${text}--${boundary}--`);
}

/** Leaves as CouchDB lists them: in the order of their tree, deleted ones last. */
export function openOrder(leaves: Document[]): Document[] {
  const live = leaves.filter(({ _deleted }) => !_deleted).reverse();
  return [...live, ...leaves.filter(({ _deleted }) => _deleted)];
}

/** The order of fields in CouchDB's answers: id, revision, the user's, the rest. */
export function present(document: Document): Record<string, unknown> {
  const { _id, _rev, _deleted, _attachments, _revisions, ...fields } = document;
  return {
    _id,
    _rev,
    ...(_deleted && { _deleted }),
    ...fields,
    ...(_attachments && { _attachments }),
    ...(_revisions && { _revisions }),
  };
}
