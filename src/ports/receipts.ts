import type { Receipt } from '../core/firing.ts';

/** Where actions' receipts arrive. */
export interface Receipts {
  /** Keeps receipts of this firing from now on; one may come before the platform has answered. */
  expect(batchId: string): ExpectedReceipt;
}

export interface ExpectedReceipt {
  /** The firing's receipt, at once if it is here, one that says `failed` only once; undefined when `timeoutMs` has passed without one or `signal` says so. */
  arrived(timeoutMs: number, signal: AbortSignal): Promise<Receipt | undefined>;
  /** The firing is settled. Receipts of further actions that its trigger started are told for a while. */
  close(late: (receipt: Receipt) => void): void;
}
