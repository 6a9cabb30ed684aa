import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import type { Event, ParkReason } from './event.ts';
import type { Registration } from './registration.ts';

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

/** The trigger's payload, as JSON text. */
export function firingPayload(firing: Firing, site: string, receipt: Callback, parameters: Callback): string {
  const { batchId, registration, events } = firing;
  const first = events[0]!;
  const callbacks = `"batchId":${JSON.stringify(batchId)},"receipt":${JSON.stringify(receipt)},"parameters":${JSON.stringify(parameters)}`;
  if (registration.batch.format === 'compat') {
    return `{"type":"message","topic":${JSON.stringify(first.topic)},${bodyJson(first.body)},${messageFields(first)},${callbacks}}`;
  }
  // Written piece by piece: a batch's bodies are quoted once and nothing else is copied.
  const messages = events.map(
    (event) => `{${messageFields(event)},"topic":${JSON.stringify(event.topic)},${bodyJson(event.body)}}`,
  );
  return `{"type":"messages",${callbacks},"site":${JSON.stringify(site)},"registration":${JSON.stringify(registration.name)},"messages":[${messages.join(',')}]}`;
}

function messageFields({ id, receivedAt, qos, retain }: Event): string {
  return `"id":"${id}","receivedAt":"${receivedAt}","qos":${qos},"retain":${retain}`;
}

function bodyJson(body: Uint8Array): string {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return isUtf8(body)
    ? `"body":${JSON.stringify(bytes.toString('utf8'))}`
    : `"body":"${bytes.toString('base64')}","encoding":"base64"`;
}

/** Roughly how many bytes an event takes in a payload; never less than it does for text without control characters. */
export function payloadBytes(event: Event): number {
  return 160 + event.topic.length * 2 + Math.ceil(event.body.length * 1.35);
}

/** The answer of an action to a firing (DESIGN: "receipt"). */
export const receiptSchema = z.object({
  batchId: z.string().min(1).max(256),
  stored: z.union([z.literal('all'), z.array(z.string().max(64)).max(100_000)]),
  refused: z
    .array(z.object({ id: z.string().max(64), code: z.string().max(256), message: z.string().max(10_000) }))
    .max(100_000)
    .default([]),
});

export type Receipt = z.output<typeof receiptSchema>;

/** What a firing came to. Events in none of the lists are fired again. */
export interface Settlement {
  readonly confirmed: Event[];
  readonly parked: Array<{ event: Event; reason: ParkReason }>;
}

/** Applies a receipt to its firing: refused wins over stored, and ids of other firings count for nothing. */
export function settlementOf(firing: Firing, receipt: Receipt): Settlement {
  const refused = new Map(receipt.refused.map(({ id, code, message }) => [id, { code, message }]));
  const stored = receipt.stored === 'all' ? undefined : new Set(receipt.stored);
  const settlement: Settlement = { confirmed: [], parked: [] };
  for (const event of firing.events) {
    const reason = refused.get(event.id);
    if (reason) settlement.parked.push({ event, reason });
    else if (!stored || stored.has(event.id)) settlement.confirmed.push(event);
  }
  return settlement;
}
