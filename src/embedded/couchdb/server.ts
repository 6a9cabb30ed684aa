import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { listen } from '../http.ts';
import { CouchError } from './couch-error.ts';
import { Databases } from './databases.ts';
import { Exchange } from './exchange.ts';
import { route } from './routes.ts';
import { Sessions } from './session.ts';

export interface CouchdbOptions {
  /** Where it listens; default 127.0.0.1. */
  readonly host?: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Everything is kept in its subfolder `couchdb`. */
  readonly dataDir: string;
  /** The one user, an administrator. */
  readonly username: string;
  readonly password: string;
  readonly log: Logger;
  /** The configuration key that names the port, for errors. */
  readonly setting: string;
}

export interface Couchdb {
  /** `http://127.0.0.1:<port>`, without credentials. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Starts the embedded CouchDB: CouchDB 3's HTTP API, as `nano` and replicators use it, on PouchDB's storage.
 * A write is answered after it is on disk.
 * @throws FogwhiskError `PORT_TAKEN` or `PORT_REFUSED`
 */
export async function startCouchdb(options: CouchdbOptions): Promise<Couchdb> {
  const { host, port, dataDir, username, password, log, setting } = options;
  const databases = await Databases.open(join(dataDir, 'couchdb'));
  const sessions = new Sessions(username, password, databases.secret);
  const stopping = new AbortController();
  const server = { databases, sessions, stopping: stopping.signal };
  const handler = async (request: IncomingMessage, response: ServerResponse) => {
    let exchange: Exchange | undefined;
    try {
      exchange = new Exchange(request, response);
      await route(exchange, server);
    } catch (error) {
      answerError(error, exchange, response, log);
    }
  };
  const listener = await listen(handler, { ...(host && { host }), port, setting }).catch(async (error: unknown) => {
    await databases.close();
    throw error;
  });
  return {
    url: listener.url,
    port: listener.port,
    async close() {
      stopping.abort();
      await listener.close();
      await databases.close();
    },
  };
}

function answerError(error: unknown, exchange: Exchange | undefined, response: ServerResponse, log: Logger): void {
  if (!(error instanceof CouchError)) log.error({ err: error }, 'couchdb: a request failed');
  // Nothing can be added to an answer that has begun but its end, and a cut says that it is not whole.
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const shown = error instanceof CouchError ? error : new CouchError(500, 'internal_error', 'see the log of the site');
  if (!exchange) {
    response.writeHead(shown.status, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify(shown.body)}\n`);
    return;
  }
  // A browser is sent to the login page of CouchDB's web interface.
  if (shown.status === 401 && exchange.accepts('text/html')) {
    const back = encodeURIComponent(exchange.request.url ?? '/');
    const location = `${exchange.url()}_utils/session.html?return=${back}&reason=${encodeURIComponent(shown.message)}`;
    exchange.json(302, shown.body, { location });
  } else {
    exchange.json(shown.status, shown.body, shown.headers);
  }
}
