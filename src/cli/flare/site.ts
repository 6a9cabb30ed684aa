import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Config, loadConfig } from '../../config.ts';
import { type Credentials, loadCredentials } from '../../credentials.ts';
import { configFile } from '../config-file.ts';

export interface SiteAccess {
  readonly config: Config;
  readonly credentials: Credentials;
  readonly openwhisk: { readonly url: string; readonly auth: string };
}

/** The configured site's OpenWhisk; where it is embedded, as its last start wrote it into the data folder. */
export async function siteAccess(options: { config?: string }): Promise<SiteAccess> {
  const config = loadConfig(configFile(options.config), process.env);
  const credentials = await loadCredentials(config);
  const url = config.apiHost === 'embedded' ? await embeddedUrl(config) : config.apiHost;
  return { config, credentials, openwhisk: { url, auth: credentials.owAuth } };
}

async function embeddedUrl({ dataDir, embeddedOpenwhiskPort }: Config): Promise<string> {
  const props = await readFile(join(dataDir, 'wskprops'), 'utf8').catch(() => '');
  return /^APIHOST=(.+)$/m.exec(props)?.[1] ?? `http://127.0.0.1:${embeddedOpenwhiskPort}`;
}
