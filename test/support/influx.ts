import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpError, InfluxDB } from '@influxdata/influxdb-client';
import pino from 'pino';
import { startInfluxdb } from '../../src/embedded/influxdb/server.ts';

/** An InfluxDB 2 that a test talks to, embedded or real. */
export class Influx {
  readonly url: string;
  readonly token: string;
  readonly org: string;
  readonly #client: InfluxDB;

  constructor({ url, token, org }: { readonly url: string; readonly token: string; readonly org: string }) {
    this.url = url;
    this.token = token;
    this.org = org;
    this.#client = new InfluxDB({ url, token });
  }

  /** The embedded one, empty but for its buckets. The caller closes it. */
  static async startEmbedded(buckets: readonly string[] = ['measure', 'aggregates']) {
    const dataDir = await mkdtemp(join(tmpdir(), 'fogwhisk-influxdb-'));
    const options = { token: 'test-token', org: 'influxdata', log: pino({ level: 'silent' }), setting: 'test' };
    const server = await startInfluxdb({ port: 0, dataDir, buckets, ...options });
    return {
      influx: new Influx({ url: server.url, token: 'test-token', org: 'influxdata' }),
      async close() {
        await server.close();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  }

  /** Makes the bucket, unless it is there. */
  async createBucket(name: string): Promise<void> {
    const { orgs } = (await this.#api('GET', '/api/v2/orgs')) as { orgs: Array<{ id: string }> };
    await this.#api('POST', '/api/v2/buckets', { orgID: orgs[0]!.id, name, retentionRules: [] });
  }

  async #api(method: string, path: string, body?: unknown): Promise<unknown> {
    const headers = { authorization: `Token ${this.token}` };
    const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
    return (await fetch(`${this.url}${path}`, init)).json();
  }

  /** @throws HttpError for anything that InfluxDB does not take */
  async write(bucket: string, lines: readonly string[]): Promise<void> {
    const query = new URLSearchParams({ org: this.org, bucket });
    const headers = { authorization: `Token ${this.token}` };
    const response = await fetch(`${this.url}/api/v2/write?${query}`, {
      method: 'POST',
      headers,
      body: lines.join('\n'),
    });
    if (!response.ok) throw new HttpError(response.status, response.statusText, await response.text());
  }

  query<Row = Record<string, unknown>>(flux: string): Promise<Row[]> {
    return this.#client.getQueryApi(this.org).collectRows<Row>(flux);
  }

  /** Every value in a bucket: `measurement,tags field time` → value. */
  async values(bucket: string): Promise<Record<string, unknown>> {
    const rows = await this.query(
      `from(bucket: "${bucket}") |> range(start: 1980-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z)`,
    );
    return Object.fromEntries(
      rows.map(({ result: _, table, _start, _stop, _time, _value, _field, _measurement, ...tags }) => [
        `${String(_measurement)}${JSON.stringify(tags)} ${String(_field)} ${String(_time)}`,
        _value,
      ]),
    );
  }

  /** What actions are told of it. */
  parameters(prefix: 'influx' | 'central' | 'local', bucket: string): Record<string, string> {
    const { url, token, org } = this;
    return { [`${prefix}_url`]: url, [`${prefix}_token`]: token, [`${prefix}_org`]: org, [`${prefix}_bucket`]: bucket };
  }
}
