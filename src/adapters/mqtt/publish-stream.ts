import { Duplex } from 'node:stream';
import { RepeatedText } from '../../core/repeated-text.ts';

/**
 * A connection to a broker from which PUBLISH packets are taken out as they come, decoded; all others pass. MQTT.js, which
 * does the rest of the protocol, decodes a packet in several times the time that this takes, and one at a time.
 */

/** A PUBLISH packet (MQTT 3.1.1 and 5, section 3.3). */
export interface Publish {
  readonly topic: string;
  /** A view of what was read from the socket. */
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  /** 0 with QoS 0. */
  readonly packetId: number;
  /** MQTT 5, 3.3.2.3.8. */
  readonly subscriptions: readonly number[] | undefined;
}

const PUBLISH = 3;
/** A remaining length takes at most four bytes (2.2.3). */
const MAX_HEADER_BYTES = 5;
const SUBSCRIPTION_IDENTIFIER = 0x0b;

export interface PublishStreamOptions {
  readonly version: 4 | 5;
  /** Takes a packet. While a promise that it returned is pending, nothing more is read. */
  readonly take: (publish: Publish) => Promise<void> | undefined;
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
      const header = packetHeader(data, at);
      if (header === undefined) break;
      if (header === 'malformed') {
        this.destroy(new Error('the broker sent a packet with a malformed length'));
        return;
      }
      if (header.end > data.length) {
        this.#wanted = header.end - at;
        break;
      }
      if (data[at]! >> 4 !== PUBLISH) {
        this.push(data.subarray(at, header.end));
        at = header.end;
        continue;
      }
      const publish = this.#publish(data, data[at]!, header.body, header.end);
      at = header.end;
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

  #publish(data: Buffer, flags: number, body: number, end: number): Publish | undefined {
    const qos = ((flags >> 1) & 3) as 0 | 1 | 2;
    const topicEnd = body + 2 + data.readUInt16BE(body);
    let at = topicEnd + (qos > 0 ? 2 : 0);
    if (at > end || qos > 2) return undefined;
    const packetId = qos > 0 ? data.readUInt16BE(topicEnd) : 0;
    let subscriptions: number[] | undefined;
    if (this.#options.version === 5) {
      const properties = variableInteger(data, at, end);
      if (!properties || properties.end + properties.value > end) return undefined;
      at = properties.end + properties.value;
      if (properties.value > 0) subscriptions = subscriptionIdentifiers(data, properties.end, at);
    }
    return {
      topic: this.#topics.read(data, body + 2, topicEnd),
      payload: data.subarray(at, end),
      qos,
      retain: (flags & 1) !== 0,
      dup: (flags & 8) !== 0,
      packetId,
      subscriptions,
    };
  }
}

/** Where a packet's body begins and ends; undefined while its header is not whole. */
function packetHeader(data: Buffer, at: number): { body: number; end: number } | 'malformed' | undefined {
  const length = variableInteger(data, at + 1, Math.min(data.length, at + MAX_HEADER_BYTES));
  if (length) return { body: length.end, end: length.end + length.value };
  return data.length >= at + MAX_HEADER_BYTES ? 'malformed' : undefined;
}

/** A variable byte integer (1.5.5); undefined if it does not end before `limit`. */
function variableInteger(data: Buffer, from: number, limit: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let at = from, factor = 1; at < limit; at++, factor *= 128) {
    const byte = data[at]!;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, end: at + 1 };
  }
  return undefined;
}

/** The subscription identifiers among a PUBLISH packet's properties (3.3.2.3); those of unknown kinds end the search. */
function subscriptionIdentifiers(data: Buffer, from: number, end: number): number[] | undefined {
  const found: number[] = [];
  for (let at = from; at < end; ) {
    const kind = data[at++]!;
    if (kind === SUBSCRIPTION_IDENTIFIER) {
      const identifier = variableInteger(data, at, end);
      if (!identifier) break;
      found.push(identifier.value);
      at = identifier.end;
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
