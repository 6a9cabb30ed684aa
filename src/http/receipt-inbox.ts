import type { Receipt } from '../core/firing.ts';
import type { ExpectedReceipt, Receipts } from '../ports/receipts.ts';

/** Settled firings whose further receipts are told. */
const MAX_SETTLED = 1_000;

/** Receipts that came over HTTP, handed to the firings that expect them, or whose latest ones are settled; others count for nothing. */
export class ReceiptInbox implements Receipts {
  readonly #expected = new Map<string, { receipt?: Receipt; notify?: () => void }>();
  readonly #settled = new Map<string, (receipt: Receipt) => void>();

  accept(receipt: Receipt): void {
    const entry = this.#expected.get(receipt.batchId);
    if (!entry) {
      this.#settled.get(receipt.batchId)?.(receipt);
      return;
    }
    entry.receipt = receipt;
    entry.notify?.();
  }

  expect(batchId: string): ExpectedReceipt {
    const entry: { receipt?: Receipt; notify?: () => void } = {};
    this.#expected.set(batchId, entry);
    return {
      arrived: (timeoutMs, signal) => {
        const take = () => {
          const { receipt } = entry;
          if (receipt?.failed) delete entry.receipt; // the next attempt has a receipt of its own
          return receipt;
        };
        if (entry.receipt || signal.aborted) return Promise.resolve(take());
        return new Promise((resolve) => {
          const finish = () => {
            clearTimeout(timer);
            signal.removeEventListener('abort', finish);
            delete entry.notify;
            resolve(take());
          };
          const timer = setTimeout(finish, timeoutMs);
          signal.addEventListener('abort', finish);
          entry.notify = finish;
        });
      },
      close: (late) => {
        this.#expected.delete(batchId);
        this.#settled.set(batchId, late);
        for (const oldest of this.#settled.keys()) {
          if (this.#settled.size <= MAX_SETTLED) break;
          this.#settled.delete(oldest);
        }
      },
    };
  }
}
