import { Agent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { rootCertificates } from 'node:tls';
import { HttpError, InfluxDB, type Row } from '@influxdata/influxdb-client';
import { causeOf, parseUrl } from './http.ts';
import type { Params } from './payload.ts';
import { ActionError, shorten } from './result.ts';

/** Whose InfluxDB: the site's, or by the predecessor's names the site's and the center's. */
type Prefix = 'influx' | 'local' | 'central';

/** A bucket of an InfluxDB 2. */
export interface Connection {
  /** What the names of its parameters begin with. */
  readonly prefix: Prefix;
  readonly url: string;
  readonly token: string;
  readonly org: string;
  readonly bucket: string;
  /** Further authorities that are trusted, PEM. */
  readonly ca?: string;
}

const TIMEOUT_MS = 20_000;
/** A query answers when it has read all that it aggregates. */
const QUERY_TIMEOUT_MS = 120_000;

/**
 * The connection that `influx_url`, `influx_token`, `influx_org` and `influx_bucket` name, or those of another prefix.
 * @throws ActionError `PARAMETER_MISSING` or `PARAMETER_INVALID`
 */
export function connectionOf(parameters: Params, prefix: Prefix = 'influx'): Connection {
  const names = ['url', 'token', 'org', 'bucket'].map((name) => `${prefix}_${name}`);
  const missing = names.filter((name) => typeof parameters[name] !== 'string' || parameters[name] === '');
  if (missing.length > 0) {
    throw new ActionError(
      'PARAMETER_MISSING',
      `${missing.join(', ')} not given: neither by the site's parameters, nor by the payload, nor as defaults of the action.`,
      { missing },
    );
  }
  const [url, token, org, bucket] = names.map((name) => parameters[name] as string) as [string, string, string, string];
  parseUrl(url, `${prefix}_url`, 'PARAMETER_INVALID');
  // The site's own authority (tlsCaFile): an action's container knows only those that Node.js comes with.
  const { tls_ca: ca } = parameters;
  return { prefix, url, token, org, bucket, ...(typeof ca === 'string' && { ca }) };
}

/**
 * Runs a Flux script and yields its rows as they come; holds no more of the answer than a piece.
 * @throws ActionError `INFLUX_UNREACHABLE` or `INFLUX_FAILED`, also in the middle
 */
export async function* query(connection: Connection, flux: string): AsyncGenerator<Row> {
  const { url, token, org } = connection;
  const transportOptions = { agent: newAgent(connection) };
  const client = new InfluxDB({ url, token, timeout: QUERY_TIMEOUT_MS, transportOptions });
  try {
    for await (const row of client.getQueryApi({ org, gzip: true }).iterateRows(flux)) {
      // what goes wrong after the answer has begun is told in it
      const error = row.tableMeta.get(row.values, 'error') as string | undefined;
      if (error !== undefined && row.tableMeta.columns.length <= 4) throw new BrokenAnswer(error);
      yield row;
    }
  } catch (error) {
    throw failure(error, connection);
  } finally {
    transportOptions.agent.destroy();
  }
}

class BrokenAnswer extends Error {}

/** A line of line protocol, and the message that it comes from. */
export interface Line {
  readonly message: number;
  readonly text: string;
}

/** A refused line and InfluxDB's reason. */
export interface RefusedLine {
  readonly message: number;
  readonly reason: string;
}

/**
 * Writes lines in one request. If InfluxDB refuses it, the refused lines are found by halving, as its answer does not
 * tell them apart; all others are stored when this resolves. Writing a line twice is harmless.
 * @throws ActionError `INFLUX_UNREACHABLE` or `INFLUX_FAILED`: nothing is known about what is stored
 */
export async function write(connection: Connection, lines: readonly Line[]): Promise<RefusedLine[]> {
  const agent = newAgent(connection);
  const refused: RefusedLine[] = [];
  const narrow = async (part: readonly Line[], refusal: WriteRefusal): Promise<void> => {
    if (refusal.refusedLines === part.length) {
      for (const { message } of part) refused.push({ message, reason: refusal.reason });
      return;
    }
    const middle = part.length >> 1;
    for (const half of [part.slice(0, middle), part.slice(middle)]) {
      const again = await writeOnce(connection, agent, half);
      if (again) await narrow(half, again);
    }
  };
  try {
    const refusal = lines.length > 0 && (await writeOnce(connection, agent, lines));
    // Sorted, what is refused for its measurement's type or its age are neighbours, and soon cut off as a whole.
    if (refusal) await narrow([...lines].sort(byMeasurementAndTime), refusal);
  } finally {
    agent.destroy();
  }
  return refused;
}

/** An agent per run: a connection kept from an earlier one may have died while the container was paused. */
function newAgent({ url, ca }: Connection): Agent {
  if (!url.startsWith('https:')) return new Agent({ keepAlive: true });
  return new HttpsAgent({ keepAlive: true, ...(ca && { ca: [...rootCertificates, ca] }) });
}

function byMeasurementAndTime(a: Line, b: Line): number {
  return sortKey(a.text) < sortKey(b.text) ? -1 : 1;
}

function sortKey(line: string): string {
  const measurement = /^(?:\\.|[^, ])*/.exec(line)![0];
  return measurement + line.slice(line.lastIndexOf(' ')).padStart(20);
}

interface WriteRefusal {
  readonly reason: string;
  /** How many lines at least are refused for this reason, if that is known. */
  readonly refusedLines: number | undefined;
}

/**
 * A partial write's message ends with the number of lines dropped for the reason that it gives.
 * Knowing it only spares requests: without it, halving goes on to single lines.
 */
const PARTIAL_WRITE_ENDING = / dropped=(\d+)(?: for database: \S+ for retention policy: \S+)?$/;

/** One request; resolves with InfluxDB's refusal. 422 stores what it does not refuse, 400 and 413 store nothing. */
async function writeOnce(
  connection: Connection,
  agent: Agent,
  lines: readonly Line[],
): Promise<WriteRefusal | undefined> {
  const { url, token, org, bucket } = connection;
  const api = new InfluxDB({ url, token, timeout: TIMEOUT_MS, transportOptions: { agent } }).getWriteApi(
    org,
    bucket,
    'ns',
    {
      // a rejection from here keeps the client from retrying and logging: the provider fires again
      writeFailed: (error) => Promise.reject(error),
      flushInterval: 0,
      // one request however many lines
      batchSize: lines.length + 1,
      maxBatchBytes: Number.MAX_SAFE_INTEGER,
    },
  );
  try {
    for (const { text } of lines) api.writeRecord(text);
    await api.close();
    return undefined;
  } catch (error) {
    if (!(error instanceof HttpError && isRefusal(error))) throw failure(error, connection);
    const [ending, dropped] = PARTIAL_WRITE_ENDING.exec(error.message) ?? [''];
    const reason = shorten(error.message.slice(0, error.message.length - ending.length));
    if (lines.length === 1) return { reason, refusedLines: 1 };
    return { reason, refusedLines: error.statusCode === 422 && dropped ? Number(dropped) : undefined };
  }
}

/**
 * Whether it is the lines that InfluxDB does not take: malformed, of another type or too old, too many at once.
 * A 400 without InfluxDB's error code comes from a server that is none.
 */
function isRefusal({ statusCode, code }: HttpError): boolean {
  return statusCode === 413 || ((statusCode === 400 || statusCode === 422) && typeof code === 'string');
}

function failure(error: unknown, connection: Connection): ActionError {
  const url = new URL(connection.url).origin;
  const name = `${connection.prefix === 'central' ? 'the central InfluxDB' : 'InfluxDB'} at ${url}`;
  if (error instanceof BrokenAnswer) {
    return new ActionError('INFLUX_FAILED', `${name} broke off its answer: ${shorten(error.message)}`, { url });
  }
  if (!(error instanceof HttpError)) {
    return new ActionError('INFLUX_UNREACHABLE', `${name} can't be reached (${causeOf(error)}).`, { url });
  }
  const status = error.statusCode;
  // the client gives the header as it is written: seconds
  const afterMs = error.retryAfter() * 1_000;
  const what = shorten(error.message) + hint(status, connection);
  return new ActionError('INFLUX_FAILED', `${name} answered ${status}: ${what}`, {
    url,
    status,
    ...(afterMs > 0 && { afterMs }),
  });
}

function hint(status: number, { prefix }: Connection): string {
  if (status === 401 || status === 403) return `; check ${prefix}_token`;
  if (status === 404) return `; check ${prefix}_org and ${prefix}_bucket`;
  return '';
}
