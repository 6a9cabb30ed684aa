import { conflict, notFound } from './couch-error.ts';
import type { Database } from './database.ts';
import { checkAttachmentName, type Document } from './document.ts';
import { requestedRevision } from './documents.ts';
import type { Exchange } from './exchange.ts';
import { checkRevision } from './revision.ts';
import { storeOne } from './store.ts';

/** `/db/docid/name`, where the name may hold slashes. */
export async function handleAttachment(
  exchange: Exchange,
  database: Database,
  id: string,
  name: string,
): Promise<void> {
  exchange.allow('DELETE,GET,HEAD,PUT');
  if (exchange.method === 'PUT') return await putAttachment(exchange, database, id, name);
  if (exchange.method === 'DELETE') return await deleteAttachment(exchange, database, id, name);
  const rev = exchange.query.get('rev');
  const document = await database.read(id, rev === null ? {} : { rev: checkRevision(rev) });
  const attachment = found(document, name);
  const bytes = await database.attachment(id, name, document._rev!);
  const etag = attachment.digest?.replace(/^md5-/, '');
  exchange.bytesOf(attachment.content_type ?? 'application/octet-stream', bytes, etag);
}

async function putAttachment(exchange: Exchange, database: Database, id: string, name: string): Promise<void> {
  checkAttachmentName(name);
  const data = await exchange.bytes();
  const document = await edited(exchange, database, id);
  const content_type = exchange.header('content-type') || 'application/octet-stream';
  document._attachments = { ...document._attachments, [name]: { content_type, data } };
  const stored = await storeOne(exchange, database, document);
  exchange.json(201, { ok: true, ...stored }, { location: exchange.url(database.record.name, id, name) });
}

async function deleteAttachment(exchange: Exchange, database: Database, id: string, name: string): Promise<void> {
  const document = await edited(exchange, database, id);
  found(document, name);
  delete document._attachments?.[name];
  exchange.json(200, { ok: true, ...(await storeOne(exchange, database, document)) });
}

/** The document that an attachment is put to or deleted from: a new one, or the given revision. */
async function edited(exchange: Exchange, database: Database, id: string): Promise<Document> {
  const rev = requestedRevision(exchange);
  if (rev !== undefined) return await database.read(id, { rev });
  const entry = database.catalog.get(id);
  if (entry && !entry.deleted) throw conflict();
  return { _id: id };
}

function found(document: Document, name: string) {
  const attachment = document._attachments?.[name];
  if (!attachment) throw notFound('Document is missing attachment');
  return attachment;
}
