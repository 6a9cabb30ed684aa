import { constants } from 'node:fs';
import { copyFile, type FileHandle, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { FogwhiskError } from '../core/errors.ts';
import { syncDirectory } from './atomic-file.ts';

/**
 * An append-only, checksummed log in segment files, made durable by group commit. The site's journal,
 * the embedded broker's queue and the embedded InfluxDB's write log are all kept in one of these.
 *
 * A segment file is an 8-byte header (`FWLG`, format version as u32le) and records; a record is its payload's
 * length (u32le, never 0), the payload's CRC-32 (u32le) and the payload. A compacted segment is a sparse file with the
 * records that are still wanted where they always were; where others were is a hole: 0xffffffff and its bytes (u32le).
 *
 * One write and fdatasync is in flight at a time; whatever is appended meanwhile forms the next commit.
 * A write that fails (disk full, I/O error) is repeated at the same place until it succeeds or the log is closed:
 * nobody is told "durable" in the meantime, and no restart is needed when the disk has room again.
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

export interface LogOptions {
  readonly directory: string;
  /** A segment is closed when the next record would take it past this size. Default 16 MiB. */
  readonly segmentBytes?: number;
  /** How long the first record of a commit waits for company at most, in ms. Default 2. */
  readonly lingerMs?: number;
  /** A commit starts at once when this many bytes wait. Default 1 MiB. */
  readonly lingerBytes?: number;
  /** New segments get numbers above this one. Default 0. */
  readonly above?: number;
  /** Whether opening visits every segment (default) or only the last, whose tail must be checked anyway. */
  readonly visit?: 'all' | 'last';
  /** How much of what was appended last is kept in memory for `collect` and `recallFrom`. Default 0. */
  readonly keepBytes?: number;
  /** Called when writing starts to fail (with the error) and when it works again (with undefined). */
  readonly onStall?: (error: Error | undefined) => void;
}

const MAGIC = 'FWLG';
const VERSION = 1;
const HEADER_BYTES = 8;
/** What a record takes besides its payload. */
export const RECORD_HEADER_BYTES = 8;
const SEGMENT_UNIT = 2 ** 32;
/** The unit of `stat`'s blocks. */
const BLOCK_BYTES = 512;
const STALL_RETRY_MS = 250;
/** Records are gathered in memory of this size, which is much cheaper than a buffer each. */
const CHUNK_BYTES = 64 * 1024;
/** As many chunks are kept to be filled again. */
const FREE_CHUNKS = 16;
/** Records that are collected are read together up to this size, and as far as not more than that lies between two. */
const COLLECT_BYTES = 256 * 1024;
const COLLECT_GAP_BYTES = 16 * 1024;
/** A commit starts at once when this many records wait. */
const LINGER_RECORDS = 1_024;
/** Commits of fewer records than this are small: lingering may gather more. */
const SMALL_COMMIT = 64;
/** After so many small commits in a row lingering is tried; after each try in vain, twice as many, up to a bound. */
const FIRST_TRY_AFTER = 8;
const TRY_AFTER_MAX = 1_024;
/** The largest payload; a larger length on disk is damage. */
const MAX_RECORD_BYTES = 512 * 1024 * 1024;
const HOLE = 0xffff_ffff;
const NOTHING = new Uint8Array(0);
/** How much may be read in vain in search of the record after a damaged one. */
const MAX_SEARCH_BYTES = 256 * 1024 * 1024;

interface Segment {
  readonly number: number;
  /** Where it ends. */
  bytes: number;
  /** What it takes on the disk less than that. */
  holes: number;
}

/** Memory in which a piece of a segment is gathered, and where that piece begins. */
interface Chunk {
  readonly data: Buffer;
  readonly segment: Segment;
  readonly offset: number;
  used: number;
}

/** The part of a chunk that is to be written. */
interface PendingWrite {
  readonly chunk: Chunk;
  readonly from: number;
  to: number;
}

