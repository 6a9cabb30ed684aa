import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { startCouchdb } from '../../src/embedded/couchdb/server.ts';
import { temporaryFolder } from './temporary.ts';

/** An embedded CouchDB for one test: how to log in. */
export async function couchdb(): Promise<{ url: string; username: string; password: string }> {
  const login = { username: 'fogwhisk', password: 'state-secret' };
  const dataDir = await temporaryFolder();
  const log = pino({ level: 'silent' });
  const server = await startCouchdb({ port: 0, setting: 'test', dataDir, ...login, log });
  onTestFinished(() => server.close());
  return { url: server.url, ...login };
}

/** The documents of a database by their ids, as `_all_docs` has them. */
export async function documentsOf(
  { url, username, password }: { url: string; username: string; password: string },
  database: string,
): Promise<Array<Record<string, unknown>>> {
  const headers = { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
  const response = await fetch(`${url}/${database}/_all_docs?include_docs=true`, { headers });
  const { rows } = (await response.json()) as { rows: Array<{ doc: Record<string, unknown> }> };
  return rows.map(({ doc }) => doc);
}
