import { crc32 } from 'node:zlib';
import type { Event } from '../../core/event.ts';
import { RepeatedText } from '../../core/repeated-text.ts';
import type { NewEvent } from '../../ports/journal.ts';
import { RECORD_HEADER_BYTES } from '../../storage/segmented-log.ts';

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
const scratchView = new DataView(scratch.buffer);
/** The texts that `scratch` holds, most often those of the next event too, and where they end. */
const scratchTexts = { registration: '', topic: '', end: 0 };

/**
 * The record of an event but for its body, which is appended after it as it came. Good until the next call.
 * @param flags of {@link flagsOf}
 */
export function encodeEventHead(event: NewEvent, flags: number, sequence: number, receivedAt: bigint): Buffer {
  scratchView.setUint32(0, sequence % 2 ** 32, true);
  scratchView.setUint16(4, sequence / 2 ** 32, true);
  scratchView.setBigUint64(6, receivedAt, true);
  scratch[14] = flags;
  scratchView.setUint16(15, event.packetId ?? 0, true);
  const { registration, topic } = event;
  if (scratchTexts.end === 0 || registration !== scratchTexts.registration || topic !== scratchTexts.topic) {
    const registrationEnd = FIXED_BYTES + 2 + scratch.write(registration, FIXED_BYTES + 2, 65_535, 'utf8');
    scratch.writeUInt16LE(registrationEnd - FIXED_BYTES - 2, FIXED_BYTES);
    const end = registrationEnd + 2 + scratch.write(topic, registrationEnd + 2, 65_535, 'utf8');
    scratch.writeUInt16LE(end - registrationEnd - 2, registrationEnd);
    Object.assign(scratchTexts, { registration, topic, end });
  }
  let { end } = scratchTexts;
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
  return { packetId, broker: record[14]! & OTHER_BROKER ? record.readUInt32LE(topicEndOf(record, 0)) : 0 };
}

/** What an event tells by its flags, and by what else it has. */
abstract class FlaggedEvent {
  abstract readonly receivedAt: bigint;
  /** Of {@link flagsOf}. */
  protected abstract readonly flags: number;

  get id(): string {
    return this.receivedAt.toString();
  }

  get qos(): 0 | 1 | 2 {
    return (this.flags & 3) as 0 | 1 | 2;
  }

  get retain(): boolean {
    return (this.flags & RETAIN) !== 0;
  }

  get keyed(): boolean {
    return (this.flags & KEYED) !== 0;
  }
}

/** An event that was just appended. */
export class AppendedEvent extends FlaggedEvent implements Event {
  readonly receivedAt: bigint;
  readonly registration: string;
  readonly topic: string;
  readonly body: Uint8Array;
  readonly sequence: number;
  readonly position: number;
  protected readonly flags: number;
  readonly #bytes: number;

  /** @param bytes size of its record in the log, the record's own header included */
  constructor(
    { registration, topic, body }: NewEvent,
    flags: number,
    sequence: number,
    receivedAt: bigint,
    position: number,
    bytes: number,
  ) {
    super();
    this.receivedAt = receivedAt;
    this.registration = registration;
    this.topic = topic;
    this.body = body;
    this.sequence = sequence;
    this.position = position;
    this.flags = flags;
    this.#bytes = bytes;
  }

  get end(): number {
    return this.position + this.#bytes;
  }
}

const registrationTexts = new RepeatedText();
const topicTexts = new RepeatedText();

/** An event as its record tells it: while it is fired, there are thousands of them. */
class RecordedEvent extends FlaggedEvent implements Event {
  readonly position: number;
  /** The record is the bytes of #data from #from to #to. */
  readonly #data: Buffer;
  readonly #from: number;
  readonly #to: number;

  constructor(position: number, data: Buffer, from: number, to: number) {
    super();
    this.position = position;
    this.#data = data;
    this.#from = from;
    this.#to = to;
  }

  get receivedAt(): bigint {
    return this.#data.readBigUInt64LE(this.#from + 6);
  }

  get sequence(): number {
    return this.#data.readUIntLE(this.#from, 6);
  }

  get registration(): string {
    return registrationTexts.read(this.#data, this.#from + FIXED_BYTES + 2, this.#registrationEnd);
  }

  get topic(): string {
    return topicTexts.read(this.#data, this.#registrationEnd + 2, this.#topicEnd);
  }

  get body(): Buffer {
    return this.#data.subarray(this.flags & OTHER_BROKER ? this.#topicEnd + 4 : this.#topicEnd, this.#to);
  }

  get end(): number {
    return this.position + RECORD_HEADER_BYTES + this.#to - this.#from;
  }

  protected get flags(): number {
    return this.#data[this.#from + 14]!;
  }

  get #registrationEnd(): number {
    return registrationEndOf(this.#data, this.#from);
  }

  get #topicEnd(): number {
    return topicEndOf(this.#data, this.#from);
  }
}

/**
 * The event of a record, which it is a view of.
 * @param position of the record in the log
 */
export function decodeEvent(data: Buffer, position: number, from = 0, to = data.length): Event {
  return new RecordedEvent(position, data, from, to);
}

/** Where the registration of the record at `from` ends. */
function registrationEndOf(data: Buffer, from: number): number {
  return from + FIXED_BYTES + 2 + data.readUInt16LE(from + FIXED_BYTES);
}

function topicEndOf(data: Buffer, from: number): number {
  const registrationEnd = registrationEndOf(data, from);
  return registrationEnd + 2 + data.readUInt16LE(registrationEnd);
}
