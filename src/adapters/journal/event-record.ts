import { crc32 } from 'node:zlib';
import type { Event } from '../../core/event.ts';
import { RepeatedText } from '../../core/repeated-text.ts';
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
const scratchView = new DataView(scratch.buffer);
/** The texts that `scratch` holds, most often those of the next event too, and where they end. */
const scratchTexts = { registration: '', topic: '', end: 0 };
/** `scratch` up to there. */
let head = scratch.subarray(0, 0);

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
  if (head.length !== end) head = scratch.subarray(0, end);
  return head;
}

/** What a record calls a broker; 0 for the site's own (''). */
export function brokerNumber(broker: string): number {
  return crc32(broker);
}

/** The sequence of the record at `from`: enough to see whether the event is settled. */
export function sequenceOf(data: Buffer, from = 0): number {
  return data.readUIntLE(from, 6);
}

const registrationTexts = new RepeatedText();
const topicTexts = new RepeatedText();

/** An event as its record tells it: while it is fired, there are thousands of them. */
export class RecordedEvent implements Event {
  readonly position: number;
  readonly #data: Buffer;
  readonly #from: number;
  readonly #to: number;

  /** @param position of the record in the log; the record is the bytes of `data` from `from` to `to`, and stays there */
  constructor(position: number, data: Buffer, from: number, to: number) {
    this.position = position;
    this.#data = data;
    this.#from = from;
    this.#to = to;
  }

  get id(): string {
    return this.receivedAt.toString();
  }

  get receivedAt(): bigint {
    return this.#data.readBigUInt64LE(this.#from + 6);
  }

  get sequence(): number {
    return sequenceOf(this.#data, this.#from);
  }

  get registration(): string {
    return registrationTexts.read(this.#data, this.#from + FIXED_BYTES + 2, this.#registrationEnd);
  }

  get topic(): string {
    return topicTexts.read(this.#data, this.#registrationEnd + 2, this.#topicEnd);
  }

  get body(): Buffer {
    return this.#data.subarray(this.#bodyFrom, this.#to);
  }

  get bodyBytes(): number {
    return this.#to - this.#bodyFrom;
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

  /** Whether it was parked before and came back: it was counted as received then. */
  get redriven(): boolean {
    return (this.#flags & REDRIVEN) !== 0;
  }

  /** The packet that it came with, and the number of that one's broker; undefined for none. */
  get packet(): { packetId: number; broker: number } | undefined {
    const packetId = this.#data.readUInt16LE(this.#from + 15);
    if (packetId === 0) return undefined;
    return { packetId, broker: this.#flags & OTHER_BROKER ? this.#data.readUInt32LE(this.#topicEnd) : 0 };
  }

  get #flags(): number {
    return this.#data[this.#from + 14]!;
  }

  get #registrationEnd(): number {
    const start = this.#from + FIXED_BYTES;
    return start + 2 + this.#data.readUInt16LE(start);
  }

  get #topicEnd(): number {
    const start = this.#registrationEnd;
    return start + 2 + this.#data.readUInt16LE(start);
  }

  get #bodyFrom(): number {
    return this.#flags & OTHER_BROKER ? this.#topicEnd + 4 : this.#topicEnd;
  }
}
