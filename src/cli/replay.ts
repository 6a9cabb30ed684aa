import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContext } from 'node:tls';
import { connectAsync, type MqttClient } from 'mqtt';
import { certificateProblem } from '../core/certificate-problem.ts';
import { FogwhiskError } from '../core/errors.ts';
import { CsvError, readCsv } from './csv.ts';

/** How many messages may be published and not yet acknowledged. */
const WINDOW = 500;
const TERMINAL_PROGRESS_MS = 100;
const PLAIN_PROGRESS_MS = 5_000;
const BAR_CHARACTERS = 30;

export interface ReplayOptions {
  readonly file: string;
  readonly brokerUrl: string;
  readonly credentials?: { readonly username: string; readonly password: string };
  readonly secureContext?: SecureContext | undefined;
  readonly topic: string;
  /** Becomes `device_fingerprint` of every reading. */
  readonly device?: string;
  /** Becomes `datacenter_id` of every reading. */
  readonly datacenterId?: string;
  /** The column that holds the time; default: the first one. */
  readonly timeColumn?: string;
  /** Messages per second; default: as fast as the broker takes them. */
  readonly rate?: number;
  readonly out: Writable & { readonly isTTY?: boolean };
  /** Ends the replay early. */
  readonly signal?: AbortSignal;
}

export interface ReplayResult {
  readonly published: number;
  readonly acknowledged: number;
  /** Rows without a time or without a single number, or with more or fewer cells than the header. */
  readonly skippedRows: number;
}

/**
 * Publishes the rows of a CSV file as readings, one JSON object each, over MQTT with QoS 1, and waits until all are
 * acknowledged. Numeric cells become numbers under their column's name, the time column's text `time`; empty and NaN
 * cells are left out, other text too. If the broker restarts, it goes on, and what was not acknowledged is sent again.
 *
 * @throws FogwhiskError `FILE_UNREADABLE`, `CSV_UNUSABLE` or `BROKER_UNREACHABLE`
 */
export async function replay(options: ReplayOptions): Promise<ReplayResult> {
  const { file, topic, rate, signal } = options;
  const { size } = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(file, error);
  });
  const client = await openClient(options);
  const counts = { published: 0, acknowledged: 0, skippedRows: 0, textCells: 0 };
  const source = createReadStream(file);
  const progress = showProgress(options, () => ({ ...counts, part: size === 0 ? 1 : source.bytesRead / size }));
  let wake = () => {};
  /** Waits while `condition` holds; ends early with the signal. */
  const holdWhile = async (condition: () => boolean) => {
    while (condition() && !signal?.aborted) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const onAbort = () => wake();
  signal?.addEventListener('abort', onAbort);
  try {
    const startedAt = performance.now();
    for await (const reading of readings(source, options, counts)) {
      await holdWhile(() => counts.published - counts.acknowledged >= WINDOW);
      if (rate) await waitUntil(startedAt + (counts.published / rate) * 1_000, signal);
      if (signal?.aborted) break;
      counts.published += 1;
      client.publish(topic, JSON.stringify(reading), { qos: 1 }, (error) => {
        if (error) return;
        counts.acknowledged += 1;
        wake();
      });
    }
    await holdWhile(() => counts.acknowledged < counts.published);
  } catch (error) {
    if (error instanceof CsvError)
      throw new FogwhiskError('CSV_UNUSABLE', { file, line: error.line, problem: error.message });
    if (error instanceof Error && 'syscall' in error) throw unreadable(file, error as NodeJS.ErrnoException);
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    progress.stop();
    await client.endAsync(counts.acknowledged < counts.published);
  }
  const { published, acknowledged, skippedRows, textCells } = counts;
  options.out.write(
    `${number(published)} readings published to ${topic}, ${number(acknowledged)} acknowledged by the broker.\n`,
  );
  if (skippedRows > 0)
    options.out.write(
      `${number(skippedRows)} rows left out: no time, no number, or not as many cells as the header.\n`,
    );
  if (textCells > 0) options.out.write(`${number(textCells)} cells left out: they are text.\n`);
  return { published, acknowledged, skippedRows };
}

type Reading = Record<string, number | string>;

