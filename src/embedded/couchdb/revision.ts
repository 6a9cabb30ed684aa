import { badRequest } from './couch-error.ts';

/** A revision is `<generation>-<hash>`; the hash of CouchDB's own is 32 hex digits, of others any word. */
const REVISION = /^(\d+)-([^-\s]+)$/;

/** @throws CouchError 400 */
export function checkRevision(revision: unknown): string {
  if (typeof revision !== 'string' || !REVISION.test(revision)) throw badRequest('Invalid rev format');
  return revision;
}

export function generation(revision: string): number {
  return Number.parseInt(revision, 10);
}

/** Highest first, as CouchDB orders the revisions of which it picks the winner. */
export function compareRevisionsDescending(a: string, b: string): number {
  const byGeneration = generation(b) - generation(a);
  return byGeneration || Buffer.compare(hashBytes(b), hashBytes(a));
}

function hashBytes(revision: string): Buffer {
  const hash = revision.slice(revision.indexOf('-') + 1);
  return /^[0-9a-f]{32}$/.test(hash) ? Buffer.from(hash, 'hex') : Buffer.from(hash, 'utf8');
}
