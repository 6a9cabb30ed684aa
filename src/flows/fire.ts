import { randomUUID } from 'node:crypto';
import type { Event } from '../core/event.ts';
import { type Callback, type Firing, firingPayload, type Settlement, settlementOf } from '../core/firing.ts';
import type { Registration } from '../core/registration.ts';
import { retryDelayMs } from '../core/retry.ts';
import type { Clock } from '../ports/clock.ts';
import type { FireAnswer, Platform } from '../ports/platform.ts';
import type { ExpectedReceipt, Receipts } from '../ports/receipts.ts';

/** Why a registration's firings don't get through at the moment. */
export interface Obstacle {
  readonly code: 'NO_ACTIVE_RULE' | 'REFUSED' | 'THROTTLED' | 'UNAVAILABLE' | 'NO_RECEIPT';
  readonly reason: string;
}

export interface FireParts {
  readonly platform: Platform;
  readonly receipts: Receipts;
  readonly clock: Clock;
  readonly site: string;
  /** Where the action sends its receipt of a firing, and where it finds the site's parameters. */
  readonly callbacks: (batchId: string) => { receipt: Callback; parameters: Callback };
  readonly receiptTimeoutMs: number;
  /** Told when a registration's firings stop getting through, and (undefined) when they do again. */
  readonly onObstacle: (registration: Registration, obstacle: Obstacle | undefined) => void;
}

/** Firings that may be at the platform at once; those that wait to be repeated don't count. */
const MAX_CONCURRENT = 32;
/** After an answer that won't change by itself: a missing rule, a wrong key, an unknown trigger. */
const HELD_RETRY = { firstMs: 1_000, maxMs: 30_000 };

/** One firing to its outcome: repeated under its id until its fate is known. */
export class Fire {
  readonly #parts: FireParts;
  #free = MAX_CONCURRENT;
  readonly #waiting: Array<() => void> = [];
  /** Firings sent to the platform, repetitions included. */
  sent = 0;

  constructor(parts: FireParts) {
    this.#parts = parts;
  }

  /**
   * Fires events of one registration until every one is confirmed or to be parked, or `signal` says stop.
   * What is in neither list of the settlement is unsettled still.
   */
  async events(registration: Registration, events: readonly Event[], signal: AbortSignal): Promise<Settlement> {
    const settlement: Settlement = { confirmed: [], parked: [] };
    for (let rest = events; rest.length > 0 && !signal.aborted; ) {
      const part = await this.#firing({ batchId: randomUUID(), registration, events: rest }, signal);
      settlement.confirmed.push(...part.confirmed);
      settlement.parked.push(...part.parked);
      const settled = new Set([...part.confirmed, ...part.parked.map(({ event }) => event)]);
      rest = rest.filter((event) => !settled.has(event));
    }
    return settlement;
  }

  async #firing(firing: Firing, signal: AbortSignal): Promise<Settlement> {
    const { receipts, site, callbacks } = this.#parts;
    const { receipt, parameters } = callbacks(firing.batchId);
    const payload = firingPayload(firing, site, receipt, parameters);
    const expected = receipts.expect(firing.batchId);
    try {
      return await this.#repeat(firing, payload, expected, signal);
    } finally {
      expected.close();
    }
  }

  async #repeat(firing: Firing, payload: string, expected: ExpectedReceipt, signal: AbortSignal): Promise<Settlement> {
    const { clock, onObstacle } = this.#parts;
    for (let failures = 0; !signal.aborted; ) {
      const outcome = await this.#slot(() => this.#attempt(firing, payload, expected, signal));
      if (outcome.kind === 'tooLarge') return this.#split(firing, signal);
      failures += 1;
      let settlement = outcome.kind === 'settled' ? outcome.settlement : undefined;
      if (outcome.kind !== 'settled' && !signal.aborted) {
        onObstacle(firing.registration, obstacleOf(outcome));
        // An attempt whose answer was lost may have reached the action all the same.
        const late = await expected.arrived(waitMs(outcome, failures, clock.random()), signal);
        settlement = late && settlementOf(firing, late);
      }
      if (settlement) {
        onObstacle(firing.registration, undefined);
        return settlement;
      }
    }
    return { confirmed: [], parked: [] };
  }

  async #attempt(
    firing: Firing,
    payload: string,
    expected: ExpectedReceipt,
    signal: AbortSignal,
  ): Promise<{ kind: 'settled'; settlement: Settlement } | { kind: 'tooLarge' } | Failure> {
    const { platform, receiptTimeoutMs } = this.#parts;
    this.sent += 1;
    const answer = await platform.fire(firing.registration.trigger, payload, signal);
    if (answer.kind !== 'accepted') return answer;
    // The predecessor's actions know no receipts: accepted must do.
    if (firing.registration.batch.format === 'compat') {
      return { kind: 'settled', settlement: { confirmed: [...firing.events], parked: [] } };
    }
    const receipt = await expected.arrived(receiptTimeoutMs, signal);
    if (!receipt) return { kind: 'noReceipt', afterMs: receiptTimeoutMs };
    return { kind: 'settled', settlement: settlementOf(firing, receipt) };
  }

  async #split({ registration, events }: Firing, signal: AbortSignal): Promise<Settlement> {
    if (events.length === 1) {
      const reason = {
        code: 'PAYLOAD_TOO_LARGE',
        message: 'the platform refuses the message alone as larger than its payload limit',
      };
      return { confirmed: [], parked: [{ event: events[0]!, reason }] };
    }
    const middle = Math.ceil(events.length / 2);
    const first = await this.events(registration, events.slice(0, middle), signal);
    const second = await this.events(registration, events.slice(middle), signal);
    return { confirmed: [...first.confirmed, ...second.confirmed], parked: [...first.parked, ...second.parked] };
  }

  async #slot<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

type Failure = Exclude<FireAnswer, { kind: 'accepted' | 'tooLarge' }> | { kind: 'noReceipt'; afterMs: number };

function waitMs(failure: Failure, failures: number, random: number): number {
  switch (failure.kind) {
    case 'noActiveRule':
    case 'refused':
      return retryDelayMs(failures, random, HELD_RETRY);
    case 'throttled':
      return Math.max(failure.retryAfterMs ?? 0, retryDelayMs(failures, random, { firstMs: 1_000, maxMs: 60_000 }));
    case 'unavailable':
      return retryDelayMs(failures, random);
    case 'noReceipt':
      return 0;
  }
}

function obstacleOf(failure: Failure): Obstacle {
  switch (failure.kind) {
    case 'noActiveRule':
      return { code: 'NO_ACTIVE_RULE', reason: 'no active rule binds the trigger to an action' };
    case 'refused':
      return { code: 'REFUSED', reason: `the platform refuses the firing (HTTP ${failure.status}): ${failure.reason}` };
    case 'throttled':
      return { code: 'THROTTLED', reason: "the platform's limit of firings or invocations per minute is reached" };
    case 'unavailable':
      return { code: 'UNAVAILABLE', reason: `the platform does not answer: ${failure.reason}` };
    case 'noReceipt':
      return { code: 'NO_RECEIPT', reason: `no receipt from the action within ${failure.afterMs / 1_000} s` };
  }
}
