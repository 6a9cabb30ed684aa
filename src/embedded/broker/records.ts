/**
 * What the broker writes to its log. A record starts with its kind:
 *
 * - `message`: flags (bits 0-1 QoS, 2 keep as the topic's retained message, 3 deliver with the RETAIN flag),
 *   the publishing session's number and packet id of a QoS 2 message (else 0; u32, u16), how many sessions it is
 *   queued for (u16) and for each its number (u32) and QoS (u8), the topic's length (u16) and the topic, the payload.
 * - `moved`: a message that compaction copied out of an old segment. It says nothing new.
 * - `acknowledged`: a session's number (u32) and the sequence numbers of its messages that are settled (u48 each).
 * - `change`: anything rarer, as JSON.
 */
const MESSAGE = 1;
const MOVED = 2;
const ACKNOWLEDGED = 3;
const CHANGE = 4;

const KEEP_FLAG = 4;
const RETAIN_FLAG = 8;
const MESSAGE_HEADER_BYTES = 10;
const TARGET_BYTES = 5;
const SEQUENCE_BYTES = 6;

export type QueuedQos = 1 | 2;
export type Qos = 0 | QueuedQos;

export interface MessageRecord {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: Qos;
  /** It becomes the topic's retained message, or, with an empty payload, removes that. */
  readonly keep: boolean;
  /** It is delivered with the RETAIN flag: a retained message sent to a new subscriber. */
  readonly retain: boolean;
  /** Who published it with which packet id, where a repeated PUBLISH must be recognized: QoS 2, persistent session. */
  readonly publisher: { readonly session: number; readonly packetId: number } | undefined;
  /** The persistent sessions that it is queued for. */
  readonly targets: ReadonlyArray<{ readonly session: number; readonly qos: QueuedQos }>;
}

export interface Will {
  readonly topic: string;
  /** Base64. */
  readonly payload: string;
  readonly qos: Qos;
  readonly retain: boolean;
}

/** The broker's whole durable state, messages by their place in the log. */
export interface Checkpoint {
  readonly op: 'checkpoint';
  /** Position and size of each message, one after the other. */
  readonly messages: readonly number[];
  readonly sessions: ReadonlyArray<{
    readonly number: number;
    readonly client: string;
    readonly filters: ReadonlyArray<readonly [filter: string, qos: Qos]>;
    readonly incoming: readonly number[];
    /** The sequence number of the first slot. */
    readonly base: number;
    /** For each slot: index into `messages` (-1: settled already), QoS, 1 if it was PUBRECed. */
    readonly slots: readonly number[];
  }>;
  readonly retained: ReadonlyArray<readonly [topic: string, message: number]>;
  readonly wills: ReadonlyArray<readonly [client: string, will: Will]>;
}

export type Change =
  | { readonly op: 'session'; readonly number: number; readonly client: string }
  | { readonly op: 'sessionEnd'; readonly number: number }
  | { readonly op: 'subscribe'; readonly number: number; readonly filters: ReadonlyArray<readonly [string, Qos]> }
  | { readonly op: 'unsubscribe'; readonly number: number; readonly filters: readonly string[] }
  /** The subscriber has sent PUBREC: from now on PUBREL is sent, not PUBLISH. */
  | { readonly op: 'received'; readonly number: number; readonly sequence: number }
  /** The publisher has sent PUBREL: its packet id is free again. */
  | { readonly op: 'released'; readonly number: number; readonly packetId: number }
  | { readonly op: 'will'; readonly client: string; readonly will: Will }
  | { readonly op: 'willEnd'; readonly client: string }
  | Checkpoint;

