import { type Position, RECORD_HEADER_BYTES, type RecordVisitor, SEGMENT_UNIT } from './segment-file.ts';

/** Records are gathered in memory of this size, which is much cheaper than a buffer each. */
const CHUNK_BYTES = 64 * 1024;
/** As many chunks are kept to be filled again. */
const FREE_CHUNKS = 16;

/** Memory in which a piece of a segment is gathered. */
export interface Chunk {
  readonly data: Buffer;
  readonly segment: number;
  /** Where in the segment the piece begins. */
  readonly offset: number;
  used: number;
}

/** What was appended to a log last, as it is written there, in a few large pieces of memory. */
export class RecentRecords {
  readonly #keepBytes: number;
  /** Oldest first; the next record is gathered in the last of them. */
  #chunks: Chunk[] = [];
  #bytes = 0;
  #free: Buffer[] = [];

  /** @param keepBytes how much is kept of what is durable */
  constructor(keepBytes: number) {
    this.#keepBytes = keepBytes;
  }

  /** The chunk where a record of so many bytes goes that will be at `offset` of its segment. */
  chunkFor(segment: number, offset: number, bytes: number): Chunk {
    const last = this.#chunks.at(-1);
    if (last?.segment === segment && last.used + bytes <= last.data.length) return last;
    const data = (bytes <= CHUNK_BYTES && this.#free.pop()) || Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes));
    const chunk = { data, segment, offset, used: 0 };
    this.#chunks.push(chunk);
    this.#bytes += data.length;
    return chunk;
  }

  /** Lets go of the oldest chunks that are durable, so far as there is more than is to be kept. */
  trim(durableEnd: Position): void {
    let gone = 0;
    while (this.#bytes > this.#keepBytes && gone < this.#chunks.length - 1) {
      const chunk = this.#chunks[gone]!;
      const { data } = chunk;
      if (endOf(chunk) > durableEnd) break;
      if (data.length === CHUNK_BYTES && this.#free.length < FREE_CHUNKS) this.#free.push(data);
      this.#bytes -= data.length;
      gone += 1;
    }
    if (gone > 0) this.#chunks.splice(0, gone);
  }

  /** The chunk that holds a record, if it is here still. */
  chunkAt(position: Position): Chunk | undefined {
    return this.#chunks.findLast((chunk) => startOf(chunk) <= position && position < endOf(chunk));
  }

  /**
   * Shows the records of one chunk that follow a position, up to `end`.
   * @returns where to go on; undefined where what follows is not here, or not before `end`
   */
  visitAfter(from: Position, end: Position, visit: RecordVisitor): Position | undefined {
    const index = this.#chunks.findIndex((chunk) => endOf(chunk) > from);
    const chunk = this.#chunks[index];
    if (!chunk) return undefined;
    const start = startOf(chunk);
    const before = this.#chunks[index - 1];
    if (from < start && (!before || endOf(before) !== from)) return undefined;
    const begin = Math.max(from, start);
    const stop = Math.min(endOf(chunk), end);
    if (stop <= begin) return undefined;
    visitChunk(chunk, begin, stop, visit);
    return stop;
  }

  /** Shows all records from a position on. */
  visitFrom(position: Position, visit: RecordVisitor): void {
    for (const chunk of this.#chunks) visitChunk(chunk, Math.max(startOf(chunk), position), endOf(chunk), visit);
  }
}

function visitChunk(chunk: Chunk, from: Position, to: Position, visit: RecordVisitor): void {
  const start = startOf(chunk);
  const { data } = chunk;
  for (let offset = from - start; offset < to - start; ) {
    const end = offset + RECORD_HEADER_BYTES + data.readUInt32LE(offset);
    visit(start + offset, data, offset + RECORD_HEADER_BYTES, end);
    offset = end;
  }
}

function startOf({ segment, offset }: Chunk): Position {
  return segment * SEGMENT_UNIT + offset;
}

function endOf(chunk: Chunk): Position {
  return startOf(chunk) + chunk.used;
}