export class SegmentedLog {
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #above: number;
  readonly #lingerMs: number;
  readonly #lingerBytes: number;
  readonly #onStall: (error: Error | undefined) => void;
  readonly #segments = new Map<number, Segment>();
  readonly #handles = new Map<number, FileHandle>();
  #current: Segment;
  #bytes = 0;
  #pending: PendingWrite[] = [];
  readonly #keepBytes: number;
  /** What was appended last, oldest first; the next record is gathered in the last of them. */
  #chunks: Chunk[] = [];
  #chunkBytes = 0;
  #freeChunks: Buffer[] = [];
  #pendingBytes = 0;
  #waiters: Array<{ resolve: () => void; reject: (error: Error) => void }> = [];
  #committing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether {@link #lingerOrCommit} will be called. */
  #scheduled = false;
  #pendingRecords = 0;
  #lingerPays = false;
  #smallCommits = 0;
  #tryAfter = FIRST_TRY_AFTER;
  #stalledBy: Error | undefined;
  #durableEnd: Position;
  #onProblem: (problem: LogProblem) => void;
  /** Where damage was reported. */
  readonly #damaged = new Set<Position>();
  #closed = false;
  #commits = 0;

  private constructor(options: LogOptions, segments: Segment[], onProblem: (problem: LogProblem) => void) {
    this.#directory = options.directory;
    this.#onProblem = onProblem;
    this.#segmentBytes = options.segmentBytes ?? 16 * 1024 * 1024;
    this.#lingerMs = options.lingerMs ?? 2;
    this.#lingerBytes = options.lingerBytes ?? 1024 * 1024;
    this.#onStall = options.onStall ?? (() => {});
    for (const segment of segments) {
      this.#segments.set(segment.number, segment);
      this.#bytes += segment.bytes - segment.holes;
    }
    this.#above = options.above ?? 0;
    this.#keepBytes = options.keepBytes ?? 0;
    this.#current = segments.at(-1) ?? this.#addSegment(this.#above + 1);
    this.#durableEnd = endOf(this.#current);
  }

  /**
   * Opens the log, making its directory if needed, and hands its records (see {@link LogOptions.visit}) to `visit`
   * in the order of appending.
   * @throws FogwhiskError `LOG_VERSION_UNKNOWN` for a segment of a newer format
   */
  static async open(
    options: LogOptions,
    visit: (payload: Buffer, position: Position) => void,
    onProblem: (problem: LogProblem) => void,
  ): Promise<SegmentedLog> {
    await mkdir(options.directory, { recursive: true });
    const numbers = (await readdir(options.directory))
      .filter((name) => /^\d{10}\.log$/.test(name))
      .map((name) => Number.parseInt(name, 10))
      .sort((a, b) => a - b);
    const segments: Segment[] = [];
    for (const number of numbers) {
      const isLast = number === numbers.at(-1);
      const { size, blocks } = await stat(join(options.directory, segmentName(number)));
      const bytes =
        isLast || options.visit !== 'last'
          ? await scanSegment(options.directory, number, isLast, visit, onProblem)
          : size;
      segments.push({ number, bytes, holes: Math.max(0, size - blocks * BLOCK_BYTES) });
    }
    return new SegmentedLog(options, segments, onProblem);
  }

  /** What all segments take on the disk, what waits to be written included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes appended and not yet durable. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Why writing fails at the moment, if it does. */
  get stalledBy(): Error | undefined {
    return this.#stalledBy;
  }

  /** How many group commits (one fdatasync or more each) have been made since the log was opened. */
  get commits(): number {
    return this.#commits;
  }

  /** Where the records that are durable end. */
  get durableEnd(): Position {
    return this.#durableEnd;
  }

  /** The segment that a record appended now would be in, or a later one. */
  get currentSegment(): number {
    return this.#current.number;
  }