export function encodeMessage(message: MessageRecord): Buffer {
  const { targets, publisher, payload } = message;
  const topicBytes = Buffer.byteLength(message.topic);
  const topicAt = MESSAGE_HEADER_BYTES + targets.length * TARGET_BYTES;
  const record = Buffer.allocUnsafe(topicAt + 2 + topicBytes + payload.length);
  record[0] = MESSAGE;
  record[1] = message.qos | (message.keep ? KEEP_FLAG : 0) | (message.retain ? RETAIN_FLAG : 0);
  record.writeUInt32LE(publisher?.session ?? 0, 2);
  record.writeUInt16LE(publisher?.packetId ?? 0, 6);
  let at = record.writeUInt16LE(targets.length, 8);
  for (const target of targets) {
    at = record.writeUInt32LE(target.session, at);
    record[at++] = target.qos;
  }
  at = record.writeUInt16LE(topicBytes, at);
  record.write(message.topic, at, 'utf8');
  record.set(payload, at + topicBytes);
  return record;
}

/** The topic (UTF-8), payload and RETAIN flag that a message's record is delivered with, without copying. */
export function deliveryOf(record: Buffer): { topic: Buffer; payload: Buffer; retain: boolean } {
  const topicAt = MESSAGE_HEADER_BYTES + record.readUInt16LE(8) * TARGET_BYTES + 2;
  const payloadAt = topicAt + record.readUInt16LE(topicAt - 2);
  return {
    topic: record.subarray(topicAt, payloadAt),
    payload: record.subarray(payloadAt),
    retain: (record[1]! & RETAIN_FLAG) !== 0,
  };
}

/** The same message as a record that is not taken in again when the log is read. */
export function asMoved(record: Buffer): Buffer {
  const copy = Buffer.from(record);
  copy[0] = MOVED;
  return copy;
}

export function encodeAcknowledged(session: number, sequences: readonly number[]): Buffer {
  const record = Buffer.allocUnsafe(5 + sequences.length * SEQUENCE_BYTES);
  record[0] = ACKNOWLEDGED;
  let at = record.writeUInt32LE(session, 1);
  for (const sequence of sequences) at = record.writeUIntLE(sequence, at, SEQUENCE_BYTES);
  return record;
}

export function encodeChange(change: Change): Buffer {
  return Buffer.concat([Buffer.of(CHANGE), Buffer.from(JSON.stringify(change))]);
}

export type LogRecord =
  | { readonly kind: 'message'; readonly message: MessageRecord }
  | { readonly kind: 'acknowledged'; readonly session: number; readonly sequences: readonly number[] }
  | { readonly kind: 'change'; readonly change: Change };

/** Reads a record; undefined for one that says nothing new. The payload is not copied. */
export function decodeRecord(record: Buffer): LogRecord | undefined {
  switch (record[0]!) {
    case MESSAGE:
      return { kind: 'message', message: decodeMessage(record) };
    case ACKNOWLEDGED: {
      const sequences: number[] = [];
      for (let at = 5; at < record.length; at += SEQUENCE_BYTES) sequences.push(record.readUIntLE(at, SEQUENCE_BYTES));
      return { kind: 'acknowledged', session: record.readUInt32LE(1), sequences };
    }
    case CHANGE:
      return { kind: 'change', change: JSON.parse(record.toString('utf8', 1)) as Change };
    default:
      return undefined;
  }
}

/** Reads a message's record, a moved one too. The payload is not copied. */
export function decodeMessage(record: Buffer): MessageRecord {
  const flags = record[1]!;
  const packetId = record.readUInt16LE(6);
  const targets: Array<{ session: number; qos: QueuedQos }> = [];
  const count = record.readUInt16LE(8);
  for (let index = 0; index < count; index++) {
    const at = MESSAGE_HEADER_BYTES + index * TARGET_BYTES;
    targets.push({ session: record.readUInt32LE(at), qos: record[at + 4] as QueuedQos });
  }
  const { topic, payload, retain } = deliveryOf(record);
  return {
    topic: topic.toString('utf8'),
    payload,
    qos: (flags & 3) as Qos,
    keep: (flags & KEEP_FLAG) !== 0,
    retain,
    publisher: packetId === 0 ? undefined : { session: record.readUInt32LE(2), packetId },
    targets,
  };
}
