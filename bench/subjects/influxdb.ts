import { dirname, join } from 'node:path';
import { benchProgram, NODE_FLAGS } from '../support/paths.ts';
import { Child, program, type Running } from '../support/processes.ts';
import { temporaryFolder } from '../support/temporary.ts';

const TOKEN = 'token-of-the-benchmark';
const ORG = 'bench';
const BUCKET = 'measure';

/** An InfluxDB 2 with one bucket, in a process of its own. */
export class Influxdb implements Running {
  readonly #child: Child;
  readonly #url: string;

  private constructor(child: Child, url: string) {
    this.#child = child;
    this.#url = url;
  }

  static async startEmbedded(): Promise<Influxdb> {
    const program = [benchProgram('embedded-influxdb'), temporaryFolder(), TOKEN, ORG, BUCKET];
    const child = new Child(process.execPath, [...NODE_FLAGS, ...program]);
    const { url } = await child.nextResult<{ url: string }>();
    return new Influxdb(child, url);
  }

  /** `influxd` of `PATH`. */
  static async startReal(): Promise<Influxdb> {
    const binary = program('influxd');
    const folder = temporaryFolder();
    const paths = ['bolt', 'sqlite', 'engine'].flatMap((name) => [`--${name}-path`, join(folder, name)]);
    const child = new Child(binary, ['--http-bind-address', '127.0.0.1:0', '--reporting-disabled', ...paths], {
      cwd: folder, // influxd reads configuration files where it is started
      env: { ZONEINFO: join(dirname(binary), 'zoneinfo.zip') },
    });
    const [, port] = await child.says(/Listening.*\bport=(\d+)/);
    const url = `http://127.0.0.1:${port}`;
    const setup = { username: 'bench', password: 'bench-password', token: TOKEN, org: ORG, bucket: BUCKET };
    const response = await fetch(`${url}/api/v2/setup`, { method: 'POST', body: JSON.stringify(setup) });
    if (!response.ok) throw new Error(`influxd can't be set up: ${response.status} ${await response.text()}`);
    return new Influxdb(child, url);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The endpoint and token to write points with. */
  get writeEndpoint(): { url: string; token: string } {
    return { url: `${this.#url}/api/v2/write?org=${ORG}&bucket=${BUCKET}&precision=ns`, token: TOKEN };
  }

  query(flux: string): Promise<string> {
    return query({ url: this.#url, token: TOKEN, org: ORG }, flux);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.end();
  }
}

/** Sends a Flux query; resolves with the whole CSV. */
export async function query(where: { url: string; token: string; org: string }, flux: string): Promise<string> {
  const response = await fetch(`${where.url}/api/v2/query?org=${where.org}`, {
    method: 'POST',
    headers: { authorization: `Token ${where.token}`, 'content-type': 'application/vnd.flux', accept: 'text/csv' },
    body: flux,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return text;
}
