import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './images.ts';

const DEPLOYED = join(ROOT, 'deploy/site/mosquitto');

/** The broker's configuration as it is deployed, with its listener on loopback and its files in a folder. */
export function localMosquittoConf(folder: string, port: number): string {
  mkdirSync(join(folder, 'data'), { recursive: true });
  const deployed = readFileSync(join(DEPLOYED, 'mosquitto.conf'), 'utf8')
    .replace('listener 1883', `listener ${port} 127.0.0.1`)
    .replace('/mosquitto/data/', `${join(folder, 'data')}/`)
    .replace('/mosquitto/auth/', `${folder}/`)
    .replace('/mosquitto/config/', `${DEPLOYED}/`);
  // Started by root, it would become a user that can't read the folder.
  return process.getuid?.() === 0 ? `${deployed}\nuser root\n` : deployed;
}
