import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { listen } from '../http.ts';
import { ApiError, sendError, sendJson } from './api-error.ts';
import * as buckets from './buckets-route.ts';
import { deletePoints } from './delete-route.ts';
import type { Exchange } from './exchange.ts';
import { query } from './query-route.ts';
import { Store } from './store.ts';
import { write } from './write-route.ts';

export interface InfluxdbOptions {
  /** Where it listens; default 127.0.0.1. */
  readonly host?: string;
  /** 0 = any free one. */
  readonly port: number;
  /** Folder of the database; made if needed. */
  readonly dataDir: string;
  /** The one token that may do everything. */
  readonly token: string;
  /** Name of the organization. */
  readonly org: string;
  /** Names of the buckets that are made if they aren't there. */
  readonly buckets: readonly string[];
  readonly log: Logger;
  /** The configuration key that names the port. */
  readonly setting: string;
}

export interface Influxdb {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly port: number;
  /** Lets running requests finish, brings all points into the database and closes it. */
  close(): Promise<void>;
}

type Route = (exchange: Exchange, id: string) => void | Promise<void>;

const ROUTES: Record<string, Record<string, Route>> = {
  '/api/v2/write': { POST: write },
  '/api/v2/query': { POST: query },
  '/api/v2/delete': { POST: deletePoints },
  '/api/v2/buckets': { GET: buckets.listBuckets, POST: buckets.createBucket },
  '/api/v2/buckets/:id': { GET: buckets.getBucket, PATCH: buckets.updateBucket, DELETE: buckets.deleteBucket },
  '/api/v2/orgs': { GET: buckets.listOrganizations },
  '/api/v2/orgs/:id': { GET: buckets.getOrganization },
};

/** What the embedded server says it is; clients look at the major number. */
const VERSION = 'v2.7.12-fogwhisk';

/**
 * Starts InfluxDB 2's HTTP API on loopback, over a store in `dataDir`.
 * @throws FogwhiskError `PORT_TAKEN` or `PORT_REFUSED`
 */
export async function startInfluxdb(options: InfluxdbOptions): Promise<Influxdb> {
  const { host, port, dataDir, token, org, setting, log } = options;
  const store = await Store.open({ dataDir, log });
  try {
    await store.setOrganization(org);
    for (const name of options.buckets) {
      if (!store.bucketByName(name)) await store.createBucket({ name, description: '', retentionSeconds: 0 });
    }
    const startedAt = Date.now();
    const expected = digest(token);
    const handle = async (request: IncomingMessage, response: ServerResponse) => {
      response.setHeader('x-influxdb-build', 'OSS');
      response.setHeader('x-influxdb-version', VERSION);
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
      if (answerPublicly(pathname, startedAt, response)) return;
      const exchange = { store, log, request, response, query: searchParams };
      try {
        if (!isAuthorized(request, expected)) throw new ApiError('unauthorized', 'unauthorized access');
        await route(exchange, pathname);
      } catch (error) {
        answerError(error, exchange);
      }
    };
    const listener = await listen(handle, { ...(host && { host }), port, setting });
    return {
      url: listener.url,
      port: listener.port,
      async close() {
        await listener.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

function answerPublicly(path: string, startedAt: number, response: ServerResponse): boolean {
  if (path === '/ping') {
    response.writeHead(204).end();
  } else if (path === '/health') {
    const message = 'ready for queries and writes';
    sendJson(response, 200, {
      name: 'influxdb',
      message,
      status: 'pass',
      checks: [],
      version: VERSION,
      commit: 'none',
    });
  } else if (path === '/ready') {
    const up = `${(Date.now() - startedAt) / 1_000}s`;
    sendJson(response, 200, { status: 'ready', started: new Date(startedAt).toISOString(), up });
  } else if (!path.startsWith('/api/v2')) {
    sendError(response, 404, 'not found', 'path not found');
  } else {
    return false;
  }
  return true;
}

/** `Authorization: Token …` or `Bearer …`. */
function isAuthorized({ headers: { authorization = '' } }: IncomingMessage, expected: Buffer): boolean {
  const token = /^(?:Token|Bearer) (.*)$/is.exec(authorization)?.[1];
  return token !== undefined && timingSafeEqual(digest(token), expected);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

async function route(exchange: Exchange, pathname: string): Promise<void> {
  const { request, response } = exchange;
  const path = pathname.replace(/\/$/, '');
  const [, parent, id] = /^(\/api\/v2\/[^/]+)\/([^/]+)$/.exec(path) ?? [];
  const methods = ROUTES[path] ?? ROUTES[`${parent}/:id`];
  if (!methods) throw new ApiError('not found', 'path not found');
  const answer = methods[request.method ?? ''];
  if (!answer) {
    const allow = ['OPTIONS', ...Object.keys(methods)].sort().join(', ');
    response.setHeader('allow', allow);
    throw new ApiError('method not allowed', `allow: ${allow}`);
  }
  await answer(exchange, id ?? '');
}

function answerError(error: unknown, { request, response, log }: Exchange): void {
  if (response.headersSent || response.destroyed) {
    log.debug({ err: error }, 'embedded InfluxDB: an answer was cut short');
    response.destroy();
  } else if (error instanceof ApiError) {
    sendError(response, error.status, error.code, error.message);
  } else {
    log.error({ err: error, method: request.method }, 'embedded InfluxDB: a request failed');
    sendError(response, 500, 'internal error', 'An internal error has occurred - check server logs');
  }
}
