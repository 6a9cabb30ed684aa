import { crc32 } from 'node:zlib';

/**
 * Tells a message that the broker sends again, because our PUBACK did not reach it, from one that it never got through
 * to us: both come with DUP set on the next connection (MQTT 5, 4.4).
 *
 * What is sent again has the packet id and content of a message we have, and keeps the order in which it came first.
 * DUP alone says nothing: the first copy may have been lost on its way.
 */

/** Messages remembered for each packet id: some brokers send far more ahead than they were told to, and ids come round. */
const PER_ID = 4;
const IDS = 65_536;
const PLACES = PER_ID * IDS;

export interface NotedPacket {
  readonly packetId: number;
  /** Of topic and body. */
  readonly digest: number;
}

export class Redeliveries {
  /** By packet id, {@link PER_ID} places each: a message's digest, and its number in the order of arrival (0 = none). */
  readonly #digests = new Uint32Array(PLACES);
  readonly #order = new Float64Array(PLACES);
  #count = 0;
  /** The number of the latest message known to have been sent again on this connection. */
  #repeated = 0;

  /** Notes a message that the journal has. */
  note({ packetId, digest }: NotedPacket): void {
    this.#count += 1;
    let oldest = packetId * PER_ID;
    for (let place = oldest + 1; place < (packetId + 1) * PER_ID; place++) {
      if (this.#order[place]! < this.#order[oldest]!) oldest = place;
    }
    this.#digests[oldest] = digest;
    this.#order[oldest] = this.#count;
  }

  /** A new connection starts sending again from the oldest unacknowledged message. */
  reconnected(): void {
    this.#repeated = 0;
  }

  /** Whether a message that came with DUP is one that was noted. */
  isRepeated({ packetId, digest }: NotedPacket): boolean {
    // The earliest that fits, so that what follows it can still be told.
    let order = Number.POSITIVE_INFINITY;
    for (let place = packetId * PER_ID; place < (packetId + 1) * PER_ID; place++) {
      const its = this.#order[place]!;
      if (its > this.#repeated && its < order && this.#digests[place] === digest) order = its;
    }
    if (order === Number.POSITIVE_INFINITY) return false;
    this.#repeated = order;
    return true;
  }
}

export function notedPacket(packetId: number, topic: string, body: Uint8Array): NotedPacket {
  return { packetId, digest: crc32(body, crc32(topic)) };
}
