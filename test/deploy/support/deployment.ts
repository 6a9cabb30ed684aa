import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { InfluxDB } from '@influxdata/influxdb-client';
import { connectAsync } from 'mqtt';
import { parseAllDocuments } from 'yaml';
import { siteNew } from '../../../src/cli/site-new.ts';
import type { SiteStatus } from '../../../src/http/site-status.ts';
import { ROOT } from './images.ts';
import type { Cluster } from './kube.ts';

const COUCHDB = { username: 'fogwhisk', password: 'password-of-the-center' };
const CENTER_SECRETS = {
  'couchdb-secret': COUCHDB,
  'influxdb-secret': { 'admin-password': 'password-of-the-center', 'admin-token': 'token-of-the-center' },
};
const PROVIDER = 'mqtt-provider-0';

/** Resolves with the first result that is wanted; asks every 200 ms, and again after an error. */
export async function until<T>(ask: () => Promise<T>, wanted: (result: T) => boolean, timeoutMs: number): Promise<T> {
  let last: unknown;
  for (const end = Date.now() + timeoutMs; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 200))) {
    try {
      const result = await ask();
      last = result;
      if (wanted(result)) return result;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`not within ${timeoutMs} ms: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
}

async function clusterIp(cluster: Cluster, namespace: string, service: string): Promise<string> {
  return (await cluster.get<{ spec: { clusterIP: string } }>('--namespace', namespace, 'service', service)).spec
    .clusterIP;
}

/** The center, on its way up: its image's embedded CouchDB stands in for CouchDB, and Grafana is left out. */
export async function startCenter(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['apply', '-f', join(import.meta.dirname, '../../../deploy/overlays/center/namespace.yaml')]);
  const secrets = Object.entries(CENTER_SECRETS).map(([name, stringData]) => ({
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'center' } },
    stringData,
  }));
  await cluster.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: secrets }));
  await cluster.kubectl(['apply', '-k', join(import.meta.dirname, '../kube/center')]);
}

/** Asks the center's CouchDB. */
export async function couchdb(cluster: Cluster, method: string, path: string, body?: object): Promise<Response> {
  const { username, password } = COUCHDB;
  return fetch(`http://${await clusterIp(cluster, 'center', 'couchdb')}:5984/${path}`, {
    method,
    headers: {
      authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
      'content-type': 'application/json',
    },
    ...(body && { body: JSON.stringify(body) }),
  });
}

/** A site made by `fogwhisk site new`; its OpenWhisk is the embedded one, in the provider's Pod. */
export class DeployedSite {
  readonly name: string;
  readonly #cluster: Cluster;
  readonly #overlay: string;
  readonly #secrets: Readonly<Record<string, string>>;

  private constructor(name: string, cluster: Cluster, overlay: string, secrets: Readonly<Record<string, string>>) {
    this.name = name;
    this.#cluster = cluster;
    this.#overlay = overlay;
    this.#secrets = secrets;
  }

  static async start(cluster: Cluster, name: string, datacenterId: string, folder: string): Promise<DeployedSite> {
    await writeFile(join(folder, 'couchdb'), COUCHDB.password);
    await writeFile(join(folder, 'influxdb'), CENTER_SECRETS['influxdb-secret']['admin-token']);
    const settings = {
      ...{ datacenterId, apiHost: 'embedded', mqttTopics: [{ topic: 'readings/#' }] },
      ...{ couchdbPassword_FILE: 'couchdb', influxCentralToken_FILE: 'influxdb' },
    };
    await writeFile(join(folder, `${name}.yml`), JSON.stringify(settings));
    const overlays = join(folder, 'overlays');
    await mkdir(overlays, { recursive: true });
    await siteNew(name, { from: join(folder, `${name}.yml`), to: overlays });
    const overlay = join(overlays, name);
    await cluster.kubectl(['apply', '-f', join(overlay, 'namespace.yaml'), '-f', join(overlay, 'secrets.yaml')]);
    await cluster.kubectl(['apply', '-k', overlay]);
    const documents = parseAllDocuments(await readFile(join(overlay, 'secrets.yaml'), 'utf8'));
    const secrets = documents.map((each) => (each.toJS() as { stringData: Record<string, string> }).stringData);
    return new DeployedSite(name, cluster, overlay, Object.assign({}, ...secrets) as Record<string, string>);
  }

