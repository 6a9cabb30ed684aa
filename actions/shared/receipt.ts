import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './http.ts';
import { type Params, type Reference, referenceOf } from './payload.ts';
import { type ActionError, type Refusal, type Result, resultOf } from './result.ts';

/** What an action tells the site's provider about a batch. */
export interface Receipt {
  readonly batchId: unknown;
  /** `all`, or the ids of the messages that are stored wholly. */
  readonly stored: 'all' | readonly string[];
  readonly refused?: ReadonlyArray<Refusal & { readonly id: string }>;
  /** Nothing is settled, and the same firing is wanted again, not before `afterMs`. */
  readonly failed?: Refusal & { readonly afterMs?: number };
  /** Firings that the provider keeps in its journal before it settles this one. */
  readonly next?: readonly NextStep[];
}

/** A firing that follows this one, once for each key. */
export interface NextStep {
  readonly trigger: string;
  readonly payload: Params;
  readonly key: string;
  readonly receiptTimeoutSeconds?: number;
}

const SECOND_TRY_AFTER_MS = 200;

/**
 * Sends the receipt, twice if need be.
 * @throws ActionError `RECEIPT_FAILED`: the points are stored, and the batch will be fired again, which is harmless
 */
export async function sendReceipt(to: Reference, receipt: Receipt): Promise<void> {
  const send = () =>
    ask(
      to,
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(receipt) },
      'RECEIPT_FAILED',
    );
  await send().catch(async () => {
    await sleep(SECOND_TRY_AFTER_MS);
    return send();
  });
}

/** What a firing that is no batch of messages came to. */
export interface Outcome {
  /** For the activation's record. */
  readonly result: Record<string, unknown>;
  /** Why it is to be kept aside: it is done as far as it can be. */
  readonly refused?: Refusal | undefined;
  readonly next?: readonly NextStep[];
}

/**
 * Does the work of a firing that is no batch of messages, and tells the provider, if the payload names a receipt:
 * done, or refused, or, whatever was thrown, not now. A payload that is wrong is refused: it would be at any time.
 */
export function settled(params: Params, work: () => Promise<Outcome>): Promise<Result> {
  const { batchId } = params;
  return resultOf(async () => {
    const to = referenceOf(params, 'receipt');
    try {
      const { result, refused, next = [] } = await work();
      const fate = refused ? refusal(batchId, refused) : { stored: 'all' as const };
      if (to) await sendReceipt(to, { batchId, ...fate, ...(next.length > 0 && { next }) });
      return result;
    } catch (error) {
      const { code = 'UNEXPECTED', message, meta = {} } = error as Partial<ActionError> & Error;
      if (!to || code === 'RECEIPT_FAILED') throw error;
      const { afterMs } = meta;
      const failed = { code, message, ...(typeof afterMs === 'number' && { afterMs }) };
      const fate = code === 'PAYLOAD_INVALID' ? refusal(batchId, failed) : { stored: [], failed };
      // the provider learns of it without a receipt too, later
      await sendReceipt(to, { batchId, ...fate }).catch(() => {});
      throw error;
    }
  });
}

/** The firing as a whole; its id stands for whatever it is made of. */
function refusal(batchId: unknown, { code, message }: Refusal): Pick<Receipt, 'stored' | 'refused'> {
  return { stored: [], refused: [{ id: String(batchId), code, message }] };
}
