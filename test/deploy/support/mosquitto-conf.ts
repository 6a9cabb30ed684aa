import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The broker's configuration as it is deployed, with its listener on loopback and its files in a folder, where
 * `passwd` has to be.
 * @param deployed the folder deploy/site/mosquitto
 */
export function localMosquittoConf(deployed: string, folder: string, port: number): string {
  mkdirSync(join(folder, 'data'), { recursive: true });
  const conf = readFileSync(join(deployed, 'mosquitto.conf'), 'utf8')
    .replace('listener 1883', `listener ${port} 127.0.0.1`)
    .replace('/mosquitto/data/', `${join(folder, 'data')}/`)
    .replace('/mosquitto/auth/', `${folder}/`)
    .replace('/mosquitto/config/', `${deployed}/`);
  // Started by root, it would become a user that can't read the folder.
  return process.getuid?.() === 0 ? `${conf}\nuser root\n` : conf;
}
