import { createHash, randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Event, ParkReason } from './event.ts';
import { JsonBytes } from './json-bytes.ts';
import { type Registration, triggerSchema } from './registration.ts';

/** Events of one registration that are fired together, under one id for as long as they are repeated. */
export interface Firing {
  readonly batchId: string;
  readonly registration: Registration;
  readonly events: readonly Event[];
}

/** A place where the action can call its site back, and the firing's own key to it. */
export interface Callback {
  readonly url: string;
  readonly token: string;
}

/**
 * How many of these events, from the first on, can be fired together: messages, as many as there are; of what is no
 * message, next steps that can be told as one with a wider window, otherwise one.
 */
export function firingLength(registration: Registration, events: readonly Event[]): number {
  if (!events[0]?.keyed) {
    const end = events.findIndex(({ keyed }) => keyed);
    return end < 0 ? events.length : end;
  }
  let length = 1;
  if (registration.kind !== 'next') return length;
  for (let last = ownPayload(events[0]); length < events.length; length++) {
    const payload = ownPayload(events[length]!);
    if (!isNeighbour(last, payload)) break;
    last = payload;
  }
  return length;
}

/** The id of a firing: that of an event of its own is the same at every attempt, after a restart too. */
export function batchIdOf(site: string, first: Event): string {
  if (!first.keyed) return randomUUID();
  const digest = createHash('sha256').update(`${site} ${first.id}`).digest('hex').slice(0, 32);
  return digest.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * The trigger's payload: JSON text in UTF-8.
 * @param injected further members; the event's own win over them, and the registration's
 */
export function firingPayload(
  firing: Firing,
  site: string,
  { receipt, parameters }: { readonly receipt: Callback; readonly parameters: Callback },
  injected: Readonly<Record<string, unknown>>,
): Buffer<ArrayBuffer> {
  const { batchId, registration, events } = firing;
  const first = events[0]!;
  const extra = membersOf({ ...injected, ...registration.parameters });
  const callbacks = `"batchId":${JSON.stringify(batchId)},"receipt":${JSON.stringify(receipt)},"parameters":${JSON.stringify(parameters)}`;
  const origin = `"site":${JSON.stringify(site)},"registration":${JSON.stringify(registration.name)}`;
  if (first.keyed) {
    const { type: ownType, ...members } = ownPayload(first);
    const type = registration.kind === 'alarm' ? 'alarm' : (ownType ?? 'next');
    const to = events.length > 1 && windowOf(ownPayload(events.at(-1)!))?.to;
    const window = to && { window: { from: windowOf(members)!.from, to } };
    json.add(`{${extra}${membersOf({ ...members, ...window })}"type":${JSON.stringify(type)},${callbacks},${origin}}`);
    return json.take();
  }
  if (registration.batch.format === 'compat') {
    json.add(`{${extra}"type":"message",`);
    json.addBytes(messageHead.of(first));
    addBody(first.body);
    json.add(`,${callbacks}}`);
    return json.take();
  }
  json.add(`{${extra}"type":"messages",${callbacks},${origin},"messages":[`);
  for (let index = 0; index < events.length; index++) {
    const event = events[index]!;
    json.add(index === 0 ? '{' : '},{');
    json.addBytes(messageHead.of(event));
    addBody(event.body);
  }
  json.add('}]}');
  return json.take();
}

/** Lets the memory of a payload that nobody reads any more be used for others. */
export function releasePayload(payload: Buffer<ArrayBuffer>): void {
  json.giveBack(payload);
}

/** One payload is written at a time. */
const json = new JsonBytes();

/** The members of a message before its body; mostly, all but the ids are those of the message before. */
class MessageHead {
  #bytes = Buffer.alloc(0);
  #qos = -1;
  #retain = false;
  #topic = '';
  #idLength = 0;

  /** Good until the next call. */
  of({ id, qos, retain, topic }: Event): Buffer {
    const isLike =
      qos === this.#qos && topic === this.#topic && retain === this.#retain && id.length === this.#idLength;
    if (!isLike) {
      this.#qos = qos;
      this.#retain = retain;
      this.#topic = topic;
      this.#idLength = id.length;
      const quoted = JSON.stringify(topic);
      const fields = `"id":"${id}","receivedAt":"${id}","qos":${qos},"retain":${retain},"topic":${quoted},"body":`;
      this.#bytes = Buffer.from(fields);
      return this.#bytes;
    }
    const at = '"id":"'.length;
    this.#bytes.write(id, at, 'latin1');
    this.#bytes.copyWithin(at + id.length + '","receivedAt":"'.length, at, at + id.length);
    return this.#bytes;
  }
}

const messageHead = new MessageHead();

function addBody(body: Uint8Array): void {
  if (json.addString(body)) return;
  const base64 = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('base64');
  json.add(`"${base64}","encoding":"base64"`);
}

/** The members of a JSON object, each with a comma after it. */
function membersOf(object: Readonly<Record<string, unknown>>): string {
  const json = JSON.stringify(object);
  return json === '{}' ? '' : `${json.slice(1, -1)},`;
}

/** Roughly how many bytes an event takes in a payload; never less than it does for text without control characters. */
export function payloadBytes(event: Event): number {
  return 160 + event.topic.length * 2 + Math.ceil(event.bodyBytes * 1.35);
}

type Payload = Readonly<Record<string, unknown>>;

/** The payload of an event that is no message; empty if somebody mended it into something else. */
function ownPayload({ body }: Event): Payload {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Payload) : {};
  } catch {
    return {};
  }
}

