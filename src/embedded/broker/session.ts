import type { Socket } from 'node:net';
import type { Message } from './message-store.ts';
import { OutgoingQueue } from './outgoing-queue.ts';
import { deliveryOf, type Qos } from './records.ts';
import { publishFrame, pubrelFrame } from './wire.ts';

/** How much is read ahead from disk for one session. */
const READ_AHEAD_MESSAGES = 64;
const READ_AHEAD_BYTES = 4 * 1024 * 1024;

export interface SessionLimits {
  readonly messages: number;
  readonly bytes: number;
}

/** What a session asks of the broker. */
export interface SessionHost {
  read(message: Message): Promise<Buffer>;
  /** A queued message's record can't be read. */
  unreadable(session: Session, sequence: number, error: Error): void;
}

/** What the broker keeps for a client: subscriptions, queued messages, half-done QoS 2 handshakes (MQTT 3.1.1, 3.1.2.4). */
export class Session {
  readonly clientId: string;
  /** Names the session in the log; 0 for a clean session, which is never written. */
  readonly number: number;
  readonly limits: SessionLimits;
  readonly filters = new Map<string, Qos>();
  /** Packet ids of QoS 2 messages taken from the client and not yet released. */
  readonly incoming = new Set<number>();
  readonly queue: OutgoingQueue;
  /** The log knows the session. */
  stored = false;
  /** Publishers have been held back since the queue was last emptied enough. */
  holdsBack = false;
  readonly #host: SessionHost;
  #connection: Socket | undefined;
  #woken = false;
  #reading = false;
  /** Records read ahead, by sequence number. */
  readonly #readAhead = new Map<number, Buffer>();

  constructor(host: SessionHost, clientId: string, number: number, limits: SessionLimits, queueBase = 0) {
    this.#host = host;
    this.clientId = clientId;
    this.number = number;
    this.limits = limits;
    this.queue = new OutgoingQueue(queueBase);
  }

  /** It outlives its connection. */
  get persistent(): boolean {
    return this.number !== 0;
  }

  get full(): boolean {
    return this.queue.count >= this.limits.messages || this.queue.bytes >= this.limits.bytes;
  }

  /** There is room for more than a few messages again, so that those held back don't come one by one. */
  get roomy(): boolean {
    return this.queue.count <= this.limits.messages * 0.9 && this.queue.bytes <= this.limits.bytes * 0.9;
  }

  get connection(): Socket | undefined {
    return this.#connection;
  }

  attach(connection: Socket): void {
    this.#connection = connection;
    this.#readAhead.clear();
    this.queue.rewind();
    connection.on('drain', () => this.wake());
    this.wake();
  }

  detach(): void {
    this.#connection = undefined;
  }

  /** Sends what may be sent, once for all that happens in this turn of the event loop. */
  wake(): void {
    if (this.#woken || !this.#connection) return;
    this.#woken = true;
    setImmediate(() => {
      this.#woken = false;
      this.#send();
    });
  }

  /** Sends a QoS 0 message, unless the client is too slow to take it. */
  sendUnqueued(topic: string, payload: Uint8Array, retain: boolean): boolean {
    const connection = this.#connection;
    if (!connection || connection.destroyed || connection.writableNeedDrain) return false;
    connection.write(publishFrame(Buffer.from(topic), payload, { qos: 0, retain }));
    return true;
  }

  #send(): void {
    const connection = this.#connection;
    if (!connection || connection.destroyed || this.#reading) return;
    connection.cork();
    while (!connection.writableNeedDrain) {
      const due = this.queue.peek();
      if (!due) break;
      const { entry, sequence, packetId, duplicate } = due;
      if (entry.received) {
        connection.write(pubrelFrame(packetId));
      } else {
        const record = entry.message.record ?? this.#readAhead.get(sequence);
        if (!record) {
          void this.#readFrom(sequence, connection);
          break;
        }
        const { topic, payload, retain } = deliveryOf(record);
        connection.write(publishFrame(topic, payload, { qos: entry.qos, retain, dup: duplicate, packetId }));
        this.#readAhead.delete(sequence);
      }
      this.queue.advance();
    }
    connection.uncork();
  }

  async #readFrom(first: number, connection: Socket): Promise<void> {
    this.#reading = true;
    const reads: Array<Promise<void>> = [];
    let failed = false;
    let bytes = 0;
    for (let sequence = first; sequence < this.queue.end && reads.length < READ_AHEAD_MESSAGES; sequence++) {
      const message = this.queue.at(sequence)?.message;
      if (!message) continue;
      bytes += message.bytes;
      if (bytes > READ_AHEAD_BYTES && reads.length > 0) break;
      const read = this.#host.read(message).then(
        (record) => void this.#readAhead.set(sequence, record),
        (error: Error) => {
          failed = true;
          if (this.queue.at(sequence)?.message === message) this.#host.unreadable(this, sequence, error);
        },
      );
      reads.push(read);
    }
    await Promise.all(reads);
    this.#reading = false;
    if (this.#connection !== connection) this.#readAhead.clear();
    if (failed) this.wake();
    else this.#send();
  }
}
