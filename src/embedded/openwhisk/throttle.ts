import { ApiError } from './api-error.ts';
import type { Limits } from './limits.ts';

const MINUTE_MS = 60_000;

/** What all invocations in flight may hold as arguments: they wait in memory while their actions are busy. */
const MAX_IN_FLIGHT_BYTES = 128 * 1_048_576;

interface Account {
  minute: number;
  fires: number;
  invocations: number;
  inFlight: number;
}

/** Each namespace's allowance: fires and invocations per wall-clock minute (refused ones count too) and invocations in flight. */
export class Throttle {
  readonly #limits: Limits;
  readonly #accounts = new Map<string, Account>();
  #bytesInFlight = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** @throws ApiError 429 */
  fire(namespace: string): void {
    this.#charge(++this.#account(namespace).fires, this.#limits.firesPerMinute);
  }

  /** @throws ApiError 429 */
  invoke(namespace: string): void {
    const account = this.#account(namespace);
    this.#charge(++account.invocations, this.#limits.invocationsPerMinute);
    const { concurrentInvocations: allowed } = this.#limits;
    if (account.inFlight >= allowed || this.#bytesInFlight > MAX_IN_FLIGHT_BYTES) {
      throw new ApiError(
        429,
        `Too many concurrent requests in flight (count: ${account.inFlight}, allowed: ${allowed}).`,
      );
    }
  }

  /** Counts an invocation, and the bytes of its arguments, as in flight until it is over. */
  inFlight(namespace: string, bytes: number, work: Promise<unknown>): void {
    const account = this.#account(namespace);
    account.inFlight++;
    this.#bytesInFlight += bytes;
    const over = () => {
      account.inFlight--;
      this.#bytesInFlight -= bytes;
    };
    work.then(over, over);
  }

  #charge(count: number, allowed: number): void {
    if (count > allowed) {
      throw new ApiError(429, `Too many requests in the last minute (count: ${count}, allowed: ${allowed}).`);
    }
  }

  #account(namespace: string): Account {
    const minute = Math.floor(Date.now() / MINUTE_MS);
    const account = this.#accounts.get(namespace) ?? { minute, fires: 0, invocations: 0, inFlight: 0 };
    this.#accounts.set(namespace, account);
    if (account.minute !== minute) Object.assign(account, { minute, fires: 0, invocations: 0 });
    return account;
  }
}
