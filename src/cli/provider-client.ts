import { loadConfig } from '../config.ts';
import { loadCredentials } from '../credentials.ts';
import { configFile } from './config-file.ts';

/** Asks the running provider of this configuration over its HTTP face. @throws Error with a sentence for people */
export async function askProvider<T>(options: { config?: string }, path: string, init: RequestInit = {}): Promise<T> {
  const config = loadConfig(configFile(options.config), process.env);
  const { providerToken } = await loadCredentials(config);
  const url = `${config.providerUrl ?? `http://${config.providerHost}:${config.providerPort}`}${path}`;
  const headers = {
    authorization: `Bearer ${providerToken}`,
    ...(init.body ? { 'content-type': 'application/json' } : {}),
  };
  const response = await fetch(url, { ...init, headers }).catch(() => {
    throw new ProviderProblem(`nothing answers at ${url}: is the site running, with this configuration?`);
  });
  const answer = (await response.json()) as T & { error?: string };
  if (!response.ok) throw new ProviderProblem(answer.error ?? `HTTP ${response.status}`);
  return answer;
}

/** Something that the person at the terminal can act on. */
export class ProviderProblem extends Error {}
