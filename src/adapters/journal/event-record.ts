import type { Event } from '../../core/event.ts';
import type { NewEvent } from '../../ports/journal.ts';

/**
 * An event in the journal: sequence (u48le), receive time in ns (u64le), flags (u8: QoS in bits 0-1,
 * retain in bit 2, redriven in bit 3),
 * packet id (u16le, 0 = none), registration and topic (u16le length and UTF-8 each), body.
 */

const FIXED_BYTES = 17;

/** The record of an event but for its body, which is appended after it as it came. */
export function encodeEventHead(event: NewEvent, sequence: number, receivedAt: bigint, redriven = false): Buffer {
  const registrationBytes = Buffer.byteLength(event.registration);
  const topicBytes = Buffer.byteLength(event.topic);
  const head = Buffer.allocUnsafe(FIXED_BYTES + 4 + registrationBytes + topicBytes);
  head.writeUIntLE(sequence, 0, 6);
  head.writeBigUInt64LE(receivedAt, 6);
  head[14] = event.qos | (event.retain ? 4 : 0) | (redriven ? 8 : 0);
  head.writeUInt16LE(event.packetId ?? 0, 15);
  head.writeUInt16LE(registrationBytes, FIXED_BYTES);
  head.write(event.registration, FIXED_BYTES + 2, 'utf8');
  head.writeUInt16LE(topicBytes, FIXED_BYTES + 2 + registrationBytes);
  head.write(event.topic, FIXED_BYTES + 4 + registrationBytes, 'utf8');
  return head;
}

/** The sequence alone: enough to see whether the event is settled. */
export function sequenceOf(record: Buffer): number {
  return record.readUIntLE(0, 6);
}

/** Whether the event was parked before and came back: it was counted as received then. */
export function isRedriven(record: Buffer): boolean {
  return (record[14]! & 8) !== 0;
}

/** The packet id of a record; 0 for none. */
export function packetIdOf(record: Buffer): number {
  return record.readUInt16LE(15);
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
    retain: (flags & 4) !== 0,
    body: record.subarray(topicEnd),
    sequence: sequenceOf(record),
    position,
    end,
  };
}
