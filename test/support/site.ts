import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InfluxDB } from '@influxdata/influxdb-client';
import { connectAsync, type MqttClient } from 'mqtt';
import { onTestFinished } from 'vitest';
import type { Credentials } from '../../src/credentials.ts';
import { freePort } from './free-port.ts';
import { Provider } from './provider.ts';
import { temporaryFolder } from './temporary.ts';

/** The whole embedded site as a process of its own, with ports of its own that stay the same over restarts. */
export class Site {
  provider: Provider;
  readonly #settings: Record<string, string>;
  readonly #within: readonly string[];

  private constructor(provider: Provider, settings: Record<string, string>, within: readonly string[]) {
    this.provider = provider;
    this.#settings = settings;
    this.#within = within;
  }

  /** @param within what goes before its command, e.g. to run it in a network namespace */
  static async start(settings: Record<string, string> = {}, within: readonly string[] = []): Promise<Site> {
    const all: Record<string, string> = { dataDir: await temporaryFolder() };
    for (const part of ['Mqtt', 'Openwhisk', 'Couchdb', 'Influxdb']) {
      all[`embedded${part}Port`] = String(await freePort());
    }
    Object.assign(all, settings);
    return new Site(await Provider.start(all, within), all, within);
  }

  get dataDir(): string {
    return this.#settings.dataDir!;
  }

  /** The settings that a command of the same site needs. */
  get environment(): NodeJS.ProcessEnv {
    return { PATH: process.env.PATH, ...this.#settings };
  }

  async restart(signal: NodeJS.Signals): Promise<void> {
    await this.provider.kill(signal);
    this.provider = await Provider.start(this.#settings, this.#within);
  }

  async mqtt(): Promise<MqttClient> {
    const { username, password } = new URL(this.#settings.mqttUrl ?? 'mqtt://embedded');
    const client = await connectAsync(this.provider.address('MQTT'), { username, password });
    onTestFinished(() => client.endAsync(true));
    return client;
  }

  async credentials(): Promise<Credentials> {
    return JSON.parse(await readFile(join(this.dataDir, 'credentials.json'), 'utf8')) as Credentials;
  }

  /** Rows of a Flux query, through InfluxDB's own client. */
  async query(flux: string): Promise<Array<Record<string, unknown>>> {
    const { influxLocalToken: token } = await this.credentials();
    return new InfluxDB({ url: this.provider.address('InfluxDB'), token }).getQueryApi('influxdata').collectRows(flux);
  }

  /** Number of points by measurement, since 2000. */
  async points(): Promise<Record<string, number>> {
    const rows = await this.query(
      'from(bucket: "measure") |> range(start: 2000-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z) |> group(columns: ["_measurement"]) |> count()',
    );
    return Object.fromEntries(rows.map((row) => [row._measurement, row._value]));
  }

  /** Resolves with the books when everything received is confirmed or parked, and at least `received` events came. */
  async settled(received: number, timeoutMs = 60_000) {
    const { books } = await this.provider.untilStatus(
      ({ books }) => books.pending === 0 && books.received >= received,
      timeoutMs,
    );
    return books;
  }
}
