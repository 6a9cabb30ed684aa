import type { IncomingMessage } from 'node:http';
import { basicCredentials } from '../../http.ts';
import { ApiError } from '../api-error.ts';
import type { Identity } from '../entities/packages.ts';
import type { Platform } from './platform.ts';

/** Who asks, by the key in the request; undefined without a valid one. */
export function identityOf({ identities }: Platform, request: IncomingMessage): Identity | undefined {
  const credentials = basicCredentials(request);
  return credentials && identities.get(`${credentials.username}:${credentials.password}`);
}

/** @throws ApiError 401 */
export function authenticate(platform: Platform, request: IncomingMessage): Identity {
  const identity = identityOf(platform, request);
  if (identity) return identity;
  const [scheme, encoded = ''] = (request.headers.authorization ?? '').split(' ');
  const supplied = scheme?.toLowerCase() === 'basic' && /^[A-Za-z0-9+/]+={0,2}$/.test(encoded);
  const text = supplied
    ? 'The supplied authentication is invalid'
    : 'The resource requires authentication, which was not supplied with the request';
  const headers = { 'WWW-Authenticate': 'Basic realm="OpenWhisk secure realm",charset=UTF-8' };
  throw new ApiError(401, text, { routed: false, headers });
}

/**
 * A request's headers as an action gets them: lower case, of repeated ones the last, without what belongs to the connection.
 * OpenWhisk passes `authorization` on too; here no action ever sees its caller's key.
 */
export function headersForAction(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at]!.toLowerCase();
    if (!KEPT_BACK.has(name)) headers[name] = request.rawHeaders[at + 1]!;
  }
  return headers;
}

const KEPT_BACK = new Set([
  'authorization',
  'proxy-authorization',
  'connection',
  'content-length',
  'transfer-encoding',
  'expect',
]);
