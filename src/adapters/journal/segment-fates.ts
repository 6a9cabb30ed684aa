import { readFile, truncate } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { Books, Fate } from '../../core/event.ts';

/**
 * What became of the events of one journal segment: a bit per event in memory, and beside the segment a file of
 * records (length u32le, CRC-32 u32le, JSON) that are written without fsync. A record lost in a crash makes its events
 * unsettled again: they are fired once more, which is harmless.
 */

/** What a full segment holds, so that opening the journal need not read it. */
interface Summary {
  readonly firstSequence: number;
  readonly count: number;
  readonly lastReceivedAt: string;
  readonly received: Record<string, number>;
  readonly redriven: Record<string, number>;
  readonly keys?: readonly string[];
}

/** Copies that were not journalled. */
interface CopiesRecord {
  readonly registration: string;
  readonly copies: number;
}

interface FateRecord {
  readonly fate: Fate;
  readonly registration: string;
  /** Pairs of first ordinal in the segment and length. */
  readonly runs: Array<[number, number]>;
}

type StoredRecord = Summary | FateRecord | CopiesRecord;

export class SegmentFates {
  /** Sequence of the segment's first event; undefined while it has none. */
  firstSequence: number | undefined;
  count = 0;
  settledCount = 0;
  /** Records that are not in its file yet, or could not be written. */
  unwritten = 0;
  /** How many events were unsettled when the segment was compacted; at first, all. */
  #kept: number | undefined;
  lastReceivedAt = 0n;
  /** Events by registration that arrived, that came back from being parked, and that were copies of others. */
  readonly received = new Map<string, number>();
  readonly redriven = new Map<string, number>();
  readonly deduplicated = new Map<string, number>();
  /** Digests of the keys of those that are no messages. */
  readonly keys: string[] = [];
  /** Settled events by registration and fate. */
  readonly settled = new Map<string, Record<Fate, number>>();
  /** Whether everything above was known from the file, without the segment. */
  hasSummary = false;
  #bits = new Uint8Array(1_024);

