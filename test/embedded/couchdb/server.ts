import nano from 'nano';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { type Couchdb, startCouchdb } from '../../../src/embedded/couchdb/server.ts';
import { temporaryFolder } from '../../support/temporary.ts';

/** A running embedded CouchDB for one test, and the real client on it. */
export async function startForTest(dataDir?: string) {
  const folder = dataDir ?? (await temporaryFolder());
  const couchdb: Couchdb = await startCouchdb({
    port: 0,
    dataDir: folder,
    username: 'admin',
    password: 'pass',
    log: pino({ level: 'silent' }),
    setting: 'embeddedCouchdbPort',
  });
  let isOpen = true;
  const close = async () => {
    if (isOpen) await couchdb.close();
    isOpen = false;
  };
  onTestFinished(close);
  const authorization = `Basic ${Buffer.from('admin:pass').toString('base64')}`;
  return {
    folder,
    url: couchdb.url,
    close,
    client: nano(couchdb.url.replace('//', '//admin:pass@')),
    /** A request by hand. */
    async request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
      const response = await fetch(`${couchdb.url}${path}`, {
        method,
        headers: { authorization, 'content-type': 'application/json', ...headers },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, body: text && JSON.parse(text) };
    },
  };
}

/** What a call of nano that fails says. */
export async function failure(
  call: Promise<unknown>,
): Promise<{ statusCode?: number; error?: string; reason?: string }> {
  return await call.then(
    () => ({}),
    (error: { statusCode: number; error: string; reason: string }) => error,
  );
}
