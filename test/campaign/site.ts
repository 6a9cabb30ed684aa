import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SiteStatus } from '../../src/http/server.ts';
import { freePort } from '../support/free-port.ts';
import { findProgram } from './find-program.ts';
import { HttpLink } from './http-link.ts';
import type { Ledger } from './ledger.ts';
import { observeMqtt } from './mqtt-observer.ts';
import { Program } from './program.ts';
import { TcpLink } from './tcp-link.ts';

/**
 * The site under test, every service a process of its own:
 *
 *     publishers → Mosquitto → (mqtt) → provider → (openwhisk) → action host → (influxdb) → InfluxDB
 *                                          ↑_______(callbacks)______|
 *
 * In brackets: links, which is where connections and HTTP go wrong.
 */

export interface SiteOptions {
  readonly influxdb: 'influxd' | 'embedded';
  /** The control: the provider forgets its journal at each start. */
  readonly forgetsJournal: boolean;
}

const ROOT = resolve(import.meta.dirname, '../..');
const AUTH =
  '11111111-2222-3333-4444-555555555555:campaigncampaigncampaigncampaigncampaigncampaigncampaigncampaign';
const PROVIDER_TOKEN = 'token-of-the-campaign';
const INFLUX = { token: 'campaign-token', org: 'influxdata', bucket: 'measure' };
const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
/** Enough for the journal of any outage here, and soon filled. */
const DATA_BYTES = 256 * 1024 * 1024;
const JOURNAL_MAX_BYTES = 128 * 1024 * 1024;
const START_TIMEOUT_MS = 30_000;

/** A link at both levels. Clients connect to the TCP side. */
export interface HttpSide {
  readonly tcp: TcpLink;
  readonly http: HttpLink;
}

export class Site {
  readonly broker: Program;
  readonly provider: Program;
  readonly actionHost: Program;
  readonly influxdb: Program;
  /** InfluxDB 2 stops on SIGINT only. */
  readonly influxdbStopSignal: NodeJS.Signals;
  readonly mqtt: TcpLink;
  readonly openwhisk: HttpSide;
  readonly influxdbLink: HttpSide;
  readonly callbacks: HttpSide;
  readonly brokerPort: number;
  readonly folder: string;
  /** The provider's data folder; of limited size where we may mount one. */
  readonly dataDir: string;
  readonly isDataLimited: boolean;
  /** Steps the provider's clock; undefined where libfaketime is not installed. */
  readonly setClock: ((offsetSeconds: number) => Promise<void>) | undefined;
  readonly #providerUrl: string;
  readonly #influxUrl: string;

  private constructor(parts: Pick<Site, keyof Site> & { providerUrl: string; influxUrl: string }) {
    const { providerUrl, influxUrl, ...rest } = parts;
    Object.assign(this, rest);
    this.#providerUrl = providerUrl;
    this.#influxUrl = influxUrl;
  }
}
