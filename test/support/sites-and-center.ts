import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MqttClient } from 'mqtt';
import openwhisk, { type Client } from 'openwhisk';
import type { Host } from './network.ts';
import { Site } from './site.ts';
import { temporaryFolder } from './temporary.ts';
import { Wan } from './wan.ts';

/**
 * A center and its sites, each a process tree of its own: on loopback, where a site reaches the center over a proxy, or
 * each on a host of its own.
 */

const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
export const hasFaketime = existsSync(FAKETIME);

const OW_AUTH = `6b1c8dd4-3f66-4f7e-a3f5-b5c2a1b3c4d5:${'center'.repeat(10)}`;
const COUCHDB = { couchdbUsername: 'fogwhisk', couchdbPassword: 'password-of-the-center' };

/** The place of the shared CouchDB and the central InfluxDB. */
export class SharedCenter {
  readonly site: Site;

  private constructor(site: Site) {
    this.site = site;
  }

  static async start(host?: Host): Promise<SharedCenter> {
    const settings = { datacenterId: 'center', owAuth: OW_AUTH, ...COUCHDB, ...(host && settingsOn(host)) };
    return new SharedCenter(await Site.start(settings, host?.within));
  }

  /** OpenWhisk's API; what is made here is there for all sites. */
  get openwhisk(): Client {
    return openwhisk({ api: `${this.site.provider.address('OpenWhisk')}/api/v1/`, api_key: OW_AUTH });
  }

  /** Stores a document, over an older version too; without fields it is deleted. */
  async put(database: 'topic_listeners' | 'parameters', id: string, fields?: Record<string, unknown>): Promise<void> {
    const url = `${this.site.provider.address('CouchDB')}/${database}/${encodeURIComponent(id)}`;
    const login = Buffer.from(`${COUCHDB.couchdbUsername}:${COUCHDB.couchdbPassword}`).toString('base64');
    const headers = { authorization: `Basic ${login}`, 'content-type': 'application/json' };
    const there = await fetch(url, { headers });
    const rev = there.ok ? { _rev: ((await there.json()) as { _rev: string })._rev } : {};
    const body = JSON.stringify(fields ? { ...fields, ...rev } : { _deleted: true, ...rev });
    const { status } = await fetch(url, { method: 'PUT', headers, body });
    if (status !== 201) throw new Error(`CouchDB answered ${status} to ${body}`);
  }
}

/** On a host of its own a site listens to the network; its broker then wants a login. */
function settingsOn({ address }: Host): Record<string, string> {
  return { providerHost: address, embeddedHost: address, mqttUrl: 'mqtt://sensor:secret-of-the-sensor@embedded' };
}

/** One firing, as the action of {@link ledgerAction} saw it. */
export interface LedgerLine {
  readonly action: string;
  readonly registration: string;
  readonly batchId: string;
  /** Of an alarm: the instant, ISO. */
  readonly scheduledFor?: string;
  /** Of messages: their bodies. */
  readonly bodies: readonly string[];
  /** The parameter of this name. */
  readonly greeting?: string;
}

/** An action that writes each firing down, in the file that its site's parameter `ledger` names. */
export function ledgerAction(version: string): string {
  return `async function main({ type, registration, batchId, scheduledFor, messages = [], receipt, parameters }) {
    const ask = async ({ url, token }, init) => {
      const headers = { authorization: 'Bearer ' + token, 'content-type': 'application/json' };
      const response = await fetch(url, { headers, ...init });
      if (!response.ok) throw new Error(url + ' answered ' + response.status);
      return response;
    };
    const { ledger, greeting } = await (await ask(parameters)).json();
    const bodies = messages.map(({ body }) => body);
    const line = { action: '${version}', registration, batchId, scheduledFor, bodies, greeting };
    require('node:fs').appendFileSync(ledger, JSON.stringify(line) + '\\n');
    await ask(receipt, { method: 'POST', body: JSON.stringify({ batchId, stored: 'all' }) });
    return { ok: true };
  }`;
}

export class SiteOfCenter {
  readonly id: string;
  readonly site: Site;
  readonly ledgerFile: string;
  readonly #clockFile: string;

  private constructor(id: string, site: Site, ledgerFile: string, clockFile: string) {
    this.id = id;
    this.site = site;
    this.ledgerFile = ledgerFile;
    this.#clockFile = clockFile;
  }

  /**
   * @param settings further settings of the site
   * @param way where the site is, or how it reaches the center
   */
  static async start(
    id: string,
    center: SharedCenter,
    settings: Record<string, string> = {},
    way: Wan | Host = new Wan(),
  ): Promise<SiteOfCenter> {
    const wayTo = async (part: 'CouchDB' | 'InfluxDB') => {
      const url = center.site.provider.address(part);
      return way instanceof Wan ? `http://127.0.0.1:${await way.to(Number(new URL(url).port))}` : url;
    };
    const host = way instanceof Wan ? undefined : way;
    const folder = await temporaryFolder();
    const clockFile = join(folder, 'clock');
    await writeFile(clockFile, '+0');
    const { influxLocalToken } = await center.site.credentials();
    const all = {
      datacenterId: id,
      owAuth: OW_AUTH,
      ...COUCHDB,
      couchdbGateway: await wayTo('CouchDB'),
      influxCentralUrl: await wayTo('InfluxDB'),
      influxCentralToken: influxLocalToken,
      mqttTopics: '[]',
      receiptTimeoutSeconds: '5',
      ...(hasFaketime && {
        LD_PRELOAD: FAKETIME,
        FAKETIME_TIMESTAMP_FILE: clockFile,
        FAKETIME_CACHE_DURATION: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      }),
      ...(host && settingsOn(host)),
      ...settings,
    };
    const site = await Site.start(all, host?.within);
    const ledgerFile = join(folder, 'ledger');
    await writeFile(ledgerFile, '');
    return new SiteOfCenter(id, site, ledgerFile, clockFile);
  }

  /** Sets the site's wall clock; timers go on as they are. Its processes see it within a second. */
  async setClock(offsetSeconds: number): Promise<void> {
    await writeFile(this.#clockFile, `+${offsetSeconds}`);
  }

  sensor(): Promise<MqttClient> {
    return this.site.mqtt();
  }

  async ledger(): Promise<LedgerLine[]> {
    const lines = (await readFile(this.ledgerFile, 'utf8')).split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as LedgerLine);
  }

  /** Resolves with the ledger when it is as wanted; looks every 20 ms, since a file has no event to wait for. */
  async untilLedger(wanted: (lines: readonly LedgerLine[]) => boolean, timeoutMs = 20_000): Promise<LedgerLine[]> {
    for (const end = Date.now() + timeoutMs; ; ) {
      const lines = await this.ledger();
      if (wanted(lines)) return lines;
      if (Date.now() > end) {
        const last = lines.slice(-5).map((line) => JSON.stringify(line));
        throw new Error(
          `site ${this.id}: not within ${timeoutMs} ms; ${lines.length} lines, the last ${last.join('\n')}\n${this.site.provider.output().slice(-5_000)}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
