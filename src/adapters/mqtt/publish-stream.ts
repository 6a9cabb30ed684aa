import { Duplex } from 'node:stream';
import { RepeatedText } from '../../core/repeated-text.ts';
import type { BrokerMessage } from '../../ports/broker.ts';

/**
 * A connection to a broker from which PUBLISH packets are taken out as they come, decoded; all others pass. MQTT.js, which
 * does the rest of the protocol, decodes a packet in several times the time that this takes, and one at a time.
 */

const PUBLISH = 3;
/** A remaining length takes at most four bytes (2.2.3). */
const MAX_HEADER_BYTES = 5;
const SUBSCRIPTION_IDENTIFIER = 0x0b;

export interface PublishStreamOptions {
  readonly version: 4 | 5;
  /** The connection's number, which its messages tell. */
  readonly connection: number;
  /** Takes a message, whose payload is a view of what was read. While a promise that it returned is pending, nothing more is read. */
  readonly take: (message: BrokerMessage) => Promise<void> | undefined;
}

export class PublishStream extends Duplex {
  readonly #socket: Duplex;
  readonly #options: PublishStreamOptions;
  /** Bytes that are no whole packet yet. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** How many bytes the packet that #rest begins with has, as far as known. */
  #wanted = 0;
  #held = false;
  /** Most messages come on the topic of the one before. */
  readonly #topics = new RepeatedText();

  constructor(socket: Duplex, options: PublishStreamOptions) {
    super();
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    if (!this.#held) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _writev(chunks: Array<{ chunk: Buffer }>, done: (error?: Error | null) => void): void {
    this.#socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #receive(chunk: Buffer): void {
    this.#restBytes += chunk.length;
    if (this.#restBytes < this.#wanted || this.#held) {
      this.#rest.push(chunk);
      return;
    }
    const data = this.#rest.length > 0 ? Buffer.concat([...this.#rest, chunk], this.#restBytes) : chunk;
    this.#decode(data, 0);
  }

  /** Goes through the packets of `data` up to one that is not whole, or that is to be waited for. */
  #decode(data: Buffer, from: number): void {
    let at = from;
    this.#wanted = 0;
    while (at < data.length) {
      const length = variableInteger(data, at + 1, Math.min(data.length, at + MAX_HEADER_BYTES));
      if (length === UNENDED) {
        if (data.length < at + MAX_HEADER_BYTES) break;
        this.destroy(new Error('the broker sent a packet with a malformed length'));
        return;
      }
      const body = at + 1 + sizeOf(length);
      const end = body + numberOf(length);
      if (end > data.length) {
        this.#wanted = end - at;
        break;
      }
      if (data[at]! >> 4 !== PUBLISH) {
        this.push(data.subarray(at, end));
        at = end;
        continue;
      }
      const publish = this.#publish(data, data[at]!, body, end);
      at = end;
      if (!publish) {
        this.destroy(new Error('the broker sent a malformed PUBLISH packet'));
        return;
      }
      const held = this.#options.take(publish);
      if (held) {
        this.#hold(held, data, at);
        return;
      }
      if (this.destroyed) return;
    }
    this.#keep(data, at);
  }

  #hold(held: Promise<void>, data: Buffer, at: number): void {
    this.#held = true;
    this.#socket.pause();
    const goOn = () => {
      if (this.destroyed) return;
      const more = this.#rest;
      this.#held = false;
      this.#socket.resume();
      this.#decode(more.length > 0 ? Buffer.concat([data.subarray(at), ...more]) : data, more.length > 0 ? 0 : at);
    };
    this.#rest = [];
    this.#restBytes = 0;
    held.then(goOn, goOn);
  }

  #keep(data: Buffer, at: number): void {
    this.#rest = at < data.length ? [data.subarray(at)] : [];
    this.#restBytes = data.length - at;
  }

  /** A PUBLISH packet (MQTT 3.1.1 and 5, section 3.3); undefined if it is malformed. */
  #publish(data: Buffer, flags: number, body: number, end: number): BrokerMessage | undefined {
    const qos = ((flags >> 1) & 3) as 0 | 1 | 2;
    if (body + 2 > end) return undefined;
    const topicEnd = body + 2 + data.readUInt16BE(body);
    let at = topicEnd + (qos > 0 ? 2 : 0);
    if (at > end || qos > 2) return undefined;
    const packetId = qos > 0 ? data.readUInt16BE(topicEnd) : 0;
    if (qos > 0 && packetId === 0) return undefined; // 2.2.1
    let subscriptions: number[] | undefined;
    if (this.#options.version === 5) {
      const length = variableInteger(data, at, end);
      if (length === UNENDED) return undefined;
      const properties = at + sizeOf(length);
      at = properties + numberOf(length);
      if (at > end) return undefined;
      if (at > properties) subscriptions = subscriptionIdentifiers(data, properties, at);
    }
    return {
      topic: this.#topics.read(data, body + 2, topicEnd),
      payload: data.subarray(at, end),
      qos,
      retain: (flags & 1) !== 0,
      dup: (flags & 8) !== 0,
      subscriptions,
      packetId,
      connection: this.#options.connection,
    };
  }
}

const UNENDED = -1;

/**
 * A variable byte integer (1.5.5), which {@link numberOf} and {@link sizeOf} tell of: one number, since there are two of them
 * in each packet; `UNENDED` if it does not end before `limit`.
 */
function variableInteger(data: Buffer, from: number, limit: number): number {
  let value = 0;
  for (let at = from, shift = 0; at < limit && shift < 28; at++, shift += 7) {
    const byte = data[at]!;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value * 8 + (at + 1 - from);
  }
  return UNENDED;
}

function numberOf(integer: number): number {
  return Math.floor(integer / 8);
}

/** How many bytes it takes. */
function sizeOf(integer: number): number {
  return integer & 7;
}

/** The subscription identifiers among a PUBLISH packet's properties (3.3.2.3); those of unknown kinds end the search. */
function subscriptionIdentifiers(data: Buffer, from: number, end: number): number[] | undefined {
  const found: number[] = [];
  for (let at = from; at < end; ) {
    const kind = data[at++]!;
    if (kind === SUBSCRIPTION_IDENTIFIER) {
      const identifier = variableInteger(data, at, end);
      if (identifier === UNENDED) break;
      found.push(numberOf(identifier));
      at += sizeOf(identifier);
      continue;
    }
    const size = propertySize(data, kind, at, end);
    if (size === undefined) break;
    at += size;
  }
  return found.length > 0 ? found : undefined;
}

function propertySize(data: Buffer, kind: number, at: number, end: number): number | undefined {
  const text = (from: number) => (from + 2 <= end ? 2 + data.readUInt16BE(from) : end);
  switch (kind) {
    case 0x01: // payload format indicator
      return 1;
    case 0x02: // message expiry interval
      return 4;
    case 0x23: // topic alias
      return 2;
    case 0x03: // content type
    case 0x08: // response topic
    case 0x09: // correlation data
      return text(at);
    case 0x26: // user property
      return text(at) + text(at + text(at));
    default:
      return undefined;
  }
}
