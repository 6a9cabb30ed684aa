import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { writeFileAtomically } from './storage/atomic-file.ts';
import { loadTls, type Tls } from './tls.ts';

/** What a site proves itself with, and what it trusts. */
export interface Credentials extends Secrets {
  readonly tls: Tls;
}

/** The secrets of a site: given by the configuration, or made at the first start and kept in the data folder. */
interface Secrets {
  /** Receipt and parameter tokens are made from it. */
  readonly siteKey: string;
  readonly providerToken: string;
  /** `UUID:KEY` */
  readonly owAuth: string;
  readonly couchdbPassword: string;
  readonly influxLocalToken: string;
}

/**
 * Secrets that are not in the configuration are read from, or made and kept in, `credentials.json` (mode 0600).
 * @throws FogwhiskError `FILE_UNREADABLE` or `TLS_FILE_UNUSABLE`
 */
export async function loadCredentials(config: Config): Promise<Credentials> {
  const file = credentialsFile(config.dataDir);
  const kept = await readKept(file);
  const made = {
    ...kept,
    siteKey: kept.siteKey ?? secret(),
    providerToken: config.providerToken ?? kept.providerToken ?? secret(),
    // OpenWhisk's keys are a UUID and 64 letters or digits.
    owAuth: config.owAuth ?? kept.owAuth ?? `${randomUUID()}:${randomBytes(32).toString('hex')}`,
    couchdbPassword: config.couchdbPassword ?? kept.couchdbPassword ?? secret(),
    influxLocalToken: config.influxLocalToken ?? kept.influxLocalToken ?? secret(),
  };
  const text = `${JSON.stringify(made, null, 2)}\n`;
  if (text !== `${JSON.stringify(kept, null, 2)}\n`) await writeFileAtomically(file, text);
  return { ...made, tls: await loadTls(config) };
}

export function credentialsFile(dataDir: string): string {
  return join(dataDir, 'credentials.json');
}

async function readKept(file: string): Promise<Partial<Secrets>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Partial<Secrets>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

function secret(): string {
  return randomBytes(32).toString('base64url');
}
