import { badRequest, CouchError } from './couch-error.ts';
import { checkRevision } from './revision.ts';

/** A document as CouchDB's users send and get it. */
export interface Document {
  _id: string;
  _rev?: string;
  _deleted?: boolean;
  _attachments?: Record<string, Attachment>;
  _revisions?: { start: number; ids: string[] };
  [field: string]: unknown;
}

export interface Attachment {
  content_type?: string;
  /** base64, or the bytes. */
  data?: unknown;
  stub?: boolean;
  digest?: string;
  length?: number;
  revpos?: number;
}

/** CouchDB's `max_document_size`. */
export const MAX_DOCUMENT_BYTES = 8_000_000;

/** Fields that an answer may carry and that are ignored when the document is sent back. */
const IGNORED = new Set(['_local_seq', '_conflicts', '_deleted_conflicts', '_revs_info']);
const KEPT = new Set(['_id', '_rev', '_deleted', '_attachments', '_revisions']);

/** @throws CouchError 400 `illegal_docid` */
export function checkId(id: unknown): string {
  if (typeof id !== 'string') throw illegalId('Document id must be a string');
  if (id === '') throw illegalId('Document id must not be empty');
  if (id === '_design/' || id === '_local/') throw illegalId(`Illegal document id \`${id}\``);
  if (id.startsWith('_') && !id.startsWith('_design/') && !id.startsWith('_local/')) {
    throw illegalId('Only reserved document ids may start with underscore.');
  }
  return id;
}

/**
 * Checks what somebody sent as a document and returns a copy of what is to be stored.
 * @param id is set as `_id`, whatever the body says
 * @throws CouchError 400
 */
export function checkDocument(body: unknown, id?: string): Document {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw badRequest('Document must be a JSON object');
  }
  const sent = body as Record<string, unknown>;
  if (id !== undefined || sent._id !== undefined) checkId(id ?? sent._id);
  if (sent._id !== undefined) checkId(sent._id);
  const document: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(sent)) {
    if (!field.startsWith('_') || KEPT.has(field)) document[field] = value;
    else if (!IGNORED.has(field)) throw badMember(field);
  }
  if (id !== undefined) document._id = id;
  if (document._rev !== undefined) checkRevision(document._rev);
  if (document._deleted !== undefined && typeof document._deleted !== 'boolean') throw badMember('_deleted');
  if (document._revisions !== undefined) checkRevisions(document._revisions);
  if (document._attachments !== undefined) checkAttachments(document._attachments);
  return document as Document;
}

function checkRevisions(revisions: unknown): void {
  const { start, ids } = (revisions ?? {}) as { start?: unknown; ids?: unknown };
  if (!Number.isInteger(start) || !Array.isArray(ids) || ids.some((hash) => typeof hash !== 'string')) {
    throw badMember('_revisions');
  }
}

function checkAttachments(attachments: unknown): void {
  if (typeof attachments !== 'object' || attachments === null || Array.isArray(attachments)) {
    throw badMember('_attachments');
  }
  for (const [name, attachment] of Object.entries(attachments as Record<string, Attachment>)) {
    checkAttachmentName(name);
    if (attachment?.stub === true) continue;
    const data = attachment?.data;
    if (typeof data !== 'string' || !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(data)) {
      throw badRequest(`Invalid attachment data for ${name}`);
    }
    attachment.content_type ??= 'application/octet-stream';
  }
}

/** @throws CouchError 400 */
export function checkAttachmentName(name: string): void {
  if (name.startsWith('_')) throw badRequest(`Attachment name '${name}' starts with prohibited character '_'`);
}

function illegalId(reason: string): CouchError {
  return new CouchError(400, 'illegal_docid', reason);
}

function badMember(field: string): CouchError {
  return new CouchError(400, 'doc_validation', `Bad special document member: ${field}`);
}
