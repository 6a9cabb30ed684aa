import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './http.ts';
import type { Reference } from './payload.ts';
import type { Refusal } from './result.ts';

/** What an action tells the site's provider about a batch. */
export interface Receipt {
  readonly batchId: unknown;
  /** `all`, or the ids of the messages that are stored wholly. */
  readonly stored: 'all' | readonly string[];
  readonly refused?: ReadonlyArray<Refusal & { readonly id: string }>;
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
