import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { startInfluxdb } from '../../../../src/embedded/influxdb/server.ts';
import { writes } from './corpus.ts';

/** Where queries of the corpus can be sent. */
export interface Target {
  readonly url: string;
  readonly token: string;
  readonly org: string;
}

/** Starts an embedded InfluxDB that holds the corpus' data. */
export async function startEmbedded(): Promise<Target & { stop(): Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fogwhisk-flux-'));
  const settings = { token: 'test-token', org: 'influxdata', buckets: ['measure', 'aggregates'] };
  const log = pino({ level: 'silent' });
  const influxdb = await startInfluxdb({ port: 0, dataDir, log, setting: 'embeddedInfluxdbPort', ...settings });
  const target = { url: influxdb.url, token: settings.token, org: settings.org };
  await writeCorpus(target);
  return {
    ...target,
    async stop() {
      await influxdb.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export async function writeCorpus(target: Target): Promise<void> {
  for (const { bucket, lines } of writes) {
    const response = await post(target, `/api/v2/write?org=${target.org}&bucket=${bucket}`, lines);
    if (response.status !== 204) throw new Error(`${response.status} ${await response.text()}`);
  }
}

/** Sends a query as Grafana does: all annotations. */
export async function ask(target: Target, query: string): Promise<{ status: number; text: string }> {
  const dialect = { header: true, delimiter: ',', annotations: ['datatype', 'group', 'default'] };
  const response = await post(target, `/api/v2/query?org=${target.org}`, JSON.stringify({ query, dialect }));
  return { status: response.status, text: await response.text() };
}

export function post(target: Target, path: string, body: string): Promise<Response> {
  const headers = { authorization: `Token ${target.token}`, 'content-type': 'application/json' };
  return fetch(`${target.url}${path}`, { method: 'POST', headers, body });
}
