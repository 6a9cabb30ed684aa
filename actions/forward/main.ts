import { type Connection, connectionOf, type Line, type RefusedLine, write } from '../shared/influx.ts';
import { patternsOf } from '../shared/options.ts';
import { parametersOf } from '../shared/parameters.ts';
import type { Params } from '../shared/payload.ts';
import { settled } from '../shared/receipt.ts';
import { ActionError, type Result } from '../shared/result.ts';
import { isoWindow, type Window, windowOf } from '../shared/window.ts';
import { linesOf } from './points.ts';

/** After so long the rest is left to a firing of its own, so that the receipt comes in time. */
const WORK_MS = 15_000;
/** Lines of one write. */
const CHUNK_LINES = 5_000;
/** How much of the window is read at once: as much as has about so many lines and takes about so long. */
const SLICE_LINES = 50_000;
const SLICE_TAKES_MS = 3_000;
const FIRST_SLICE_MS = 60_000;
const SHORTEST_SLICE_MS = 100;
/** How much longer a slice may be than the one before. */
const GROWTH = 8;
const RECEIPT_TIMEOUT_SECONDS = 60;

/**
 * Copies the points of a window from the site's InfluxDB to the central one: `measurements` (patterns) of `bucket`
 * into `central_bucket`, or into the bucket that the payload names as `centralBucket`. The same points overwrite
 * themselves, so what was written halfway is written again.
 */
export function main(params: Params): Promise<Result> {
  return settled(params, async () => {
    const parameters = await parametersOf(params);
    const window = windowOf(params);
    if (!window) throw new ActionError('PAYLOAD_INVALID', 'window is missing: what is to be forwarded?');
    if (!parameters.central_url) return { result: { points: 0, forwarded: 'nowhere: there is no central InfluxDB' } };

    const { kind = '', bucket, centralBucket } = params;
    const local = connectionOf({ ...parameters, ...(bucket !== undefined && { influx_bucket: bucket }) });
    const center = connectionOf(
      { ...parameters, ...(centralBucket !== undefined && { central_bucket: centralBucket }) },
      'central',
    );
    const measurements = patternsOf(params.measurements);
    const { end, refused, ...done } = await copy(local, center, window, measurements);
    const rest = end < window.to ? isoWindow({ from: end, to: window.to }) : undefined;
    const payload = { kind, bucket, ...(centralBucket !== undefined && { centralBucket }), measurements, window: rest };
    const trigger = typeof parameters.forwardTrigger === 'string' ? parameters.forwardTrigger : 'forwardTrigger';
    const next = { trigger, key: `forward ${end}`, payload, receiptTimeoutSeconds: RECEIPT_TIMEOUT_SECONDS };
    return {
      result: {
        kind,
        ...done,
        ...(rest && { rest }),
        ...(refused && { refused: refused.lines, reason: refused.reason }),
      },
      refused: refused && {
        code: 'INFLUX_REFUSED',
        message: `the central bucket ${center.bucket} refused ${refused.lines} of ${done.points + refused.lines} values (the others are stored): ${refused.reason}`,
      },
      ...(rest && { next: [next] }),
    };
  });
}

interface Copied {
  points: number;
  /** Of line protocol, before compression. */
  bytes: number;
  chunks: number;
  /** Up to where the window is copied. */
  end: number;
  refused?: { lines: number; readonly reason: string };
}

/** Slice by slice of time, so that a window of any size can be left and taken up again; each slice streams. */
async function copy(
  local: Connection,
  center: Connection,
  window: Window,
  measurements: readonly string[],
): Promise<Copied> {
  const copied: Copied = { points: 0, bytes: 0, chunks: 0, end: window.from };
  const stopAt = performance.now() + WORK_MS;
  for (let sliceMs = FIRST_SLICE_MS; copied.end < window.to && performance.now() < stopAt; ) {
    const slice = { from: copied.end, to: Math.min(copied.end + sliceMs, window.to) };
    const startedAt = performance.now();
    const lines = await copySlice(local, center, slice, measurements, copied);
    copied.end = slice.to;
    const takes = performance.now() - startedAt;
    const fitting = Math.min(GROWTH, SLICE_LINES / Math.max(lines, 1), SLICE_TAKES_MS / takes);
    sliceMs = Math.max(SHORTEST_SLICE_MS, Math.floor(sliceMs * fitting));
  }
  return copied;
}

async function copySlice(
  local: Connection,
  center: Connection,
  slice: Window,
  measurements: readonly string[],
  copied: Copied,
): Promise<number> {
  let chunk: Line[] = [];
  let lines = 0;
  const send = async () => {
    if (chunk.length === 0) return;
    const refused = await write(center, chunk);
    account(copied, chunk, refused);
    chunk = [];
  };
  for await (const text of linesOf(local, slice, measurements)) {
    chunk.push({ message: lines++, text });
    if (chunk.length === CHUNK_LINES) await send();
  }
  await send();
  return lines;
}

function account(copied: Copied, chunk: readonly Line[], refused: readonly RefusedLine[]): void {
  copied.points += chunk.length - refused.length;
  copied.bytes += chunk.reduce((sum, { text }) => sum + Buffer.byteLength(text) + 1, 0);
  copied.chunks += 1;
  if (refused[0]) copied.refused = { lines: (copied.refused?.lines ?? 0) + refused.length, reason: refused[0].reason };
}
