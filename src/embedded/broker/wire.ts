/** The few MQTT packets that the broker writes and measures itself (MQTT 3.1.1, sections 2.2, 3.3 and 3.6). */

/** Most bytes that the "remaining length" may take (2.2.3). */
const MAX_LENGTH_BYTES = 4;

/** A PUBLISH packet; `packetId` is left out on QoS 0. `topic` is UTF-8 without its length. */
export function publishFrame(
  topic: Uint8Array,
  payload: Uint8Array,
  { qos, retain, dup = false, packetId = 0 }: { qos: number; retain: boolean; dup?: boolean; packetId?: number },
): Buffer {
  const remaining = 2 + topic.length + (qos > 0 ? 2 : 0) + payload.length;
  const lengthBytes = remaining < 128 ? 1 : remaining < 16_384 ? 2 : remaining < 2_097_152 ? 3 : 4;
  const frame = Buffer.allocUnsafe(1 + lengthBytes + remaining);
  frame[0] = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  let at = 1;
  for (let rest = remaining; at <= lengthBytes; rest >>>= 7) frame[at++] = (rest & 0x7f) | (rest > 0x7f ? 0x80 : 0);
  at = frame.writeUInt16BE(topic.length, at);
  frame.set(topic, at);
  at += topic.length;
  if (qos > 0) at = frame.writeUInt16BE(packetId, at);
  frame.set(payload, at);
  return frame;
}

/** A PUBREL packet. */
export function pubrelFrame(packetId: number): Buffer {
  return Buffer.from([0x62, 2, packetId >> 8, packetId & 0xff]);
}

/** Follows a connection's bytes from packet to packet and finds one that is too large before its body has arrived. */
export class PacketMeter {
  readonly #maxBytes: number;
  /** Bytes of the current packet's body that are still to come. */
  #bodyLeft = 0;
  /** Bytes of the current packet's fixed header so far: its type, then its length. */
  #headerBytes = 0;
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The size of the first packet in `chunk` that is larger than allowed, if there is one. */
  oversized(chunk: Uint8Array): number | undefined {
    for (let at = 0; at < chunk.length; ) {
      if (this.#bodyLeft > 0) {
        const skipped = Math.min(this.#bodyLeft, chunk.length - at);
        this.#bodyLeft -= skipped;
        at += skipped;
        continue;
      }
      const byte = chunk[at++]!;
      if (this.#headerBytes++ === 0) continue;
      this.#length += (byte & 0x7f) * 2 ** (7 * (this.#headerBytes - 2));
      // A fifth length byte is malformed; the parser closes such a connection.
      if (byte > 0x7f && this.#headerBytes <= MAX_LENGTH_BYTES) continue;
      const packetBytes = this.#headerBytes + this.#length;
      if (packetBytes > this.#maxBytes) return packetBytes;
      this.#bodyLeft = this.#length;
      this.#headerBytes = 0;
      this.#length = 0;
    }
    return undefined;
  }
}
