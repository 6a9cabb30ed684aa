import { CouchError } from './couch-error.ts';
import type { Database, Security } from './database.ts';
import type { Exchange } from './exchange.ts';

/** The rights of a database: for admins only, until its security object opens it to everybody. */

/** @throws CouchError 401 */
export function requireServerAdmin(exchange: Exchange): void {
  if (!exchange.isAdmin) throw new CouchError(401, 'unauthorized', 'You are not a server admin.');
}

/** @throws CouchError 401 */
export function requireMember(exchange: Exchange, database: Database): void {
  if (exchange.isAdmin) return;
  const { members } = database.record.security ?? DEFAULT_SECURITY;
  if ((members?.names ?? []).length === 0 && (members?.roles ?? []).length === 0) return;
  throw new CouchError(401, 'unauthorized', 'You are not authorized to access this db.');
}

/** @throws CouchError 401 */
export function requireAdmin(exchange: Exchange, database: Database): void {
  requireMember(exchange, database);
  if (!exchange.isAdmin) throw new CouchError(401, 'unauthorized', 'You are not a db or server admin.');
}

export const DEFAULT_SECURITY: Security = { members: { roles: ['_admin'] }, admins: { roles: ['_admin'] } };

/** @throws CouchError 400 unless it is a security object */
export function checkSecurity(body: Record<string, unknown>): void {
  for (const group of ['admins', 'members']) {
    const { names = [], roles = [] } = (body[group] ?? {}) as Record<string, unknown>;
    for (const list of [names, roles]) {
      if (Array.isArray(body[group]) || !Array.isArray(list) || list.some((item) => typeof item !== 'string')) {
        throw new CouchError(400, 'bad_request', `\`${group}\` must hold lists of strings \`names\` and \`roles\``);
      }
    }
  }
}
