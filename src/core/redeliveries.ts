import { crc32 } from './crc32.ts';

/**
 * Tells a message that the broker sends again, because our PUBACK did not reach it, from one that it never got through
 * to us: both come with DUP set on the next connection (MQTT 5, 4.4).
 *
 * What is sent again has the packet id and content of a message we have, and keeps the order in which it came first.
 * DUP alone says nothing: the first copy may have been lost on its way.
 */

/**
 * A packet id comes round after 65,535 messages; then a message that was lost on its way may have the id, and the content, of
 * one that was acknowledged long ago. Taking the one for the other would lose it, so what lies further back counts no
 * more: a round but for what a broker may have under way (our receive maximum is less than 8,192). A broker that keeps to
 * no maximum (Mosquitto up to 2.0.12, draining a long queue without answers) can have more under way than this; then what
 * it sends again is counted twice, which is better than to lose one.
 */
export const REMEMBERED_PACKETS = 65_536 - 8_192;

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
