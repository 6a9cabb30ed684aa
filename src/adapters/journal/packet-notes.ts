import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { Redeliveries } from '../../core/redeliveries.ts';

/**
 * The packets of the last messages of each broker, kept apart from the journal's segments: those go when their events are
 * settled, which may be before the broker has our acknowledgement.
 *
 * A file of CRC-32 of the rest (u32le), the last segment that it knows (u32le), and for each broker its number (u32le),
 * the count of its packets (u32le) and each packet's id (u16le) and digest (u32le), in the order of arrival.
 */

const HEADER_BYTES = 8;
const BROKER_BYTES = 8;
const PACKET_BYTES = 6;

/** @param isLeftOut tells packets whose message is not durable yet: if it got lost, it must not be taken for known */
export function encodePacketNotes(
  brokers: ReadonlyMap<number, Redeliveries>,
  upTo: number,
  isLeftOut: (broker: number, packetId: number) => boolean,
): Buffer {
  const all = [...brokers].map(([broker, redeliveries]) => ({
    broker,
    notes: redeliveries.notes().filter(({ packetId }) => !isLeftOut(broker, packetId)),
  }));
  const bytes = all.reduce((sum, { notes }) => sum + BROKER_BYTES + notes.length * PACKET_BYTES, HEADER_BYTES);
  const data = Buffer.alloc(bytes);
  let at = data.writeUInt32LE(upTo, 4);
  for (const { broker, notes } of all) {
    at = data.writeUInt32LE(broker, at);
    at = data.writeUInt32LE(notes.length, at);
    for (const { packetId, digest } of notes) {
      at = data.writeUInt16LE(packetId, at);
      at = data.writeUInt32LE(digest, at);
    }
  }
  data.writeUInt32LE(crc32(data.subarray(4)), 0);
  return data;
}

/** What the file says; nothing, up to no segment, where it is absent or damaged: then more is read from the journal. */
export async function readPacketNotes(
  file: string,
): Promise<{ redeliveries: Map<number, Redeliveries>; upTo: number }> {
  const redeliveries = new Map<number, Redeliveries>();
  const data = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  });
  if (data.length < HEADER_BYTES || crc32(data.subarray(4)) !== data.readUInt32LE(0)) return { redeliveries, upTo: 0 };
  for (let at = HEADER_BYTES; at < data.length; ) {
    const broker = new Redeliveries();
    redeliveries.set(data.readUInt32LE(at), broker);
    const end = at + BROKER_BYTES + data.readUInt32LE(at + 4) * PACKET_BYTES;
    for (at += BROKER_BYTES; at < end; at += PACKET_BYTES) {
      broker.note(data.readUInt16LE(at), data.readUInt32LE(at + 2));
    }
  }
  return { redeliveries, upTo: data.readUInt32LE(4) };
}
