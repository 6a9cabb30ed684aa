import { crc32 } from 'node:zlib';

/**
 * Tells a message that the broker sends again, because our PUBACK did not reach it, from one that it never got through
 * to us: both come with DUP set on the next connection (MQTT 5, 4.4).
 *
 * What is sent again has the packet id and content of a message we have, and keeps the order in which it came first.
 * DUP alone says nothing: the first copy may have been lost on its way.
 */

/**
 * A packet id comes round after 65,535 messages. What lies further back than half of that was acknowledged: taking it for
 * the message that now has its id would lose that one, which is worse than to count twice what a broker sends again
 * that had more under way than half of all ids (Mosquitto up to 2.0.12 does, draining a long queue without answers).
 */
export const REMEMBERED_PACKETS = 32_768;

export class Redeliveries {
  /** By packet id: the digest of the latest message that had it, and its number in the order of arrival (0 = none). */
  readonly #digests = new Uint32Array(65_536);
  readonly #order = new Float64Array(65_536);
  #count = 0;
  /** The number of the latest message known to have been sent again on this connection. */
  #repeated = 0;

  /** Notes a message that the journal has. */
  note(packetId: number, digest: number): void {
    this.#count += 1;
    this.#digests[packetId] = digest;
    this.#order[packetId] = this.#count;
  }

  /** What is noted and still counts, in the order of arrival. */
  notes(): Array<{ packetId: number; digest: number }> {
    const packetIds: number[] = [];
    for (let packetId = 1; packetId < this.#order.length; packetId++) {
      if (this.#order[packetId]! > Math.max(0, this.#count - REMEMBERED_PACKETS)) packetIds.push(packetId);
    }
    packetIds.sort((a, b) => this.#order[a]! - this.#order[b]!);
    return packetIds.map((packetId) => ({ packetId, digest: this.#digests[packetId]! }));
  }

  /** A new connection starts sending again from the oldest unacknowledged message. */
  reconnected(): void {
    this.#repeated = 0;
  }

  /** Whether a message that came with DUP is one that was noted. */
  isRepeated(packetId: number, digest: number): boolean {
    const order = this.#order[packetId]!;
    if (order <= this.#repeated || order <= this.#count - REMEMBERED_PACKETS || this.#digests[packetId] !== digest)
      return false;
    this.#repeated = order;
    return true;
  }
}

/** A message's digest: of the body and the topic's length, enough beside a packet id. */
export function digestOf(topic: string, body: Uint8Array): number {
  return (crc32(body) ^ Math.imul(topic.length, 0x9e37_79b1)) >>> 0;
}