  kubectl(...args: string[]) {
    return this.#cluster.kubectl(['--namespace', this.name, ...args]);
  }

  /** Lets two providers share its messages. */
  async runTwo(): Promise<void> {
    const folder = `${this.#overlay}-of-two`;
    await mkdir(folder);
    const content = {
      resources: [relative(folder, this.#overlay)],
      components: [relative(folder, join(ROOT, 'deploy/replicas'))],
    };
    await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(content));
    await this.#cluster.kubectl(['apply', '-k', folder]);
  }

  /** Resolves when all its Pods are ready, and none of an earlier revision is left. */
  async ready(timeoutSeconds = 120): Promise<void> {
    for (const part of ['mosquitto', 'influxdb', 'mqtt-provider'])
      await this.kubectl('rollout', 'status', `statefulset/${part}`, `--timeout=${timeoutSeconds}s`);
  }

  /** Publishes readings as a sensor, through the Service; resolves when the broker has taken all. */
  async publish(from: number, count: number, topic = 'readings/room'): Promise<void> {
    const host = await clusterIp(this.#cluster, this.name, 'mosquitto');
    const password = this.#secrets['sensor-password']!;
    const client = await connectAsync(`mqtt://${host}:1883`, { username: 'sensor', password });
    const start = Date.UTC(2026, 0, 1);
    for (let n = from; n < from + count; n++) {
      const reading = { temperature: n, device_fingerprint: 1, time: new Date(start + n * 1_000).toISOString() };
      await client.publishAsync(topic, JSON.stringify(reading), { qos: 1 });
      // A load that lasts: what happens to the site meanwhile takes seconds.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await client.endAsync();
  }

  /** How many points of the test the site's InfluxDB has. */
  async points(): Promise<number> {
    const url = `http://${await clusterIp(this.#cluster, this.name, 'influxdb-influxdb2')}`;
    const rows = await new InfluxDB({ url, token: this.#secrets['admin-token']! })
      .getQueryApi('influxdata')
      .collectRows<{ _value: number }>(
        'from(bucket: "measure") |> range(start: 2026-01-01T00:00:00Z, stop: 2026-02-01T00:00:00Z) |> group() |> count()',
      );
    return rows[0]?._value ?? 0;
  }

  async status(): Promise<SiteStatus> {
    return this.#statusAt(await clusterIp(this.#cluster, this.name, 'mqtt-provider'));
  }

  async #statusAt(host: string): Promise<SiteStatus> {
    const response = await fetch(`http://${host}:3000/status`, {
      headers: { authorization: `Bearer ${this.#secrets.providerToken}` },
    });
    return (await response.json()) as SiteStatus;
  }

  provider(): Promise<{
    metadata: { uid: string };
    status: {
      conditions: Array<{ type: string; status: string }>;
      containerStatuses: Array<{
        restartCount: number;
        lastState: { terminated?: { exitCode: number; reason: string } };
      }>;
    };
  }> {
    return this.#cluster.get('--namespace', this.name, 'pod', PROVIDER);
  }

  /** How many events a replica has received. */
  async receivedBy(pod: string): Promise<number> {
    const { status } = await this.#cluster.get<{ status: { podIP: string } }>('--namespace', this.name, 'pod', pod);
    return (await this.#statusAt(status.podIP)).books.received;
  }

  /** What the provider writes until it ends. */
  logs(): Promise<string> {
    return this.#cluster.logs(this.name, PROVIDER);
  }

  /** What a command prints in the provider's container. */
  async inProvider(...argv: string[]): Promise<string> {
    return (await this.kubectl('exec', PROVIDER, '--', ...argv)).stdout;
  }
}
