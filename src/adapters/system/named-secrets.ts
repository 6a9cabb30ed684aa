import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Secrets that this site has under a name: in a file of a folder (as Kubernetes mounts a Secret), or in the environment
 * variable `secret_NAME`. Nothing else of the environment can be had by a name, whoever writes it into a document.
 * @param name checked already: without path separators
 */
export function namedSecrets(
  folder: string | undefined,
  environment: NodeJS.ProcessEnv,
): (name: string) => string | undefined {
  return (name) => environment[`secret_${name}`] ?? (folder === undefined ? undefined : readSecret(join(folder, name)));
}

/** A file that can't be read is as one that is not there: whoever needs it is told its name. */
function readSecret(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch {
    return undefined;
  }
}
