import { ApiError } from './api-error.ts';
import { parsePredicate } from './delete-predicate.ts';
import { bucketOf, checkId, type Exchange, isId, jsonBodyOf, organizationOf } from './exchange.ts';
import { parseTime } from './flux/time.ts';
import type { Bucket } from './store.ts';

/** `POST /api/v2/delete`: removes points by time and tags. */
export async function deletePoints(exchange: Exchange): Promise<void> {
  const body = await jsonBodyOf(exchange, 'error decoding json body');
  const start = timeOf(body.start, 'start', '2009-01-02T23:00:00Z');
  const stop = timeOf(body.stop, 'stop', '2009-01-01T23:00:00Z');
  const matches = predicateOf(body.predicate);
  organizationOf(exchange);
  await exchange.store.delete(bucketOfDelete(exchange).id, start, stop, matches);
  exchange.response.writeHead(204).end();
}

function timeOf(value: unknown, field: string, example: string): bigint {
  const isComplete = typeof value === 'string' && /T.*(Z|[+-]\d\d:\d\d)$/.test(value);
  const time = isComplete ? parseTime(value) : undefined;
  if (time === undefined) {
    const message = `invalid RFC3339Nano for field ${field}, please format your time with RFC3339Nano format`;
    throw new ApiError('invalid', `error decoding json body: ${message}, example: ${example}`);
  }
  return time;
}

function predicateOf(value: unknown): ReturnType<typeof parsePredicate> {
  try {
    return parsePredicate(typeof value === 'string' ? value : '');
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'invalid') throw error;
    throw new ApiError('invalid', `error decoding json body: ${error.message}`);
  }
}

/** Unlike a write, a delete takes what looks like an id for nothing else. */
function bucketOfDelete(exchange: Exchange): Bucket {
  const { query, store } = exchange;
  const bucket = query.get('bucket') ?? '';
  const id = query.get('bucketID') || (isId(bucket) ? bucket : '');
  if (id !== '') {
    const found = store.bucketById(checkId(id));
    if (!found) throw new ApiError('not found', 'bucket not found');
    return found;
  }
  if (bucket === '') throw new ApiError('invalid', 'Please provide either bucketID or bucket');
  return bucketOf(exchange, bucket);
}
