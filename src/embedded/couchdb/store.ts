import { CouchError } from './couch-error.ts';
import type { Database, WriteResult } from './database.ts';
import { checkDesignDocument } from './design-documents.ts';
import type { Document } from './document.ts';
import type { Exchange } from './exchange.ts';
import { requireAdmin } from './security.ts';

/**
 * Stores documents for somebody: design documents only for admins and only if they can work, others only if the
 * database's `validate_doc_update` functions agree. Results are in the order of the documents.
 * @throws CouchError 400, 401, 403 for a design document
 */
export async function store(
  exchange: Exchange,
  database: Database,
  documents: Document[],
  { newEdits = true } = {},
): Promise<WriteResult[]> {
  const results: Array<WriteResult | undefined> = [];
  const accepted: Document[] = [];
  for (const [i, document] of documents.entries()) {
    if (document._id?.startsWith('_local/')) {
      results[i] = { ok: true, ...(await database.writeLocal(document)) };
      continue;
    }
    if (document._id?.startsWith('_design/')) {
      requireAdmin(exchange, database);
      if (!document._deleted) checkDesignDocument(document);
    }
    await completeStubs(database, document);
    const refusal = await database.designDocuments.refusal(document, exchange.user);
    if (refusal) results[i] = { id: document._id, error: refusal.error, reason: refusal.message };
    else accepted.push(document);
  }
  const written = await database.write(accepted, { newEdits });
  if (documents.some((document) => document._id?.startsWith('_design/'))) database.designDocuments.forget();
  if (!newEdits)
    return [...results.filter((result) => result !== undefined && !('ok' in result)), ...written] as WriteResult[];
  return documents.map((_, i) => results[i] ?? written.shift()!);
}

/**
 * A stub stands for the attachment that the revision before has.
 * @throws CouchError 412 if it has none
 */
async function completeStubs(database: Database, document: Document): Promise<void> {
  const stubs = Object.entries(document._attachments ?? {}).filter(([, { stub }]) => stub);
  if (stubs.length === 0) return;
  const [, parent] = document._revisions?.ids ?? [];
  const rev = parent === undefined ? document._rev : `${document._revisions!.start - 1}-${parent}`;
  const before = rev ? await database.read(document._id, { rev }).catch(() => undefined) : undefined;
  for (const [name] of stubs) {
    const stored = before?._attachments?.[name];
    if (!stored) {
      const reason = `Invalid attachment stub in ${document._id} for ${name}`;
      throw new CouchError(412, 'missing_stub', reason);
    }
    document._attachments![name] = stored;
  }
}

/** Stores one document. @throws CouchError */
export async function storeOne(
  exchange: Exchange,
  database: Database,
  document: Document,
  options?: { newEdits: boolean },
): Promise<{ id: string; rev: string }> {
  const [result] = await store(exchange, database, [document], options);
  if (!result) return { id: document._id, rev: document._rev ?? '' };
  if ('ok' in result) return { id: result.id, rev: result.rev };
  throw new CouchError(STATUS[result.error] ?? 500, result.error, result.reason);
}

const STATUS: Record<string, number> = {
  bad_request: 400,
  conflict: 409,
  forbidden: 403,
  missing_stub: 412,
  not_found: 404,
  unauthorized: 401,
};
