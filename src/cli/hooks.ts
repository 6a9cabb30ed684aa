import { type Config, loadConfig } from '../config.ts';
import { hookToken } from '../core/token.ts';
import { loadCredentials } from '../credentials.ts';
import { configFile } from './config-file.ts';

/** `fogwhisk hooks`: the webhooks of the configuration, each with its token, a secret. */
export async function printHooks(options: { config?: string }): Promise<void> {
  const config = loadConfig(configFile(options.config), process.env);
  const { siteKey } = await loadCredentials(config);
  for (const { name, trigger } of config.hooks) {
    process.stdout.write(`${hookUrl(config, name)}  ${hookToken(siteKey, name)}  fires ${trigger}\n`);
  }
  if (config.hooks.length === 0) process.stdout.write('the setting hooks names none\n');
}

/** Where a hook is to be posted to. */
export function hookUrl(config: Config, name: string): string {
  return `${config.providerUrl ?? `http://${config.providerHost}:${config.providerPort}`}/hooks/${encodeURIComponent(name)}`;
}
