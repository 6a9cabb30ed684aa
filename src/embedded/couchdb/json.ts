import { badRequest } from './couch-error.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Parses JSON as strictly as CouchDB: real UTF-8, and no number too large for a double. @throws CouchError 400 */
export function parseJson(input: string | Uint8Array): unknown {
  try {
    const text = typeof input === 'string' ? input : utf8.decode(input);
    const value: unknown = JSON.parse(text);
    // Only such text can make JSON.parse return Infinity, which would be stored as null.
    if (/[eE]\+?\d{3}|\d{300}/.test(text) && hasInfinity(value)) throw new RangeError('a number is too large');
    return value;
  } catch {
    throw badRequest('invalid UTF-8 JSON');
  }
}

function hasInfinity(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).some(hasInfinity);
  return typeof value === 'number' && !Number.isFinite(value);
}

/** @throws CouchError 400 */
export function checkObject(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw badRequest('Request body must be a JSON object');
}
