import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SiteStatus } from '../../src/http/site-status.ts';
import type { BrokerAddress } from '../support/mosquitto.ts';
import { FOGWHISK, NODE_FLAGS } from '../support/paths.ts';
import { Child, type Running } from '../support/processes.ts';
import { Sink } from '../support/sink.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** Its `drainSeconds` and a little. */
const STOP_MS = 10_000;
const TOKEN = 'token-of-the-benchmark';

/** The provider, or a whole embedded site, as `npm start` runs it. */
export class Fogwhisk implements Running {
  readonly #child: Child;
  readonly #url: string;

  private constructor(child: Child, url: string) {
    this.#child = child;
    this.#url = url;
  }

  /**
   * Starts it and waits for its ready block.
   * @param profileTo folder for a CPU profile, written when it is stopped
   */
  static async start(settings: Record<string, string>, profileTo?: string): Promise<Fogwhisk> {
    const data = {
      dataDir: temporaryFolder(),
      providerPort: '0',
      providerToken: TOKEN,
      embeddedMqttPort: '0',
      embeddedOpenwhiskPort: '0',
      embeddedCouchdbPort: '0',
      embeddedInfluxdbPort: '0',
      simulate: 'false',
      ...settings,
    };
    // A file, since ten thousand topics are too much for an environment variable; JSON is YAML.
    const config = join(data.dataDir, 'bench.yml');
    writeFileSync(config, JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', data }), { mode: 0o600 });
    const profile = profileTo ? ['--cpu-prof', '--cpu-prof-dir', profileTo] : [];
    const child = new Child(process.execPath, [...profile, ...NODE_FLAGS, FOGWHISK, 'start', '--config', config], {
      env: { PATH: process.env.PATH },
    });
    const [, url] = await child.says(/fogwhisk is ready[\s\S]*?fogwhisk\s+(http:\S+)[\s\S]*Query the points:/);
    return new Fogwhisk(child, url!);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** `http://…` or `mqtt://…` of an embedded part, from the ready block. */
  address(part: string): URL {
    return new URL(new RegExp(`^  ${part}\\s+(\\S+)$`, 'm').exec(this.#child.output)![1]!);
  }

  /** When it was connected to the broker, in microseconds since the epoch. */
  get connectedAtUs(): number {
    const line = this.#child.output.split('\n').find((each) => each.includes('connected to the broker'));
    return Date.parse((JSON.parse(line!) as { time: string }).time) * 1_000;
  }

  async status(): Promise<SiteStatus> {
    const response = await fetch(`${this.#url}/status`, { headers: { authorization: `Bearer ${TOKEN}` } });
    return (await response.json()) as SiteStatus;
  }

  /** Stops it as an operator does, so that a CPU profile is written. @throws Error if it does not stop in time */
  async stop(): Promise<void> {
    const late = sleep(STOP_MS, 'late', { ref: false });
    if ((await Promise.race([this.#child.end('SIGTERM'), late])) === 'late') {
      throw new Error(`fogwhisk does not stop within ${STOP_MS / 1_000} s of SIGTERM:\n${this.#child.output}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.end();
  }
}

/** Settings of a provider between an outside broker and the sink. */
export function providerSettings(broker: BrokerAddress, sink: Sink): Record<string, string> {
  return {
    mqttUrl: `mqtt://127.0.0.1:${broker.port}`,
    apiHost: sink.url,
    owAuth: Sink.auth,
    couchdbGateway: '127.0.0.1:1',
    couchdbPassword: 'unused',
    influxLocalUrl: '127.0.0.1:1',
    influxLocalToken: 'unused',
    receiptTimeoutSeconds: '30',
  };
}
