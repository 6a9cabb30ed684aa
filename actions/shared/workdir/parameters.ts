import { readFile } from 'node:fs/promises';
import type { Params } from '../payload.ts';
import { openStore } from './open-store.ts';
import type { StoreSecrets, WorkdirStore } from './store.ts';
import { storeInvalid } from './store-errors.ts';

/**
 * The store that `workdir_store` names, or `url`. Parameters do not say how to log in, only where that is to be found:
 * `workdir_ssh_key_file`, `workdir_known_hosts_file`, and `workdir_s3_access_key_id_file` and
 * `workdir_s3_secret_access_key_file`, or `…_env` for the names of environment variables.
 * @throws ActionError `STORE_INVALID`
 */
export async function storeOf(parameters: Params, url: unknown = parameters.workdir_store): Promise<WorkdirStore> {
  if (typeof url !== 'string') throw storeInvalid('workdir_store is not given');
  const secrets: Record<string, string | undefined> = {
    sshKeyFile: textOf(parameters, 'workdir_ssh_key_file'),
    knownHostsFile: textOf(parameters, 'workdir_known_hosts_file'),
    s3AccessKeyId: await secretOf(parameters, 'workdir_s3_access_key_id'),
    s3SecretAccessKey: await secretOf(parameters, 'workdir_s3_secret_access_key'),
  } satisfies Record<keyof StoreSecrets, string | undefined>;
  const given = Object.entries(secrets).filter(([, value]) => value !== undefined);
  return openStore(url, Object.fromEntries(given));
}

async function secretOf(parameters: Params, name: string): Promise<string | undefined> {
  const file = textOf(parameters, `${name}_file`);
  if (file) {
    const content = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw storeInvalid(`${name}_file ${file} can't be read (${error.code})`);
    });
    return content.trim();
  }
  const variable = textOf(parameters, `${name}_env`);
  return variable === undefined ? undefined : process.env[variable];
}

function textOf(parameters: Params, name: string): string | undefined {
  const value = parameters[name];
  if (value === undefined || value === '') return undefined;
  if (typeof value !== 'string') throw storeInvalid(`${name} must be a text`);
  return value;
}
