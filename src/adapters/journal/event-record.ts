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

/** The record of an event but for its body, which is appended after it as it came. */
export function encodeEventHead(
  event: NewEvent,
  sequence: number,
  receivedAt: bigint,
  { redriven = false, keyed = false } = {},
): Buffer {
  const registrationBytes = Buffer.byteLength(event.registration);
  const topicBytes = Buffer.byteLength(event.topic);
  const topicEnd = FIXED_BYTES + 4 + registrationBytes + topicBytes;
  const head = Buffer.allocUnsafe(event.broker ? topicEnd + 4 : topicEnd);
  head.writeUIntLE(sequence, 0, 6);
  head.writeBigUInt64LE(receivedAt, 6);
  head[14] =
    event.qos |
    (event.retain ? RETAIN : 0) |
    (redriven ? REDRIVEN : 0) |
    (keyed ? KEYED : 0) |
    (event.broker ? OTHER_BROKER : 0);
  head.writeUInt16LE(event.packetId ?? 0, 15);
  head.writeUInt16LE(registrationBytes, FIXED_BYTES);
  head.write(event.registration, FIXED_BYTES + 2, 'utf8');
  head.writeUInt16LE(topicBytes, FIXED_BYTES + 2 + registrationBytes);
  head.write(event.topic, FIXED_BYTES + 4 + registrationBytes, 'utf8');
  if (event.broker) head.writeUInt32LE(brokerNumber(event.broker), topicEnd);
  return head;
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

export function decodeEvent(record: Buffer, position: number, end: number): Event {
  const receivedAt = record.readBigUInt64LE(6);
  const flags = record[14]!;
  const registrationEnd = FIXED_BYTES + 2 + record.readUInt16LE(FIXED_BYTES);
  const topicEnd = registrationEnd + 2 + record.readUInt16LE(registrationEnd);
  return {
    id: receivedAt.toString(),
    receivedAt,
    registration: record.toString('utf8', FIXED_BYTES + 2, registrationEnd),
    topic: record.toString('utf8', registrationEnd + 2, topicEnd),
    qos: (flags & 3) as 0 | 1 | 2,
    retain: (flags & RETAIN) !== 0,
    keyed: (flags & KEYED) !== 0,
    body: record.subarray(flags & OTHER_BROKER ? topicEnd + 4 : topicEnd),
    sequence: sequenceOf(record),
    position,
    end,
  };
}

function topicEndOf(record: Buffer): number {
  const registrationEnd = FIXED_BYTES + 2 + record.readUInt16LE(FIXED_BYTES);
  return registrationEnd + 2 + record.readUInt16LE(registrationEnd);
}
