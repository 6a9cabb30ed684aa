import { ApiError } from './api-error.ts';
import { bodyOf, bucketOf, type Exchange, organizationOf } from './exchange.ts';
import { LineProtocolError, LineProtocolReader, type Precision } from './line-protocol.ts';
import { StoreUnavailable } from './store.ts';

const PRECISIONS: ReadonlySet<string> = new Set(['ns', 'us', 'ms', 's']);

const reader = new LineProtocolReader();

/** `POST /api/v2/write`: 204 when every point is on disk. */
export async function write(exchange: Exchange): Promise<void> {
  const { store, query, response } = exchange;
  const precision = query.get('precision') || 'ns';
  if (!PRECISIONS.has(precision)) {
    throw new ApiError('invalid', 'invalid precision; valid precision units are ns, us, ms, and s');
  }
  const name = query.get('bucket') ?? '';
  if (name === '') throw new ApiError('not found', 'bucket not found');
  organizationOf(exchange);
  bucketOf(exchange, name);
  const text = (await bodyOf(exchange)).toString('utf8');
  const bucket = bucketOf(exchange, name); // it may have gone while the body came
  try {
    const { dropped, reason } = await store.write(bucket.id, reader.read(text, precision as Precision, now()));
    if (dropped > 0) {
      const message = `failure writing points to database: partial write: ${reason} dropped=${dropped}`;
      throw new ApiError('unprocessable entity', message);
    }
  } catch (error) {
    if (error instanceof LineProtocolError) throw new ApiError('invalid', error.message);
    if (error instanceof StoreUnavailable)
      throw new ApiError('unavailable', `points can't be stored: ${error.message}`);
    throw error;
  }
  response.writeHead(204).end();
}

/** ns since 1970; the clock's own steps are µs or so. */
function now(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1_000)) * 1_000n;
}
