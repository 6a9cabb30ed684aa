import { CouchdbDocuments } from '../adapters/couchdb/documents.ts';
import { subscriptionsDesign } from '../adapters/couchdb/subscriptions-design.ts';
import { type Config, loadConfig } from '../config.ts';
import { type Seal, siteSeals } from '../core/sealed.ts';
import { loadCredentials } from '../credentials.ts';
import { CenterError, type Documents, type StoredDocument } from '../ports/documents.ts';
import { configFile } from './config-file.ts';
import { ProviderProblem } from './provider-client.ts';

export interface Center {
  readonly documents: Documents;
  readonly seal: Seal;
  readonly signal: AbortSignal;
}

const DESIGNS = { topic_listeners: [subscriptionsDesign], parameters: [] };
const TIMEOUT_MS = 60_000;

/** Works on a database of the configured CouchDB, for a person. @throws ProviderProblem where it can't be used */
export async function withCenter<T>(
  options: { config?: string },
  database: keyof typeof DESIGNS,
  work: (center: Center) => Promise<T>,
): Promise<T> {
  const config = loadConfig(configFile(options.config), process.env);
  const { couchdbPassword: password, siteKey, tls } = await loadCredentials(config);
  const isOwnCouchdb = config.couchdbGateway === 'embedded';
  const url = couchdbUrl(config);
  const { secureContext } = tls;
  const access = { url, username: config.couchdbUsername, password, ...(secureContext && { secureContext }) };
  const documents = new CouchdbDocuments(access, database, DESIGNS[database]);
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    await documents.prepare(signal);
    return await work({ documents, seal: siteSeals(config.sharedKey, siteKey, { isOwnCouchdb }).writes, signal });
  } catch (error) {
    if (!(error instanceof CenterError)) throw error;
    throw new ProviderProblem(`${error.message}; it is asked at ${url}, as couchdbGateway says`);
  } finally {
    documents.close();
  }
}

function couchdbUrl({ couchdbGateway, embeddedCouchdbPort }: Config): string {
  return couchdbGateway === 'embedded' ? `http://127.0.0.1:${embeddedCouchdbPort}` : couchdbGateway;
}

/** All documents of a database, by their ids. */
export async function allDocuments({ documents, signal }: Center): Promise<StoredDocument[]> {
  const ids = [...(await documents.revisions(signal)).keys()].sort();
  return (await documents.read(ids, signal)).flatMap(({ document }) => (document ? [document] : []));
}
