import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { ApiError } from './api-error.ts';
import { bodyOf, type Exchange, organizationOf } from './exchange.ts';
import { type Dialect, FluxError, runFlux } from './flux/index.ts';
import { parseTime } from './flux/time.ts';

interface QueryRequest {
  readonly query: string;
  readonly dialect: Dialect;
  /** ns since 1970. */
  readonly now: bigint;
}

const ANNOTATIONS: ReadonlySet<unknown> = new Set(['group', 'datatype', 'default']);

/** `POST /api/v2/query`: runs Flux and answers annotated CSV. */
export async function query(exchange: Exchange): Promise<void> {
  const { store, request, response } = exchange;
  const { query, dialect, now } = await decode(exchange);
  const chunks = runFlux(store, query, { dialect, now });
  let first: IteratorResult<string>;
  try {
    first = await chunks.next();
  } catch (error) {
    if (!(error instanceof FluxError)) throw error;
    throw Object.assign(new ApiError('invalid', error.message), { status: error.status, code: error.code });
  }
  response.setHeader('content-type', 'text/csv; charset=utf-8');
  response.setHeader('vary', 'Accept-Encoding');
  const body = Readable.from(withFirst(first, chunks));
  if (/\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) {
    response.writeHead(200, { 'content-encoding': 'gzip' });
    await pipeline(body, createGzip(), response);
  } else {
    response.writeHead(200);
    await pipeline(body, response);
  }
}

async function* withFirst(first: IteratorResult<string>, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

async function decode(exchange: Exchange): Promise<QueryRequest> {
  try {
    const mediaType = (exchange.request.headers['content-type'] ?? 'application/json').split(';')[0]!.trim();
    const text = (await bodyOf(exchange)).toString('utf8');
    const body = mediaType === 'application/vnd.flux' ? { query: text } : parseBody(text);
    const decoded = checkRequest(body);
    organizationOf(exchange);
    return decoded;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code === 'request too large') throw error;
    throw new ApiError('invalid', `failed to decode request body: ${error.message}`);
  }
}

function parseBody(text: string): Record<string, unknown> {
  const hint =
    "failed parsing request body as JSON; if sending a raw Flux script, set 'Content-Type: application/vnd.flux' in your request headers";
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new ApiError('invalid', `${hint}: ${(error as Error).message}`);
  }
  if (typeof body !== 'object' || body === null) throw new ApiError('invalid', `${hint}: a JSON object is needed`);
  return body as Record<string, unknown>;
}

function checkRequest(body: Record<string, unknown>): QueryRequest {
  const { query, type, extern, now } = body;
  if (typeof query !== 'string' || query === '')
    throw new ApiError('invalid', 'request body requires either query or AST');
  if ((type || 'flux') !== 'flux') throw new ApiError('invalid', `unknown query type: ${String(type)}`);
  if (extern)
    throw new ApiError('invalid', 'extern is not supported by the embedded InfluxDB; put its options into the query');
  const dialect = checkDialect((body.dialect ?? {}) as Record<string, unknown>);
  const time = typeof now === 'string' ? parseTime(now) : BigInt(Date.now()) * 1_000_000n;
  if (time === undefined) throw new ApiError('invalid', `now is not an RFC 3339 time: ${String(now)}`);
  return { query, dialect, now: time };
}

function checkDialect(dialect: Record<string, unknown>): Dialect {
  const { header = true, delimiter, annotations, commentPrefix, dateTimeFormat } = dialect;
  const separator = delimiter || ',';
  if (typeof separator !== 'string' || Buffer.byteLength(separator) !== 1) {
    throw new ApiError('invalid', 'invalid dialect delimeter: must be length 1');
  }
  if (typeof commentPrefix === 'string' && commentPrefix.length > 1) {
    throw new ApiError('invalid', 'invalid dialect comment prefix: must be length 0 or 1');
  }
  const wanted: unknown[] = Array.isArray(annotations) ? annotations : [];
  for (const annotation of wanted) {
    if (!ANNOTATIONS.has(annotation)) {
      throw new ApiError('invalid', `unknown dialect annotation type: ${String(annotation)}`);
    }
  }
  const format = dateTimeFormat || 'RFC3339';
  if (format !== 'RFC3339' && format !== 'RFC3339Nano') {
    throw new ApiError('invalid', `unknown dialect date time format: ${String(format)}`);
  }
  return {
    header: header !== false,
    delimiter: separator,
    annotations: wanted as Dialect['annotations'],
    dateTimeFormat: format,
  };
}