async function* readings(
  source: AsyncIterable<Uint8Array>,
  { file, timeColumn, device, datacenterId }: ReplayOptions,
  counts: { skippedRows: number; textCells: number },
): AsyncGenerator<Reading> {
  const fixed: Reading = {};
  if (device !== undefined) fixed.device_fingerprint = numeric(device) ?? device;
  if (datacenterId !== undefined) fixed.datacenter_id = numeric(datacenterId) ?? datacenterId;
  let columns: readonly string[] | undefined;
  let timeIndex = 0;
  for await (const { line, cells } of readCsv(source)) {
    if (!columns) {
      columns = cells.map((name) => name.trim());
      if (timeColumn !== undefined) timeIndex = columns.indexOf(timeColumn);
      if (timeIndex < 0) {
        const problem = `there is no column "${timeColumn}" (there are ${columns.join(', ')})`;
        throw new FogwhiskError('CSV_UNUSABLE', { file, line, problem });
      }
      continue;
    }
    const time = isoTime(cells[timeIndex] ?? '');
    const values: Array<[string, number]> = [];
    for (const [index, cell] of cells.entries()) {
      if (index === timeIndex) continue;
      const value = numeric(cell);
      if (value !== undefined) values.push([columns[index] ?? '', value]);
      else if (!isAbsent(cell)) counts.textCells += 1;
    }
    if (time === undefined || values.length === 0 || cells.length !== columns.length) counts.skippedRows += 1;
    else yield { ...Object.fromEntries(values), ...fixed, time };
  }
}

function numeric(cell: string): number | undefined {
  const text = cell.trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function isAbsent(cell: string): boolean {
  return /^\s*(nan|na|n\/a|null)?\s*$/i.test(cell);
}

/** The cell as an ISO 8601 time with its offset; without one it is UTC. */
function isoTime(cell: string): string | undefined {
  const match = /^\s*(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s*([Zz]|[+-]\d\d:?\d\d)?)?\s*$/.exec(
    cell,
  );
  if (!match) return undefined;
  const [, date, time = '00:00', offset = 'Z'] = match;
  const text = `${date}T${time}${offset.toUpperCase()}`;
  return Number.isNaN(Date.parse(text)) ? undefined : text;
}

async function openClient({ brokerUrl, credentials, secureContext }: ReplayOptions): Promise<MqttClient> {
  const clientId = `fogwhisk-replay-${randomUUID()}`;
  try {
    const tls = secureContext && { secureContext, wsOptions: { secureContext } as object };
    const client = await connectAsync(brokerUrl, { ...credentials, ...tls, clientId, clean: true });
    // From here on MQTT.js connects again by itself, and sends again what was not acknowledged.
    client.on('error', () => {});
    return client;
  } catch (error) {
    const url = new URL(brokerUrl);
    const reason =
      certificateProblem(error) ??
      (error instanceof Error ? error.message || ('code' in error ? String(error.code) : error.name) : String(error));
    throw new FogwhiskError('BROKER_UNREACHABLE', { url: `${url.protocol}//${url.host}`, reason }, { cause: error });
  }
}

async function waitUntil(instant: number, signal: AbortSignal | undefined): Promise<void> {
  const ms = instant - performance.now();
  if (ms > 1) await sleep(ms, undefined, signal ? { signal } : {}).catch(() => {});
}

/** A bar on a terminal, a line now and then elsewhere. */
function showProgress({ out }: ReplayOptions, state: () => { published: number; acknowledged: number; part: number }) {
  const show = () => {
    const { published, acknowledged, part } = state();
    const percent = `${Math.floor(part * 100)} %`;
    if (!out.isTTY)
      return void out.write(`${percent} read, ${number(published)} published, ${number(acknowledged)} acknowledged\n`);
    const full = Math.round(part * BAR_CHARACTERS);
    out.write(
      `\r[${'#'.repeat(full)}${' '.repeat(BAR_CHARACTERS - full)}] ${percent.padStart(5)}  ${number(acknowledged)} acknowledged`,
    );
  };
  const timer = setInterval(show, out.isTTY ? TERMINAL_PROGRESS_MS : PLAIN_PROGRESS_MS);
  return {
    stop() {
      clearInterval(timer);
      if (!out.isTTY) return;
      show();
      out.write('\n');
    },
  };
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

function unreadable(file: string, error: NodeJS.ErrnoException): FogwhiskError {
  return new FogwhiskError('FILE_UNREADABLE', { file, reason: error.code ?? error.message }, { cause: error });
}
