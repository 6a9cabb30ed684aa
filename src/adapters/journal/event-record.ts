import { crc32 } from 'node:zlib';
import type { Event } from '../../core/event.ts';
import type { NewEvent } from '../../ports/journal.ts';

/**
 * An event in the journal: sequence (u48le), receive time in ns (u64le), flags (u8: QoS in bits 0-1, retain in bit 2,
 * redriven in bit 3, keyed in bit 4, of another broker than the site's in bit 5), packet id (u16le, 0 = none),
 * registration and topic (u16le length and UTF-8 each), of another broker the CRC-32 of its name (u32le), body.
 */

const FIXED_BYTES = 17;
const RETAIN = 4;
const REDRIVEN = 8;
const KEYED = 16;
const OTHER_BROKER = 32;

/** What a record says of an event in bits. */
export function flagsOf({ qos, retain, broker }: NewEvent, { redriven = false, keyed = false } = {}): number {
  return qos | (retain ? RETAIN : 0) | (redriven ? REDRIVEN : 0) | (keyed ? KEYED : 0) | (broker ? OTHER_BROKER : 0);
}

/** Two texts of 65,535 bytes, and what else there is. */
const scratch = Buffer.allocUnsafeSlow(2 * 65_536 + 64);

/**
 * The record of an event but for its body, which is appended after it as it came. Good until the next call.
 * @param flags of {@link flagsOf}
 */
export function encodeEventHead(event: NewEvent, flags: number, sequence: number, receivedAt: bigint): Buffer {
  scratch.writeUIntLE(sequence, 0, 6);
  scratch.writeBigUInt64LE(receivedAt, 6);
  scratch[14] = flags;
  scratch.writeUInt16LE(event.packetId ?? 0, 15);
  const registrationEnd = FIXED_BYTES + 2 + scratch.write(event.registration, FIXED_BYTES + 2, 65_535, 'utf8');
  scratch.writeUInt16LE(registrationEnd - FIXED_BYTES - 2, FIXED_BYTES);
  let end = registrationEnd + 2 + scratch.write(event.topic, registrationEnd + 2, 65_535, 'utf8');
  scratch.writeUInt16LE(end - registrationEnd - 2, registrationEnd);
  if (event.broker) end = scratch.writeUInt32LE(brokerNumber(event.broker), end);
  return scratch.subarray(0, end);
}

/** What a record calls a broker; 0 for the site's own (''). */
export function brokerNumber(broker: string): number {
  return crc32(broker);
}

/** The sequence alone: enough to see whether the event is settled. */
export function sequenceOf(record: Buffer): number {
  return record.readUIntLE(0, 6);
}

/** Whether the event was parked before and came back: it was counted as received then. */
export function isRedriven(record: Buffer): boolean {
  return (record[14]! & REDRIVEN) !== 0;
}

/** The packet of a record, and the number of its broker; undefined for none. */
export function packetOf(record: Buffer): { packetId: number; broker: number } | undefined {
  const packetId = record.readUInt16LE(15);
  if (packetId === 0) return undefined;
  return { packetId, broker: record[14]! & OTHER_BROKER ? record.readUInt32LE(topicEndOf(record)) : 0 };
}

/** An event as the journal has it. What can be told from the rest is not kept: there are many of them. */
export class JournalEvent implements Event {
  readonly receivedAt: bigint;
  readonly registration: string;
  readonly topic: string;
  readonly sequence: number;
  readonly position: number;
  readonly #flags: number;
  readonly #bytes: number;
  body: Uint8Array;

  /** @param bytes size of its record */
  constructor(
    { registration, topic, body }: Pick<NewEvent, 'registration' | 'topic' | 'body'>,
    flags: number,
    sequence: number,
    receivedAt: bigint,
    position: number,
    bytes: number,
  ) {
    this.receivedAt = receivedAt;
    this.registration = registration;
    this.topic = topic;
    this.sequence = sequence;
    this.position = position;
    this.#flags = flags;
    this.#bytes = bytes;
    this.body = body;
  }

  get id(): string {
    return this.receivedAt.toString();
  }

  get qos(): 0 | 1 | 2 {
    return (this.#flags & 3) as 0 | 1 | 2;
  }

  get retain(): boolean {
    return (this.#flags & RETAIN) !== 0;
  }

  get keyed(): boolean {
    return (this.#flags & KEYED) !== 0;
  }

  get end(): number {
    return this.position + this.#bytes;
  }
}

/** @param bytes size of the record in the log, its own header included */
export function decodeEvent(record: Buffer, position: number, bytes: number): JournalEvent {
  const flags = record[14]!;
  const registrationEnd = FIXED_BYTES + 2 + record.readUInt16LE(FIXED_BYTES);
  const topicEnd = registrationEnd + 2 + record.readUInt16LE(registrationEnd);
  return new JournalEvent(
    {
      registration: record.toString('utf8', FIXED_BYTES + 2, registrationEnd),
      topic: record.toString('utf8', registrationEnd + 2, topicEnd),
      body: record.subarray(flags & OTHER_BROKER ? topicEnd + 4 : topicEnd),
    },
    flags,
    sequenceOf(record),
    record.readBigUInt64LE(6),
    position,
    bytes,
  );
}

function topicEndOf(record: Buffer): number {
  const registrationEnd = FIXED_BYTES + 2 + record.readUInt16LE(FIXED_BYTES);
  return registrationEnd + 2 + record.readUInt16LE(registrationEnd);
}
