import { copyFile, type FileHandle, open, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from '../core/crc32.ts';
import { FogwhiskError } from '../core/errors.ts';
import { syncDirectory } from './atomic-file.ts';

/**
 * The files of a log.
 *
 * A segment file is an 8-byte header (`FWLG`, format version as u32le) and records; a record is its payload's
 * length (u32le, never 0), the payload's CRC-32 (u32le) and the payload. A compacted segment is a sparse file with the
 * records that are still wanted where they always were; where others were is a hole: 0xffffffff and its bytes (u32le).
 */

/** Where a record starts: `segment * 2**32 + offset`, so positions sort in the order of appending. */
export type Position = number;

/** Something on disk that was not as it was written. `torn` is what a crash leaves and loses nothing that was durable. */
export interface LogProblem {
  readonly kind: 'torn' | 'damaged';
  readonly file: string;
  /** Byte range of the file that holds no valid record. */
  readonly from: number;
  readonly to: number;
  /** For `damaged`: where the segment as found was copied to. */
  readonly setAside?: string;
}

/** Takes a record, whose payload is the bytes of `data` from `from` to `to`. */
export type RecordVisitor = (position: Position, data: Buffer, from: number, to: number) => void;

const MAGIC = 'FWLG';
const VERSION = 1;
/** What a segment begins with. */
export const HEADER_BYTES = 8;
/** What a record takes besides its payload. */
export const RECORD_HEADER_BYTES = 8;
/** The largest payload; a larger length on disk is damage. */
export const MAX_RECORD_BYTES = 512 * 1024 * 1024;
/** What the positions of two segments' beginnings lie apart. */
export const SEGMENT_UNIT = 2 ** 32;
const HOLE = 0xffff_ffff;
/** How much may be read in vain in search of the record after a damaged one. */
const MAX_SEARCH_BYTES = 256 * 1024 * 1024;

/** The segment that a position is in. */
export function segmentOf(position: Position): number {
  return Math.floor(position / SEGMENT_UNIT);
}

/** The name of a segment's file. */
export function segmentName(number: number): string {
  return `${String(number).padStart(10, '0')}.log`;
}

/** Writes the header of a new segment; durable, with its name, when this resolves. */
export async function writeHeader(handle: FileHandle, directory: string): Promise<void> {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, 0, 'latin1');
  header.writeUInt32LE(VERSION, 4);
  await handle.write(header, 0, HEADER_BYTES, 0);
  await handle.datasync();
  await syncDirectory(directory);
}

/** Visits a segment's records and returns where its next record goes; cuts a torn tail, sets damage aside. */
export async function scanSegment(
  directory: string,
  number: number,
  isLast: boolean,
  visit: (payload: Buffer, position: Position) => void,
  onProblem: (problem: LogProblem) => void,
): Promise<number> {
  const file = join(directory, segmentName(number));
  const size = (await stat(file)).size;
  const handle = await open(file, 'r+');
  try {
    const data = await readRange(handle, 0, size);
    const version = size >= HEADER_BYTES ? data.readUInt32LE(4) : VERSION;
    const hasHeader = size >= HEADER_BYTES && data.toString('latin1', 0, 4) === MAGIC;
    if (hasHeader && version > VERSION)
      throw new FogwhiskError('LOG_VERSION_UNKNOWN', { file, version, known: VERSION });

    let end = HEADER_BYTES;
    for (const piece of segmentPieces(data, hasHeader ? HEADER_BYTES : 0)) {
      if (piece.kind === 'record') {
        visit(piece.payload, number * SEGMENT_UNIT + piece.from);
      } else if (piece.kind === 'tail' && isLast) {
        const kept = Math.max(piece.from, hasHeader ? HEADER_BYTES : 0);
        await handle.truncate(kept);
        await handle.sync();
        onProblem({ kind: 'torn', file, from: piece.from, to: size });
        return Math.max(kept, HEADER_BYTES);
      } else {
        onProblem({ kind: 'damaged', file, from: piece.from, to: piece.to, setAside: await setAside(file) });
      }
      end = piece.to;
    }
    // A crash may have come between a write and its fdatasync; what is handed out from here on counts as durable.
    if (isLast) await handle.datasync();
    return Math.max(end, HEADER_BYTES);
  } finally {
    await handle.close();
  }
}

/** A piece of a segment's bytes: a record, or what is none; `tail` where no record follows. */
export type SegmentPiece = { readonly from: number; readonly to: number } & (
  | { readonly kind: 'record'; readonly payload: Buffer }
  | { readonly kind: 'damaged' | 'tail' }
);

/** The pieces of a segment's bytes from `offset` on, in order and without gaps but for holes. */
export function* segmentPieces(data: Buffer, offset = HEADER_BYTES): Generator<SegmentPiece> {
  for (let from = offset; from < data.length; ) {
    const hole = holeEnd(data, from);
    if (hole !== undefined) {
      from = hole;
      continue;
    }
    const end = recordEnd(data, from);
    const next = end === undefined ? nextRecord(data, from + 1) : undefined;
    const to = end ?? next ?? data.length;
    if (end !== undefined) yield { kind: 'record', from, to, payload: data.subarray(from + RECORD_HEADER_BYTES, end) };
    else yield { kind: next === undefined ? 'tail' : 'damaged', from, to };
    from = to;
  }
}

