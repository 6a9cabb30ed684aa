import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The ConfigMap that a command reads: the given one, else `configmap.yml` here, else the one that comes with fogwhisk. */
export function configFile(given: string | undefined): string {
  if (given !== undefined) return given;
  return existsSync('configmap.yml') ? 'configmap.yml' : fileURLToPath(new URL('../../configmap.yml', import.meta.url));
}
