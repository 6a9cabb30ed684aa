import { ApiError, sendJson } from './api-error.ts';
import { bodyOf, checkId, type Exchange, jsonBodyOf, organizationOf } from './exchange.ts';
import type { Bucket, Organization } from './store.ts';

/** `/api/v2/buckets` and `/api/v2/orgs`. */

const WEEK_SECONDS = 7 * 24 * 3600;
const MAX_PAGE = 100;

/** `GET /api/v2/buckets?name=&id=&org=&orgID=&limit=&offset=`. */
export function listBuckets(exchange: Exchange): void {
  const { store, query, response } = exchange;
  const limit = pageParameter(query, 'limit', 20);
  const offset = pageParameter(query, 'offset', 0);
  if (limit < 1 || limit > MAX_PAGE) throw new ApiError('invalid', `limit must be between 1 and ${MAX_PAGE}`);
  const id = query.get('id');
  const name = query.get('name');
  let found = id ? [bucketById(exchange, id)] : store.buckets.sort((a, b) => (a.id < b.id ? -1 : 1));
  const hasOrganization = Boolean(query.get('org') || query.get('orgID'));
  if (!id && hasOrganization) organizationOf(exchange);
  if (!id && name) {
    found = found.filter((bucket) => bucket.name === name);
    if (found.length === 0 && hasOrganization) {
      throw new ApiError('not found', `bucket ${JSON.stringify(name)} not found`);
    }
  }
  const links = { self: `/api/v2/buckets?${query.toString()}` };
  sendJson(response, 200, { links, buckets: found.slice(offset, offset + limit).map(describeBucket) });
}

/** `POST /api/v2/buckets`. */
export async function createBucket(exchange: Exchange): Promise<void> {
  const { store, response } = exchange;
  const body = await jsonBodyOf(exchange, 'failed to unmarshal json');
  if (typeof body.orgID !== 'string') throw new ApiError('invalid', 'organization id must be provided');
  const retentionSeconds = retentionOf(body.retentionRules) ?? 0;
  if (checkId(body.orgID) !== store.organization?.id) throw new ApiError('not found', 'organization not found');
  const name = checkName(body.name);
  if (store.bucketByName(name)) throw new ApiError('conflict', `bucket with name ${name} already exists`);
  const description = typeof body.description === 'string' ? body.description : '';
  sendJson(response, 201, describeBucket(await store.createBucket({ name, description, retentionSeconds })));
}

/** `GET /api/v2/buckets/:id`. */
export function getBucket(exchange: Exchange, id: string): void {
  sendJson(exchange.response, 200, describeBucket(bucketById(exchange, id)));
}

/** `PATCH /api/v2/buckets/:id`: name, description, retention. */
export async function updateBucket(exchange: Exchange, id: string): Promise<void> {
  const { store, response } = exchange;
  checkId(id);
  const body = await jsonBodyOf(exchange, 'failed to unmarshal json');
  const bucket = bucketById(exchange, id);
  const name = body.name === undefined ? bucket.name : checkName(body.name);
  if (name !== bucket.name && store.bucketByName(name)) throw new ApiError('conflict', 'bucket name is not unique');
  const description = typeof body.description === 'string' ? body.description : bucket.description;
  const retentionSeconds = retentionOf(body.retentionRules) ?? bucket.retentionSeconds;
  const updated = await store.updateBucket({ ...bucket, name, description, retentionSeconds });
  sendJson(response, 200, describeBucket(updated));
}

/** `DELETE /api/v2/buckets/:id`, with all points of the bucket. */
export async function deleteBucket(exchange: Exchange, id: string): Promise<void> {
  await bodyOf(exchange);
  await exchange.store.deleteBucket(bucketById(exchange, id).id);
  exchange.response.writeHead(204).end();
}

/** `GET /api/v2/orgs?org=&orgID=`: the one organization that there is. */
export function listOrganizations(exchange: Exchange): void {
  const { store, query, response } = exchange;
  const isFiltered = Boolean(query.get('org') || query.get('orgID'));
  const organization = isFiltered ? organizationOf(exchange) : store.organization!;
  sendJson(response, 200, { links: { self: '/api/v2/orgs' }, orgs: [describeOrganization(organization)] });
}

/** `GET /api/v2/orgs/:id`. */
export function getOrganization({ store, response }: Exchange, id: string): void {
  if (checkId(id) !== store.organization!.id) throw new ApiError('not found', 'organization not found');
  sendJson(response, 200, describeOrganization(store.organization!));
}

function bucketById({ store }: Exchange, id: string): Bucket {
  const bucket = store.bucketById(checkId(id));
  if (!bucket) throw new ApiError('not found', 'bucket not found');
  return bucket;
}

function pageParameter(query: URLSearchParams, name: string, absent: number): number {
  const text = query.get(name);
  if (!text) return absent;
  if (!/^-?\d{1,9}$/.test(text)) throw new ApiError('invalid', `${name} is invalid`);
  return Number(text);
}

function checkName(name: unknown): string {
  if (typeof name !== 'string' || name === '') throw new ApiError('invalid', 'name is empty');
  if (name.startsWith('_')) {
    throw new ApiError('invalid', `bucket name ${name} is invalid. Buckets may not start with underscore`);
  }
  if (name.includes('"')) {
    throw new ApiError('invalid', `bucket name ${name} is invalid. Bucket names may not include quotation marks`);
  }
  return name;
}

/** Seconds, undefined if no rule is given. */
function retentionOf(rules: unknown): number | undefined {
  if (!Array.isArray(rules) || rules.length === 0) return undefined;
  if (rules.length > 1) {
    throw new ApiError('unprocessable entity', 'buckets cannot have more than one retention rule at this time');
  }
  const seconds = Number((rules[0] as { everySeconds?: unknown } | null)?.everySeconds ?? 0);
  if (seconds < 0) throw new ApiError('unprocessable entity', 'expiration seconds cannot be negative');
  if (!Number.isSafeInteger(seconds)) throw new ApiError('invalid', 'everySeconds must be a whole number of seconds');
  return seconds;
}

function describeBucket({ id, orgId, name, description, retentionSeconds, createdAt, updatedAt }: Bucket): object {
  const self = `/api/v2/buckets/${id}`;
  return {
    id,
    orgID: orgId,
    type: 'user',
    ...(description !== '' && { description }),
    name,
    retentionRules: [{ type: 'expire', everySeconds: retentionSeconds, shardGroupDurationSeconds: WEEK_SECONDS }],
    createdAt,
    updatedAt,
    links: {
      labels: `${self}/labels`,
      members: `${self}/members`,
      org: `/api/v2/orgs/${orgId}`,
      owners: `${self}/owners`,
      self,
      write: `/api/v2/write?org=${orgId}&bucket=${id}`,
    },
    labels: [],
  };
}

function describeOrganization({ id, name, createdAt }: Organization): object {
  const links = { self: `/api/v2/orgs/${id}`, buckets: `/api/v2/buckets?org=${encodeURIComponent(name)}` };
  return { links, id, name, description: '', createdAt, updatedAt: createdAt };
}
