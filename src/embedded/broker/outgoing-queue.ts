import type { Message } from './message-store.ts';
import type { QueuedQos } from './records.ts';

/** MQTT's packet ids are 1 to 65,535 (2.3.1). */
const PACKET_IDS = 65_535;

/** How much may be sent and unacknowledged. MQTT 3.1.1 has no way for a client to say it. */
const WINDOW_MESSAGES = 2_048;
const WINDOW_BYTES = 8 * 1024 * 1024;

export interface Entry {
  readonly message: Message;
  readonly qos: QueuedQos;
  /** QoS 2: the subscriber has it and PUBREL is what it waits for. */
  received: boolean;
}

/**
 * One session's messages in order, from being queued to being settled.
 *
 * Every message gets the session's next sequence number, and its packet id is that number modulo 65,535. So packet ids
 * are the same after a reconnect and after a restart [MQTT-4.4.0-1] without being written down, and as the window is
 * far smaller than 65,535, those in flight are distinct.
 */
export class OutgoingQueue {
  /** The sequence number of the first slot: the oldest message that is not settled. */
  #base: number;
  #slots: Array<Entry | undefined> = [];
  /** Index of the first slot; what is before it is settled and cut off now and then. */
  #head = 0;
  #next: number;
  /** What is before this may have been sent on some connection. */
  #sentEnd: number;
  #durableEnd: number;
  #inFlightBytes = 0;
  #count = 0;
  #bytes = 0;

  constructor(base = 0) {
    this.#base = base;
    this.#next = base;
    this.#sentEnd = base;
    this.#durableEnd = base;
  }

  /** Messages not settled. */
  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get base(): number {
    return this.#base;
  }

  get end(): number {
    return this.#base + this.#slots.length - this.#head;
  }

  /** The unsettled entries and the gaps between them, from `base` on. */
  get slots(): ReadonlyArray<Entry | undefined> {
    return this.#slots.slice(this.#head);
  }

  /** Adds a message (undefined: a gap) and returns its sequence number. */
  push(entry: Entry | undefined): number {
    this.#slots.push(entry);
    if (entry) {
      this.#count += 1;
      this.#bytes += entry.message.bytes;
    }
    return this.end - 1;
  }

  /** From now on, what is before `end` may be sent. */
  markDurable(end: number): void {
    if (end > this.#durableEnd) this.#durableEnd = end;
  }

  /** After a restart all there is counts as durable, and as perhaps sent: nobody knows (3.3.1.1: "might be re-delivery"). */
  restored(): void {
    this.#skipSettled();
    this.#next = this.#base;
    this.#durableEnd = this.end;
    this.#sentEnd = this.end;
  }

  /** On a new connection everything unsettled is sent again from the oldest on [MQTT-4.4.0-1]. */
  rewind(): void {
    this.#next = this.#base;
    this.#inFlightBytes = 0;
  }

  /** The next entry that may be sent now, and whether it may have been sent before. */
  peek(): { entry: Entry; sequence: number; packetId: number; duplicate: boolean } | undefined {
    const limit = Math.min(this.#durableEnd, this.#base + WINDOW_MESSAGES);
    while (this.#next < limit && !this.at(this.#next)) this.#next += 1;
    if (this.#next >= limit) return undefined;
    const sequence = this.#next;
    const entry = this.at(sequence)!;
    if (this.#inFlightBytes > 0 && this.#inFlightBytes + entry.message.bytes > WINDOW_BYTES) return undefined;
    return { entry, sequence, packetId: (sequence % PACKET_IDS) + 1, duplicate: sequence < this.#sentEnd };
  }

  /** The entry that {@link peek} gave is sent. */
  advance(): void {
    this.#inFlightBytes += this.at(this.#next)!.message.bytes;
    this.#next += 1;
    if (this.#next > this.#sentEnd) this.#sentEnd = this.#next;
  }

  at(sequence: number): Entry | undefined {
    return this.#slots[sequence - this.#base + this.#head];
  }

  /** The sequence number of the message in flight under this packet id, if there is one. */
  inFlight(packetId: number): number | undefined {
    const ahead = (packetId - 1 - (this.#base % PACKET_IDS) + PACKET_IDS) % PACKET_IDS;
    const sequence = this.#base + ahead;
    return sequence < this.#next && this.at(sequence) ? sequence : undefined;
  }

  /** Takes a message out for good. */
  settle(sequence: number): Entry | undefined {
    const entry = sequence >= this.#base ? this.at(sequence) : undefined;
    if (!entry) return undefined;
    this.#slots[sequence - this.#base + this.#head] = undefined;
    this.#count -= 1;
    this.#bytes -= entry.message.bytes;
    if (sequence < this.#next) this.#inFlightBytes -= entry.message.bytes;
    this.#skipSettled();
    return entry;
  }

  #skipSettled(): void {
    while (this.#head < this.#slots.length && !this.#slots[this.#head]) {
      this.#head += 1;
      this.#base += 1;
    }
    if (this.#next < this.#base) this.#next = this.#base;
    if (this.#head > 1_024 && this.#head * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
  }
}