  static async read(file: string): Promise<SegmentFates> {
    const fates = new SegmentFates();
    const data = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0);
      throw error;
    });
    let end = 0;
    for (const { record, end: recordEnd } of decodeRecords(data)) {
      if ('fate' in record) fates.#apply(record);
      else if ('copies' in record) increase(fates.deduplicated, record.registration, record.copies);
      else fates.#restore(record);
      end = recordEnd;
    }
    // Later records would be out of reach behind a torn one.
    if (end < data.length) await truncate(file, end);
    return fates;
  }

  /** Notes an event of the segment. */
  add(sequence: number, registration: string, receivedAt: bigint, redriven: boolean): void {
    this.firstSequence ??= sequence;
    this.count += 1;
    if (receivedAt > this.lastReceivedAt) this.lastReceivedAt = receivedAt;
    increase(redriven ? this.redriven : this.received, registration, 1);
  }

  /** Counts a copy of an event; returns the record to keep of it. */
  addCopy(registration: string): Buffer {
    increase(this.deduplicated, registration, 1);
    return encodeRecord({ registration, copies: 1 });
  }

  /** The registrations that it says something of. */
  registrations(): Set<string> {
    return new Set([...this.received.keys(), ...this.redriven.keys(), ...this.deduplicated.keys()]);
  }

  /** What the segment adds to a registration's books; `parked` is negative where more came back than were parked here. */
  booksOf(registration: string): Books {
    const received = this.received.get(registration) ?? 0;
    const redriven = this.redriven.get(registration) ?? 0;
    const deduplicated = this.deduplicated.get(registration) ?? 0;
    const { confirmed, parked, expired } = this.settled.get(registration) ?? { confirmed: 0, parked: 0, expired: 0 };
    return {
      received: received + deduplicated,
      confirmed,
      pending: received + redriven - confirmed - parked - expired,
      parked: parked - redriven,
      expired,
      deduplicated,
    };
  }

  get kept(): number {
    return this.#kept ?? this.count;
  }

  set kept(unsettled: number) {
    this.#kept = unsettled;
  }

  /** Tells, later too, what is settled now. */
  settledNow(): (sequence: number) => boolean {
    const bits = this.#bits.slice();
    return (sequence) => isSet(bits, sequence - this.firstSequence!);
  }

  isSettled(sequence: number): boolean {
    return isSet(this.#bits, sequence - this.firstSequence!);
  }

  /** Settles those events that are not settled yet; returns how many, and the record to keep of them. */
  settle(sequences: readonly number[], registration: string, fate: Fate): { count: number; record: Buffer } {
    const runs: Array<[number, number]> = [];
    for (const sequence of sequences) {
      if (this.isSettled(sequence)) continue;
      const ordinal = sequence - this.firstSequence!;
      const last = runs.at(-1);
      if (last && last[0] + last[1] === ordinal) last[1] += 1;
      else runs.push([ordinal, 1]);
    }
    const record = { fate, registration, runs };
    return { count: this.#apply(record), record: encodeRecord(record) };
  }

  /** The record that makes {@link hasSummary} true at the next start. */
  summary(): Buffer {
    return encodeRecord({
      firstSequence: this.firstSequence ?? 0,
      count: this.count,
      lastReceivedAt: this.lastReceivedAt.toString(),
      received: Object.fromEntries(this.received),
      redriven: Object.fromEntries(this.redriven),
      ...(this.keys.length > 0 && { keys: this.keys }),
    });
  }

  #restore(summary: Summary): void {
    this.firstSequence = summary.firstSequence;
    this.count = summary.count;
    this.lastReceivedAt = BigInt(summary.lastReceivedAt);
    for (const [registration, count] of Object.entries(summary.received)) this.received.set(registration, count);
    for (const [registration, count] of Object.entries(summary.redriven)) this.redriven.set(registration, count);
    this.keys.push(...(summary.keys ?? []));
    this.hasSummary = true;
  }

  #apply({ fate, registration, runs }: FateRecord): number {
    let count = 0;
    for (const [first, length] of runs) {
      for (let ordinal = first; ordinal < first + length; ordinal++) {
        if (this.#setBit(ordinal)) count += 1;
      }
    }
    this.settledCount += count;
    const counts = this.settled.get(registration) ?? { confirmed: 0, parked: 0, expired: 0 };
    counts[fate] += count;
    this.settled.set(registration, counts);
    return count;
  }

  #setBit(ordinal: number): boolean {
    const byte = ordinal >> 3;
    if (byte >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(this.#bits.length * 2, byte + 1));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    const bit = 1 << (ordinal & 7);
    if (this.#bits[byte]! & bit) return false;
    this.#bits[byte]! |= bit;
    return true;
  }
}

function isSet(bits: Uint8Array, ordinal: number): boolean {
  return ((bits[ordinal >> 3] ?? 0) & (1 << (ordinal & 7))) !== 0;
}

function increase(counts: Map<string, number>, registration: string, by: number): void {
  counts.set(registration, (counts.get(registration) ?? 0) + by);
}

function encodeRecord(record: StoredRecord): Buffer {
  const payload = Buffer.from(JSON.stringify(record));
  const header = Buffer.allocUnsafe(8);
  header.writeUInt32LE(payload.length, 0);
  header.writeUInt32LE(crc32(payload), 4);
  return Buffer.concat([header, payload]);
}

/** Valid records up to the first that is not: what follows a torn one was never relied upon. */
function* decodeRecords(data: Buffer): Generator<{ record: StoredRecord; end: number }> {
  for (let offset = 0; offset + 8 <= data.length; ) {
    const end = offset + 8 + data.readUInt32LE(offset);
    if (end > data.length || crc32(data.subarray(offset + 8, end)) !== data.readUInt32LE(offset + 4)) return;
    yield { record: JSON.parse(data.toString('utf8', offset + 8, end)) as StoredRecord, end };
    offset = end;
  }
}
