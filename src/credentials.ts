import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { writeFileAtomically } from './storage/atomic-file.ts';

/** The secrets of a site: given by the configuration, or made at the first start and kept in the data folder. */
export interface Credentials {
  /** Receipt and parameter tokens are made from it. */
  readonly siteKey: string;
  readonly providerToken: string;
  /** `UUID:KEY` */
  readonly owAuth: string;
  readonly couchdbPassword: string;
  readonly influxLocalToken: string;
}

/** Credentials that are not in the configuration are read from, or made and kept in, `credentials.json` (mode 0600). */
export async function loadCredentials(config: Config): Promise<Credentials> {
  const file = credentialsFile(config.dataDir);
  const kept = await readKept(file);
  const made: Credentials = {
    siteKey: kept.siteKey ?? secret(),
    providerToken: config.providerToken ?? kept.providerToken ?? secret(),
    // OpenWhisk's keys are a UUID and 64 letters or digits.
    owAuth: config.owAuth ?? kept.owAuth ?? `${randomUUID()}:${randomBytes(32).toString('hex')}`,
    couchdbPassword: config.couchdbPassword ?? kept.couchdbPassword ?? secret(),
    influxLocalToken: config.influxLocalToken ?? kept.influxLocalToken ?? secret(),
  };
  const text = `${JSON.stringify(made, null, 2)}\n`;
  if (text !== `${JSON.stringify(kept, null, 2)}\n`) await writeFileAtomically(file, text);
  return made;
}

export function credentialsFile(dataDir: string): string {
  return join(dataDir, 'credentials.json');
}

async function readKept(file: string): Promise<Partial<Credentials>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Partial<Credentials>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

function secret(): string {
  return randomBytes(32).toString('base64url');
}
