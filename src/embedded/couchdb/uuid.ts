import { randomBytes } from 'node:crypto';

/**
 * A new id as CouchDB's algorithm `utc_random` makes it: 14 hex digits of microseconds since 1970, 18 at random. Ids
 * made one after the other are neighbours in the index.
 */
export function newId(): string {
  const microseconds = Math.floor((performance.timeOrigin + performance.now()) * 1_000);
  return microseconds.toString(16).padStart(14, '0') + randomBytes(9).toString('hex');
}
