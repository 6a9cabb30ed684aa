import type { Position, SegmentedLog } from '../../storage/segmented-log.ts';
import { asMoved } from './records.ts';

/** How many bytes of durable messages are kept in memory; the rest of a long queue is read from the log when due. */
const CACHE_BYTES = 16 * 1024 * 1024;

/** Compaction copies the living messages of a segment that is less than this part alive. */
const SPARSE = 0.5;
/** Nothing is copied while the log has no more segments than this. */
const SMALL_LOG_SEGMENTS = 4;

/** A message that somebody still needs: a queue, or new subscribers of its topic. */
export interface Message {
  /** Where its record is; undefined for one that only clean sessions get, which is never written. */
  position: Position | undefined;
  /** The size of its record. */
  readonly bytes: number;
  /** Its record, unless that is only on disk. */
  record: Buffer | undefined;
  holders: number;
}

/** The messages in the log: which are needed, where they are, which are in memory, which segments can go. */
export class MessageStore {
  #log!: SegmentedLog;
  /** Durable messages in memory, oldest first. */
  readonly #cached = new Set<Message>();
  #cachedBytes = 0;
  readonly #living = new Map<number, Set<Message>>();

  /** The log is known only when it has been read, and reading it finds messages. */
  keptIn(log: SegmentedLog): void {
    this.#log = log;
  }

  /** Appends a record; the caller holds the message before anything else happens. */
  append(record: Buffer): Message {
    const message: Message = { position: this.#log.append(record), bytes: record.length, record, holders: 0 };
    this.#segment(message).add(message);
    return message;
  }

  /** A message found in the log at start. */
  found(position: Position, bytes: number): Message {
    const message: Message = { position, bytes, record: undefined, holders: 0 };
    this.#segment(message).add(message);
    return message;
  }

  /** Its record is on disk: from now on memory need not keep it. */
  settleInMemory(message: Message): void {
    if (message.holders === 0 || !message.record) return;
    this.#cached.add(message);
    this.#cachedBytes += message.bytes;
    for (const oldest of this.#cached) {
      if (this.#cachedBytes <= CACHE_BYTES) break;
      this.#uncache(oldest);
    }
  }

  /** One holder less; the last one's leaving frees it. */
  release(message: Message): void {
    message.holders -= 1;
    if (message.holders > 0) return;
    this.#uncache(message);
    if (message.position !== undefined) this.#segment(message).delete(message);
  }

  /** The record of a message, from memory or disk. @throws Error if it can't be read; with a `code` if trying again may help */
  async read(message: Message): Promise<Buffer> {
    return message.record ?? (await this.#log.read(message.position!));
  }

  /** Copies what lives in sparse old segments to the end of the log, so that those can be removed. */
  async moveSparse(onUnreadable: (message: Message, error: Error) => void): Promise<void> {
    const numbers = this.#log.segmentNumbers;
    for (const number of numbers.slice(0, Math.max(0, numbers.length - SMALL_LOG_SEGMENTS))) {
      const living = [...(this.#living.get(number) ?? [])];
      const bytes = living.reduce((sum, message) => sum + message.bytes, 0);
      if (bytes === 0 || bytes > this.#log.segmentSize(number) * SPARSE) continue;
      const moves: Array<{ message: Message; to: Position }> = [];
      for (const message of living) {
        try {
          const record = await this.read(message);
          if (message.holders > 0) moves.push({ message, to: this.#log.append(asMoved(record)) });
        } catch (error) {
          if (message.holders > 0) onUnreadable(message, error as Error);
        }
      }
      await this.#log.durable();
      for (const { message, to } of moves) {
        if (message.holders === 0) continue;
        this.#segment(message).delete(message);
        message.position = to;
        this.#segment(message).add(message);
      }
    }
  }

  /** Removes the segments before `number` that hold no message that is needed. */
  async removeDeadBefore(number: number): Promise<void> {
    for (const segment of this.#log.segmentNumbers) {
      if (segment >= number || (this.#living.get(segment)?.size ?? 0) > 0) continue;
      this.#living.delete(segment);
      await this.#log.removeSegment(segment);
    }
  }

  #uncache(message: Message): void {
    if (!this.#cached.delete(message)) return;
    this.#cachedBytes -= message.bytes;
    message.record = undefined;
  }

  #segment(message: Message): Set<Message> {
    const number = Math.floor(message.position! / 2 ** 32);
    let living = this.#living.get(number);
    if (!living) {
      living = new Set();
      this.#living.set(number, living);
    }
    return living;
  }
}
