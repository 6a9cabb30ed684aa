import { ActionError } from './result.ts';
import { now } from './time.ts';

/** What the provider fires a trigger with. */

/** One MQTT message. */
export interface Message {
  /** The provider's id of the event; empty in the classic payload, which has none. */
  readonly id: string;
  readonly topic: string;
  /** The message's bytes as UTF-8 text, or in base64 if they are none. */
  readonly body: string;
  readonly isBase64: boolean;
  /** When the provider received it, in ns since 1970. */
  readonly receivedAt: bigint;
}

/** Where something is to be fetched from or sent to, and the token that opens it. */
export interface Reference {
  readonly url: string;
  readonly token: string;
}

export type Params = Readonly<Record<string, unknown>>;

/**
 * The messages of `{type: "messages", messages: […]}`, or the one of the classic `{type: "message", topic, body}`.
 * @returns undefined for any other type, e.g. the `status` events of a registration that asks for them
 * @throws ActionError `PAYLOAD_INVALID`
 */
export function messagesOf(params: Params): Message[] | undefined {
  if (params.type === 'message') return [messageOf(params)];
  if (params.type !== 'messages') return undefined;
  if (!Array.isArray(params.messages)) throw new ActionError('PAYLOAD_INVALID', 'messages must be an array.');
  return params.messages.map((message: unknown) => {
    if (!isRecord(message) || typeof message.id !== 'string') {
      throw new ActionError('PAYLOAD_INVALID', 'each of messages must be an object with an id (a string).');
    }
    return messageOf(message);
  });
}

function messageOf({ id, topic, body, encoding, receivedAt }: Params): Message {
  return {
    id: typeof id === 'string' ? id : '',
    topic: typeof topic === 'string' ? topic : '',
    // `wsk trigger fire -p body '{…}'` sends an object where the provider sends its text
    body: typeof body === 'string' ? body : (JSON.stringify(body) ?? ''),
    isBase64: encoding === 'base64',
    receivedAt: typeof receivedAt === 'string' && /^\d{1,19}$/.test(receivedAt) ? BigInt(receivedAt) : now(),
  };
}

/**
 * A reference in the payload, as `receipt` and `parameters`.
 * @throws ActionError `PAYLOAD_INVALID`
 */
export function referenceOf(params: Params, name: 'receipt' | 'parameters'): Reference | undefined {
  const reference = params[name];
  if (reference === undefined || reference === null) return undefined;
  if (!isRecord(reference) || typeof reference.url !== 'string' || typeof reference.token !== 'string') {
    throw new ActionError('PAYLOAD_INVALID', `${name} must be {url, token}, both strings.`);
  }
  return { url: reference.url, token: reference.token };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