/** Whether two follow-up firings ask for the same but for their windows, the second beginning where the first ends. */
function isNeighbour(a: Payload, b: Payload): boolean {
  const from = windowOf(b)?.from;
  if (from === undefined || windowOf(a)?.to !== from) return false;
  return JSON.stringify({ ...a, window: null }) === JSON.stringify({ ...b, window: null });
}

function windowOf({ window }: Payload): { from: string; to: string } | undefined {
  const { from, to } = (window ?? {}) as { from?: unknown; to?: unknown };
  return typeof from === 'string' && typeof to === 'string' ? { from, to } : undefined;
}

/** How long a firing's receipt is waited for, in ms; a follow-up firing may say so itself. */
export function receiptTimeoutMs({ registration, events }: Firing, otherwiseMs: number): number {
  const seconds = events[0]!.keyed && ownPayload(events[0]!).receiptTimeoutSeconds;
  return typeof seconds === 'number' && seconds > 0 && seconds <= MAX_RECEIPT_TIMEOUT_SECONDS
    ? seconds * 1_000
    : (registration.receiptTimeoutMs ?? otherwiseMs);
}

const MAX_RECEIPT_TIMEOUT_SECONDS = 86_400;

const reasonSchema = { code: z.string().max(256), message: z.string().max(10_000) };

/** A firing that an action asks for as the next step, once for each key. */
const nextSchema = z.object({
  trigger: triggerSchema,
  payload: z.record(z.string(), z.unknown()),
  key: z.string().min(1).max(1_024),
  receiptTimeoutSeconds: z.number().positive().max(MAX_RECEIPT_TIMEOUT_SECONDS).optional(),
});

export type NextStep = z.output<typeof nextSchema>;

/** The answer of an action to a firing (DESIGN: "receipt"). */
export const receiptSchema = z.object({
  batchId: z.string().min(1).max(256),
  stored: z.union([z.literal('all'), z.array(z.string().max(64)).max(100_000)]).default([]),
  refused: z
    .array(z.object({ id: z.string().max(64), ...reasonSchema }))
    .max(100_000)
    .default([]),
  /** The action could not do its work now, and nothing is settled; it wants the firing again, `afterMs` later at least. */
  failed: z.object({ ...reasonSchema, afterMs: z.number().min(0).max(86_400_000).optional() }).optional(),
  next: z.array(nextSchema).max(1_000).default([]),
});

export type Receipt = z.output<typeof receiptSchema>;

/** What a firing came to. Events in none of the lists are fired again. */
export interface Settlement {
  readonly confirmed: Event[];
  readonly parked: Array<{ event: Event; reason: ParkReason }>;
  /** To be journalled before the rest is settled. */
  readonly next: Array<{ step: NextStep; parent: string }>;
}

export function emptySettlement(): Settlement {
  return { confirmed: [], parked: [], next: [] };
}

/** Adds what a further firing came to. */
export function addSettlement(to: Settlement, { confirmed, parked, next }: Settlement): void {
  to.confirmed.push(...confirmed);
  to.parked.push(...parked);
  to.next.push(...next);
}

/** What tells a firing's next steps from those of others, at every attempt where the firing has an event of its own. */
export function parentOf({ batchId, events: [first] }: Firing): string {
  return first!.keyed ? batchId : first!.id;
}

/** Applies a receipt to its firing: refused wins over stored, and ids of other firings count for nothing. */
export function settlementOf(firing: Firing, receipt: Receipt): Settlement {
  const refused =
    receipt.refused.length > 0
      ? new Map(receipt.refused.map(({ id, code, message }) => [id, { code, message }]))
      : undefined;
  const stored = receipt.stored === 'all' ? undefined : new Set(receipt.stored);
  const parent = parentOf(firing);
  const settlement = { ...emptySettlement(), next: receipt.next.map((step) => ({ step, parent })) };
  for (const event of firing.events) {
    // The payload of what is no message names no event: it is refused as a whole.
    const reason = refused?.get(event.id) ?? (event.keyed ? refused?.get(firing.batchId) : undefined);
    if (reason) settlement.parked.push({ event, reason });
    else if (!stored || stored.has(event.id)) settlement.confirmed.push(event);
  }
  return settlement;
}
