import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from '../core/crc32.ts';
import { syncDirectory } from './atomic-file.ts';
import { OpenFiles } from './open-files.ts';
import { type Chunk, RecentRecords } from './recent-records.ts';
import {
  HEADER_BYTES,
  holeEnd,
  type LogProblem,
  MAX_RECORD_BYTES,
  nextRecord,
  type Position,
  RECORD_HEADER_BYTES,
  type RecordVisitor,
  readRange,
  recordEnd,
  restOfHole,
  SEGMENT_UNIT,
  scanSegment,
  segmentName,
  segmentOf,
  setAside,
  wantedSpans,
  writeCompacted,
  writeHeader,
} from './segment-file.ts';

export { type LogProblem, type Position, type RecordVisitor, segmentOf } from './segment-file.ts';

/**
 * An append-only, checksummed log in segment files (segment-file.ts), made durable by group commit. The site's journal,
 * the embedded broker's queue and the embedded InfluxDB's write log are all kept in one of these.
 *
 * One write and fdatasync is in flight at a time; whatever is appended meanwhile forms the next commit.
 * A write that fails (disk full, I/O error) is repeated at the same place until it succeeds or the log is closed:
 * nobody is told "durable" in the meantime, and no restart is needed when the disk has room again.
 */

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

/** The unit of `stat`'s blocks. */
const BLOCK_BYTES = 512;
const STALL_RETRY_MS = 250;
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
const NOTHING = new Uint8Array(0);

interface Segment {
  readonly number: number;
  /** Where it ends. */
  bytes: number;
  /** What it takes on the disk less than that. */
  holes: number;
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
  readonly #files = new OpenFiles((number) => this.#openSegment(number));
  #current: Segment;
  #bytes = 0;
  #pending: PendingWrite[] = [];
  readonly #recent: RecentRecords;
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
    this.#recent = new RecentRecords(options.keepBytes ?? 0);
    this.#current = segments.at(-1) ?? this.#addSegment(this.#above + 1);
    this.#durableEnd = endOfSegment(this.#current);
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
    const chunk = this.#recent.chunkFor(segment.number, segment.bytes, bytes);
    const { data, used: from } = chunk;
    const to = from + bytes;
    data.set(head, from + RECORD_HEADER_BYTES);
    data.set(body, to - body.length);
    data.writeUInt32LE(payloadBytes, from);
    data.writeUInt32LE(crc32(data, from + RECORD_HEADER_BYTES, to), from + 4);
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

  /** Resolves when everything appended before this call is on disk; rejects only if the log is closed before that. */
  durable(): Promise<void> {
    if (this.#pending.length === 0 && !this.#committing) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Reads one durable record's payload. @throws Error if it is not there or damaged */
  async read(position: Position): Promise<Buffer> {
    const number = segmentOf(position);
    const offset = position % SEGMENT_UNIT;
    const handle = await this.#files.get(number);
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
    return this.#recent.visitAfter(from, this.#durableEnd, visit);
  }

  /** Shows what was appended and is not durable yet; the bytes are good only until `visit` returns. */
  visitUndurable(visit: RecordVisitor): void {
    this.#recent.visitFrom(this.#durableEnd, visit);
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
      const chunk = this.#recent.chunkAt(first);
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
    const read = async () => readRange(await this.#files.get(number), offset, end);
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
    return segment ? Math.min(endOfSegment(segment), this.#durableEnd) : 0;
  }

  async #readFrom(from: Position, visit: RecordVisitor, maxBytes: number): Promise<Position> {
    const number = this.segmentNumbers.find(
      (each) => endOfSegment(this.#segments.get(each)!) > Math.max(from, each * SEGMENT_UNIT + HEADER_BYTES),
    );
    if (number === undefined || this.#durableEnd <= from) return from;
    const base = number * SEGMENT_UNIT;
    const start = Math.max(from - base, HEADER_BYTES);
    const end = Math.min(this.#segments.get(number)!.bytes, this.#durableEnd - base);
    if (end <= start) return from;
    const handle = await this.#files.get(number);
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
    const data = await readRange(await this.#files.get(number), 0, segment.bytes);
    const spans = wantedSpans(data, isWanted);
    if (!spans) return;
    const holes = await writeCompacted(file, data, spans);
    this.#bytes -= holes - segment.holes;
    segment.holes = holes;
    await this.#files.close(number);
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
    await this.#files.close(number);
    await rm(join(this.#directory, segmentName(number)), { force: true });
    await syncDirectory(this.#directory);
  }

  /** Makes what was appended durable and closes the files. While writing fails, gives up and rejects those who wait. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    if (this.#committing) await this.#committing;
    if (this.#pending.length > 0) await this.#commit();
    await this.#files.closeAll();
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
        this.#durableEnd = chunk.segment * SEGMENT_UNIT + chunk.offset + to;
        this.#pendingBytes -= bytes;
        this.#recent.trim(this.#durableEnd);
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
      const handle = await this.#files.get(chunk.segment);
      for (let next = from; next < to; ) {
        next += (await handle.write(chunk.data, next, to - next, chunk.offset + next)).bytesWritten;
      }
      if (writes[index + 1]?.chunk.segment !== chunk.segment) await handle.datasync();
    }
  }

  async #openSegment(number: number): Promise<FileHandle> {
    if (!this.#segments.has(number)) throw new Error(`${segmentName(number)} is not in the log`);
    const handle = await open(join(this.#directory, segmentName(number)), constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      if ((await handle.stat()).size < HEADER_BYTES) await writeHeader(handle, this.#directory);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return handle;
  }
}

function endOfSegment({ number, bytes }: Segment): Position {
  return number * SEGMENT_UNIT + bytes;
}

function copied(data: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from);
  data.copy(copy, 0, from, to);
  return copy;
}