/** A range of bytes. */
export interface Span {
  readonly from: number;
  to: number;
}

/**
 * Where the header and the records of a segment lie that are wanted.
 * @returns undefined for a segment that is damaged
 */
export function wantedSpans(data: Buffer, isWanted: (payload: Buffer) => boolean): Span[] | undefined {
  const spans: Span[] = [{ from: 0, to: HEADER_BYTES }];
  for (let offset = HEADER_BYTES; offset < data.length; ) {
    const hole = holeEnd(data, offset);
    const end = hole ?? recordEnd(data, offset);
    if (end === undefined) return undefined;
    if (hole === undefined && isWanted(data.subarray(offset + RECORD_HEADER_BYTES, end))) {
      const last = spans.at(-1)!;
      if (last.to === offset) last.to = end;
      else spans.push({ from: offset, to: end });
    }
    offset = end;
  }
  return spans;
}

/**
 * Replaces a segment's file by one with holes around the spans; a crash leaves the one or the other.
 * @returns the bytes of the holes
 */
export async function writeCompacted(file: string, data: Buffer, spans: readonly Span[]): Promise<number> {
  let kept = 0;
  const compacted = await open(`${file}.compacted`, 'w', 0o600);
  try {
    for (const [index, { from, to }] of spans.entries()) {
      await compacted.write(data, from, to - from, from);
      kept += to - from;
      const bytes = (spans[index + 1]?.from ?? data.length) - to;
      if (bytes === 0) continue;
      const header = Buffer.allocUnsafe(RECORD_HEADER_BYTES);
      header.writeUInt32LE(HOLE, 0);
      header.writeUInt32LE(bytes, 4);
      await compacted.write(header, 0, RECORD_HEADER_BYTES, to);
    }
    await compacted.truncate(data.length);
    await compacted.sync();
  } finally {
    await compacted.close();
  }
  await rename(`${file}.compacted`, file);
  await syncDirectory(dirname(file));
  return data.length - kept;
}

/** Keeps a damaged segment as it was found, for a person to look at. */
export async function setAside(file: string): Promise<string> {
  const copy = `${file}.damaged-${Date.now()}`;
  await copyFile(file, copy);
  return copy;
}

export async function readRange(handle: FileHandle, from: number, to: number): Promise<Buffer> {
  const data = Buffer.allocUnsafe(Math.max(0, to - from));
  for (let read = 0; read < data.length; ) {
    const { bytesRead } = await handle.read(data, read, data.length - read, from + read);
    if (bytesRead === 0) return data.subarray(0, read);
    read += bytesRead;
  }
  return data;
}

/** The end of the valid record at `offset`, or undefined if there is none. */
export function recordEnd(data: Buffer, offset: number): number | undefined {
  if (offset + RECORD_HEADER_BYTES > data.length) return undefined;
  const length = data.readUInt32LE(offset);
  const end = offset + RECORD_HEADER_BYTES + length;
  if (length === 0 || length > MAX_RECORD_BYTES || end > data.length) return undefined;
  return crc32(data, offset + RECORD_HEADER_BYTES, end) === data.readUInt32LE(offset + 4) ? end : undefined;
}

/** The end of the hole at `offset`, or undefined if there is none. */
export function holeEnd(data: Buffer, offset: number): number | undefined {
  if (offset + RECORD_HEADER_BYTES > data.length || data.readUInt32LE(offset) !== HOLE) return undefined;
  const bytes = data.readUInt32LE(offset + 4);
  return bytes >= RECORD_HEADER_BYTES ? offset + bytes : undefined;
}

/**
 * Where the hole ends that `offset` is in: it may have been between two holes before these became one. Undefined if it is
 * in none, or `data` does not tell.
 * @param isWhole whether `data` goes to the segment's end
 */
export function restOfHole(data: Buffer, offset: number, isWhole: boolean): number | undefined {
  let end = offset;
  while (end < data.length && data[end] === 0) end += 1;
  if (end - offset < 4) return undefined; // it may be a length
  if (end === data.length) return isWhole ? end : undefined;
  for (let at = end - 3; at <= end; at++) if (recordEnd(data, at)) return at;
  return undefined;
}

/** Where the first valid record at or after `from` is; `data.length` if it would take too long to tell. */
export function nextRecord(data: Buffer, from: number): number | undefined {
  let searched = 0;
  for (let offset = from; offset + RECORD_HEADER_BYTES < data.length; offset++) {
    if (recordEnd(data, offset)) return offset;
    // Bytes that look like a length cost a checksum over as many.
    const length = data.readUInt32LE(offset);
    if (offset + RECORD_HEADER_BYTES + length <= data.length) searched += length;
    if (searched > MAX_SEARCH_BYTES) return data.length;
  }
  return undefined;
}