  /** The numbers of all segments, oldest first. */
  get segmentNumbers(): number[] {
    return [...this.#segments.keys()];
  }

  /** The size of one segment in bytes; 0 if there is no such segment. */
  segmentSize(segment: number): number {
    return this.#segments.get(segment)?.bytes ?? 0;
  }

  /** Adds a record (`head` and `body` joined) to the next commit and says where it will be. Durable when {@link durable} resolves. */
  append(head: Uint8Array, body: Uint8Array = NOTHING): Position {
    if (this.#closed) throw new Error('the log is closed');
    const payloadBytes = head.length + body.length;
    if (payloadBytes === 0 || payloadBytes > MAX_RECORD_BYTES)
      throw new RangeError(`a record of ${payloadBytes} bytes`);
    const bytes = RECORD_HEADER_BYTES + payloadBytes;
    if (this.#current.bytes + bytes > this.#segmentBytes && this.#current.bytes > HEADER_BYTES) this.startSegment();
    const segment = this.#current;
    const chunk = this.#chunkFor(segment, bytes);
    const { data, used: from } = chunk;
    const to = from + bytes;
    data.set(head, from + RECORD_HEADER_BYTES);
    data.set(body, to - body.length);
    data.writeUInt32LE(payloadBytes, from);
    data.writeUInt32LE(crc32(data.subarray(from + RECORD_HEADER_BYTES, to)), from + 4);
    chunk.used = to;
    const last = this.#pending.at(-1);
    if (last?.chunk === chunk) last.to = to;
    else this.#pending.push({ chunk, from, to });
    const offset = segment.bytes;
    segment.bytes += bytes;
    this.#bytes += bytes;
    this.#pendingBytes += bytes;
    this.#pendingRecords += 1;
    this.#schedule();
    return segment.number * SEGMENT_UNIT + offset;
  }

  /** The chunk where a record of so many bytes goes. */
  #chunkFor(segment: Segment, bytes: number): Chunk {
    const last = this.#chunks.at(-1);
    if (last?.segment === segment && last.used + bytes <= last.data.length) return last;
    const data =
      (bytes <= CHUNK_BYTES && this.#freeChunks.pop()) || Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes));
    const chunk = { data, segment, offset: segment.bytes, used: 0 };
    this.#chunks.push(chunk);
    this.#chunkBytes += data.length;
    return chunk;
  }

  /** Lets go of the oldest chunks that are durable, so far as there is more than is to be kept. */
  #trimChunks(): void {
    let gone = 0;
    while (this.#chunkBytes > this.#keepBytes && gone < this.#chunks.length - 1) {
      const chunk = this.#chunks[gone]!;
      const { data } = chunk;
      if (endOfChunk(chunk) > this.#durableEnd) break;
      if (data.length === CHUNK_BYTES && this.#freeChunks.length < FREE_CHUNKS) this.#freeChunks.push(data);
      this.#chunkBytes -= data.length;
      gone += 1;
    }
    if (gone > 0) this.#chunks.splice(0, gone);
  }

  /** Resolves when everything appended before this call is on disk; rejects only if the log is closed before that. */
  durable(): Promise<void> {
    if (this.#pending.length === 0 && !this.#committing) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Reads one durable record's payload. @throws Error if it is not there or damaged */
  async read(position: Position): Promise<Buffer> {
    const number = segmentOf(position);
    const offset = position % SEGMENT_UNIT;
    const handle = await this.#handle(number);
    const header = Buffer.allocUnsafe(RECORD_HEADER_BYTES);
    const { bytesRead } = await handle.read(header, 0, RECORD_HEADER_BYTES, offset);
    const length = bytesRead === RECORD_HEADER_BYTES ? header.readUInt32LE(0) : 0;
    if (length === 0 || length > MAX_RECORD_BYTES) throw new Error(`${segmentName(number)} has no record at ${offset}`);
    const payload = Buffer.allocUnsafe(length);
    const read = await handle.read(payload, 0, length, offset + RECORD_HEADER_BYTES);
    if (read.bytesRead !== length || crc32(payload) !== header.readUInt32LE(4)) {
      throw new Error(`${segmentName(number)} has a damaged record at ${offset}`);
    }
    return payload;
  }

  /**
   * As {@link readFrom}, of records that are in memory still, whose bytes are good only until `visit` returns; undefined
   * where they are not, or none is durable.
   */
  recallFrom(from: Position, visit: RecordVisitor): Position | undefined {
    const index = this.#chunks.findIndex((chunk) => endOfChunk(chunk) > from);
    const chunk = this.#chunks[index];
    if (!chunk) return undefined;
    const start = startOfChunk(chunk);
    const before = this.#chunks[index - 1];
    if (from < start && (!before || endOfChunk(before) !== from)) return undefined;
    const begin = Math.max(from, start);
    const end = Math.min(endOfChunk(chunk), this.#durableEnd);
    if (end <= begin) return undefined;
    visitChunk(chunk, begin, end, visit);
    return end;
  }

  /** Shows what was appended and is not durable yet; the bytes are good only until `visit` returns. */
  visitUndurable(visit: RecordVisitor): void {
    for (const chunk of this.#chunks) {
      visitChunk(chunk, Math.max(startOfChunk(chunk), this.#durableEnd), endOfChunk(chunk), visit);
    }
  }

  /**
   * Hands durable records, whose positions are given in ascending order, to `visit`, for good. What was removed or is
   * damaged is left out; damage is reported.
   */
  async collect(positions: readonly Position[], visit: RecordVisitor): Promise<void> {
    for (let index = 0; index < positions.length; ) {
      const first = positions[index]!;
      const number = segmentOf(first);
      if (!this.#segments.has(number)) {
        index += 1;
        continue;
      }
      const chunk = this.#chunks.findLast((each) => startOfChunk(each) <= first && first < endOfChunk(each));
      const source = chunk
        ? { data: chunk.data, offset: chunk.offset, end: chunk.used }
        : await this.#readTogether(positions, index);
      const start = number * SEGMENT_UNIT + source.offset;
      const taken = index;
      let end = first - start;
      let bytes = 0;
      for (; index < positions.length; index++) {
        const from = positions[index]! - start;
        if (from >= source.end) break;
        const to = chunk ? from + RECORD_HEADER_BYTES + source.data.readUInt32LE(from) : recordEnd(source.data, from);
        if (to === undefined) break;
        bytes += to - from;
        end = to;
      }
      // Copied, since a chunk is filled again: all together, unless that were mostly what is not wanted.
      const begin = first - start;
      const together = 2 * bytes >= end - begin ? copied(source.data, begin, end) : undefined;
      for (let each = taken; each < index; each++) {
        const position = positions[each]!;
        const from = position - start + RECORD_HEADER_BYTES;
        const to = from + source.data.readUInt32LE(position - start);
        if (together) visit(position, together, from - begin, to - begin);
        else visit(position, copied(source.data, from, to), 0, to - from);
      }
      if (index > taken) continue;
      // A record too large to be read with others, a hole or damage.
      await this.readFrom(first, (position, data, from, to) => {
        if (position === first) visit(first, copied(data, from, to), 0, to - from);
      });
      index += 1;
    }
  }

  /** Reads the bytes of a segment that hold the record at `positions[index]`, and those after it that lie near. */
  async #readTogether(
    positions: readonly Position[],
    index: number,
  ): Promise<{ data: Buffer; offset: number; end: number }> {
    const first = positions[index]!;
    let last = first;
    for (let next = index + 1; next < positions.length; next++) {
      const position = positions[next]!;
      if (position - last > COLLECT_GAP_BYTES || position - first > COLLECT_BYTES) break;
      last = position;
    }
    const number = segmentOf(first);
    const offset = first % SEGMENT_UNIT;
    const end = Math.min(this.segmentSize(number), (last % SEGMENT_UNIT) + COLLECT_GAP_BYTES);
    const read = async () => readRange(await this.#handle(number), offset, end);
    const data = await read().catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EBADF') throw error;
      // The segment was compacted or removed in between.
      return this.#segments.has(number) ? read() : Buffer.alloc(0);
    });
    return { data, offset, end: data.length };
  }

  /**
   * Reads durable records in order from a position that a record, an earlier answer or 0 gave: at most `maxBytes` of
   * one segment, but always a whole record. Damage is reported, set aside and passed over.
   * @returns where to go on; `from` at the end
   */
  async readFrom(from: Position, visit: RecordVisitor, maxBytes = 1024 * 1024): Promise<Position> {
    try {
      return await this.#readFrom(from, visit, maxBytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBADF') throw error;
      return this.#readFrom(from, visit, maxBytes); // the segment was compacted in between
    }
  }

  /** Reads the durable records of one segment. */
  async readSegment(number: number, visit: RecordVisitor): Promise<void> {
    for (let at = number * SEGMENT_UNIT + HEADER_BYTES; at < this.#endOfSegment(number); ) {
      const next = await this.readFrom(at, visit);
      if (next === at) return;
      at = next;
    }
  }

  #endOfSegment(number: number): Position {
    const segment = this.#segments.get(number);
    return segment ? Math.min(endOf(segment), this.#durableEnd) : 0;
  }

  async #readFrom(from: Position, visit: RecordVisitor, maxBytes: number): Promise<Position> {
    const number = this.segmentNumbers.find(
      (each) => endOf(this.#segments.get(each)!) > Math.max(from, each * SEGMENT_UNIT + HEADER_BYTES),
    );
    if (number === undefined || this.#durableEnd <= from) return from;
    const base = number * SEGMENT_UNIT;
    const start = Math.max(from - base, HEADER_BYTES);
    const end = Math.min(this.#segments.get(number)!.bytes, this.#durableEnd - base);
    if (end <= start) return from;
    const handle = await this.#handle(number);
    const data = await readRange(handle, start, Math.min(end, start + maxBytes));
    const isCompacted = this.#segments.get(number)!.holes > 0;
    let offset = 0;
    for (;;) {
      const hole = holeEnd(data, offset) ?? (isCompacted ? restOfHole(data, offset, false) : undefined);
      const stop = hole ?? recordEnd(data, offset);
      if (stop === undefined) break;
      if (hole === undefined) visit(base + start + offset, data, offset + RECORD_HEADER_BYTES, stop);
      offset = stop;
    }
    if (offset > 0) return base + start + offset;
    const rest = await readRange(handle, start, end);
    const stop = recordEnd(rest, 0);
    if (stop) {
      visit(base + start, rest, RECORD_HEADER_BYTES, stop);
      return base + start + stop;
    }
    const hole = isCompacted ? restOfHole(rest, 0, true) : undefined;
    if (hole) return base + start + hole;
    const file = join(this.#directory, segmentName(number));
    const to = start + (nextRecord(rest, 1) ?? rest.length);
    const place = base + start;
    if (!this.#damaged.has(place)) {
      this.#damaged.add(place);
      this.#onProblem({ kind: 'damaged', file, from: start, to, setAside: await setAside(file) });
    }
    return base + to;
  }

  /**
   * Lets go of a closed segment's records that are not wanted any more; the others keep their places. Durable when it
   * resolves; a crash leaves the segment as it was. A damaged segment is left as it is.
   */
  async compact(number: number, isWanted: (payload: Buffer) => boolean): Promise<void> {
    const segment = this.#segments.get(number);
    if (!segment || segment === this.#current) return;
    const file = join(this.#directory, segmentName(number));
    const data = await readRange(await this.#handle(number), 0, segment.bytes);
    const pieces: Array<{ from: number; to: number }> = [{ from: 0, to: HEADER_BYTES }];
    for (let offset = HEADER_BYTES; offset < data.length; ) {
      const hole = holeEnd(data, offset);
      const end = hole ?? recordEnd(data, offset);
      if (end === undefined) return;
      if (hole === undefined && isWanted(data.subarray(offset + RECORD_HEADER_BYTES, end))) {
        const last = pieces.at(-1)!;
        if (last.to === offset) last.to = end;
        else pieces.push({ from: offset, to: end });
      }
      offset = end;
    }
    const compacted = await open(`${file}.compacted`, 'w', 0o600);
    try {
      let kept = 0;
      for (const [index, { from, to }] of pieces.entries()) {
        await compacted.write(data, from, to - from, from);
        kept += to - from;
        const bytes = (pieces[index + 1]?.from ?? data.length) - to;
        if (bytes === 0) continue;
        const header = Buffer.allocUnsafe(RECORD_HEADER_BYTES);
        header.writeUInt32LE(HOLE, 0);
        header.writeUInt32LE(bytes, 4);
        await compacted.write(header, 0, RECORD_HEADER_BYTES, to);
      }
      await compacted.truncate(data.length);
      await compacted.sync();
      this.#bytes -= data.length - kept - segment.holes;
      segment.holes = data.length - kept;
    } finally {
      await compacted.close();
    }
    await rename(`${file}.compacted`, file);
    await syncDirectory(this.#directory);
    const old = this.#handles.get(number);
    this.#handles.delete(number);
    await old?.close();
  }

  /** Closes the current segment: later records go to a new one. */
  startSegment(): void {
    this.#current = this.#addSegment(Math.max(this.#current.number, this.#above) + 1);
  }

  /** Deletes a segment that is not the current one; its records are gone when this resolves. */
  async removeSegment(number: number): Promise<void> {
    const segment = this.#segments.get(number);
    if (!segment || segment === this.#current) return;
    this.#segments.delete(number);
    this.#bytes -= segment.bytes - segment.holes;
    await this.#handles.get(number)?.close();
    this.#handles.delete(number);
    await unlink(join(this.#directory, segmentName(number))).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await syncDirectory(this.#directory);
  }

  /** Makes what was appended durable and closes the files. While writing fails, gives up and rejects those who wait. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    if (this.#committing) await this.#committing;
    if (this.#pending.length > 0) await this.#commit();
    for (const handle of this.#handles.values()) await handle.close();
    this.#handles.clear();
  }

  #addSegment(number: number): Segment {
    const segment = { number, bytes: HEADER_BYTES, holes: 0 };
    this.#segments.set(number, segment);
    this.#bytes += HEADER_BYTES;
    return segment;
  }

  #schedule(): void {
    if (this.#committing) return;
    const isMuch = this.#pendingBytes >= this.#lingerBytes || this.#pendingRecords >= LINGER_RECORDS;
    if (isMuch || this.#lingerMs === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      void this.#commit();
    } else if (!this.#timer && !this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.#lingerOrCommit());
    }
  }

  /**
   * Lingers only where that gathers company: a sender that waits for its acknowledgements sends its next burst the
   * sooner, one that sends steadily would cost an fdatasync for every few records.
   */
  #lingerOrCommit(): void {
    this.#scheduled = false;
    if (this.#committing || this.#pending.length === 0) return;
    const burst = this.#pendingRecords;
    if (!this.#lingerPays) {
      this.#smallCommits = burst < SMALL_COMMIT ? this.#smallCommits + 1 : 0;
      this.#lingerPays = this.#smallCommits >= this.#tryAfter;
      if (!this.#closed) void this.#commit();
      return;
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#lingerPays = this.#pendingRecords >= 2 * burst;
      this.#tryAfter = this.#lingerPays ? FIRST_TRY_AFTER : Math.min(2 * this.#tryAfter, TRY_AFTER_MAX);
      this.#smallCommits = 0;
      void this.#commit();
    }, this.#lingerMs);
  }

  async #commit(): Promise<void> {
    const writes = this.#pending;
    const waiters = this.#waiters;
    const bytes = this.#pendingBytes;
    this.#pending = [];
    this.#pendingRecords = 0;
    this.#waiters = [];
    this.#committing = this.#writeUntilDurable(writes).then(
      () => {
        const { chunk, to } = writes.at(-1)!;
        this.#durableEnd = startOfChunk(chunk) + to;
        this.#pendingBytes -= bytes;
        this.#trimChunks();
        this.#commits += 1;
        for (const waiter of waiters) waiter.resolve();
      },
      (error: Error) => {
        for (const waiter of waiters) waiter.reject(error);
      },
    );
    await this.#committing;
    this.#committing = undefined;
    if (this.#pending.length > 0) {
      if (!this.#closed) this.#schedule();
    } else {
      const failed = this.#closed ? this.#stalledBy : undefined;
      for (const waiter of this.#waiters.splice(0)) failed ? waiter.reject(failed) : waiter.resolve();
    }
  }

  async #writeUntilDurable(writes: PendingWrite[]): Promise<void> {
    for (;;) {
      try {
        await this.#write(writes);
        if (this.#stalledBy) {
          this.#stalledBy = undefined;
          this.#onStall(undefined);
        }
        return;
      } catch (error) {
        if (this.#closed) throw error;
        if (!this.#stalledBy) this.#onStall(error as Error);
        this.#stalledBy = error as Error;
        await sleep(STALL_RETRY_MS);
      }
    }
  }

  async #write(writes: readonly PendingWrite[]): Promise<void> {
    for (const [index, { chunk, from, to }] of writes.entries()) {
      const handle = await this.#handle(chunk.segment.number);
      for (let next = from; next < to; ) {
        next += (await handle.write(chunk.data, next, to - next, chunk.offset + next)).bytesWritten;
      }
      if (writes[index + 1]?.chunk.segment !== chunk.segment) await handle.datasync();
    }
  }

  async #handle(number: number): Promise<FileHandle> {
    const known = this.#handles.get(number);
    if (known) return known;
    if (!this.#segments.has(number)) throw new Error(`${segmentName(number)} is not in the log`);
    const handle = await open(join(this.#directory, segmentName(number)), constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      if ((await handle.stat()).size < HEADER_BYTES) {
        const header = Buffer.alloc(HEADER_BYTES);
        header.write(MAGIC, 0, 'latin1');
        header.writeUInt32LE(VERSION, 4);
        await handle.write(header, 0, HEADER_BYTES, 0);
        await handle.datasync();
        await syncDirectory(this.#directory);
      }
    } catch (error) {
      await handle.close();
      throw error;
    }
    const raced = this.#handles.get(number);
    if (raced) {
      await handle.close();
      return raced;
    }
    this.#handles.set(number, handle);
    return handle;
  }
}

/** Visits a segment's records and returns where its next record goes; cuts a torn tail, sets damage aside. */
async function scanSegment(
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

/** Keeps a damaged segment as it was found, for a person to look at. */
async function setAside(file: string): Promise<string> {
  const copy = `${file}.damaged-${Date.now()}`;
  await copyFile(file, copy);
  return copy;
}

async function readRange(handle: FileHandle, from: number, to: number): Promise<Buffer> {
  const data = Buffer.allocUnsafe(Math.max(0, to - from));
  for (let read = 0; read < data.length; ) {
    const { bytesRead } = await handle.read(data, read, data.length - read, from + read);
    if (bytesRead === 0) return data.subarray(0, read);
    read += bytesRead;
  }
  return data;
}

function copied(data: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from);
  data.copy(copy, 0, from, to);
  return copy;
}

/** The end of the valid record at `offset`, or undefined if there is none. */
function recordEnd(data: Buffer, offset: number): number | undefined {
  if (offset + RECORD_HEADER_BYTES > data.length) return undefined;
  const length = data.readUInt32LE(offset);
  const end = offset + RECORD_HEADER_BYTES + length;
  if (length === 0 || length > MAX_RECORD_BYTES || end > data.length) return undefined;
  return crc32(data.subarray(offset + RECORD_HEADER_BYTES, end)) === data.readUInt32LE(offset + 4) ? end : undefined;
}

/** The end of the hole at `offset`, or undefined if there is none. */
function holeEnd(data: Buffer, offset: number): number | undefined {
  if (offset + RECORD_HEADER_BYTES > data.length || data.readUInt32LE(offset) !== HOLE) return undefined;
  const bytes = data.readUInt32LE(offset + 4);
  return bytes >= RECORD_HEADER_BYTES ? offset + bytes : undefined;
}

/**
 * Where the hole ends that `offset` is in: it may have been between two holes before these became one. Undefined if it is
 * in none, or `data` does not tell.
 * @param isWhole whether `data` goes to the segment's end
 */
function restOfHole(data: Buffer, offset: number, isWhole: boolean): number | undefined {
  let end = offset;
  while (end < data.length && data[end] === 0) end += 1;
  if (end - offset < 4) return undefined; // it may be a length
  if (end === data.length) return isWhole ? end : undefined;
  for (let at = end - 3; at <= end; at++) if (recordEnd(data, at)) return at;
  return undefined;
}

/** Where the first valid record at or after `from` is; `data.length` if it would take too long to tell. */
function nextRecord(data: Buffer, from: number): number | undefined {
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

function visitChunk(chunk: Chunk, from: Position, to: Position, visit: RecordVisitor): void {
  const start = startOfChunk(chunk);
  const { data } = chunk;
  for (let offset = from - start; offset < to - start; ) {
    const end = offset + RECORD_HEADER_BYTES + data.readUInt32LE(offset);
    visit(start + offset, data, offset + RECORD_HEADER_BYTES, end);
    offset = end;
  }
}

function startOfChunk({ segment, offset }: Chunk): Position {
  return segment.number * SEGMENT_UNIT + offset;
}

function endOfChunk(chunk: Chunk): Position {
  return startOfChunk(chunk) + chunk.used;
}

function endOf({ number, bytes }: Segment): Position {
  return number * SEGMENT_UNIT + bytes;
}

/** The segment that a position is in. */
export function segmentOf(position: Position): number {
  return Math.floor(position / SEGMENT_UNIT);
}

function segmentName(number: number): string {
  return `${String(number).padStart(10, '0')}.log`;
}
