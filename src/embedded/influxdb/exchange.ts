import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { BodyTooLarge, readBody } from '../http.ts';
import { ApiError } from './api-error.ts';
import type { Bucket, Organization, Store } from './store.ts';

/** One request and what its route needs to answer it. */
export interface Exchange {
  readonly store: Store;
  readonly log: Logger;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
}

/** The largest body, packed and unpacked. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** Reads a body of at most 64 MiB, unpacked if it is gzip. @throws ApiError */
export async function bodyOf({ request }: Exchange): Promise<Buffer> {
  try {
    return await readBody(request, MAX_BODY_BYTES);
  } catch (error) {
    if (error instanceof BodyTooLarge) {
      throw new ApiError('request too large', 'unable to read data: points batch is too large');
    }
    throw new ApiError('invalid', `unable to read data: gzip: ${(error as Error).message}`);
  }
}

/** Reads a JSON object. @throws ApiError with `what` before the reason */
export async function jsonBodyOf(exchange: Exchange, what: string): Promise<Record<string, unknown>> {
  const text = (await bodyOf(exchange)).toString('utf8');
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new ApiError('invalid', `${what}: ${(error as Error).message}`);
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ApiError('invalid', `${what}: a JSON object is needed`);
  }
  return body as Record<string, unknown>;
}

/** Whether InfluxDB would take a text for an id, whoever it belongs to. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{16}$/i.test(text) && !/^0+$/.test(text);
}

/** @throws ApiError for what is not 16 hexadecimal digits */
export function checkId(text: string): string {
  if (Buffer.byteLength(text) !== 16) throw new ApiError('invalid', 'id must have a length of 16 bytes');
  if (!isId(text)) throw new ApiError('invalid', 'invalid ID');
  return text.toLowerCase();
}

/** The organization that `org` (name or id) or `orgID` names. @throws ApiError */
export function organizationOf({ store, query }: Exchange): Organization {
  const org = query.get('org') ?? '';
  const orgId = query.get('orgID') ?? '';
  if (orgId === '' && org === '') throw new ApiError('invalid', 'Please provide either orgID or org');
  const { organization } = store;
  if (orgId !== '' || isId(org)) {
    if (organization?.id === checkId(orgId || org)) return organization;
    throw new ApiError('not found', 'organization not found');
  }
  if (organization?.name === org) return organization;
  throw new ApiError('not found', `organization name ${JSON.stringify(org)} not found`);
}

/** The bucket of a name or an id; what looks like an id may be a name as well. @throws ApiError */
export function bucketOf({ store }: Exchange, nameOrId: string): Bucket {
  const bucket = (isId(nameOrId) && store.bucketById(nameOrId.toLowerCase())) || store.bucketByName(nameOrId);
  if (!bucket) throw new ApiError('not found', `bucket ${JSON.stringify(nameOrId)} not found`);
  return bucket;
}
