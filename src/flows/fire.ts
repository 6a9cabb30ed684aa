import type { Event } from '../core/event.ts';
import {
  addSettlement,
  batchIdOf,
  type Callback,
  emptySettlement,
  type Firing,
  firingPayload,
  parentOf,
  type Receipt,
  receiptTimeoutMs,
  releasePayload,
  type Settlement,
  settlementOf,
} from '../core/firing.ts';
import type { Registration } from '../core/registration.ts';
import { retryDelayMs } from '../core/retry.ts';
import type { Clock } from '../ports/clock.ts';
import type { FireAnswer, Platform } from '../ports/platform.ts';
import type { ExpectedReceipt, Receipts } from '../ports/receipts.ts';
import { Gate, type Visit } from './gate.ts';

/** Why a registration's firings don't get through at the moment. */
export interface Obstacle {
  /** One of `NO_ACTIVE_RULE`, `REFUSED`, `THROTTLED`, `UNAVAILABLE`, `NO_RECEIPT`, `ACTION_FAILED`, or the action's own. */
  readonly code: string;
  readonly reason: string;
  /** The platform's answer, where it refuses. */
  readonly status?: number;
}

export interface FireParts {
  readonly platform: Platform;
  readonly receipts: Receipts;
  readonly clock: Clock;
  readonly site: string;
  /** Where the action sends its receipt of a firing, and where it finds the site's parameters. */
  readonly callbacks: (batchId: string, registration: Registration) => { receipt: Callback; parameters: Callback };
  /** Parameters that ride in a registration's payloads. */
  readonly injected: (registration: Registration) => Readonly<Record<string, unknown>>;
  /** What tells that a firing's events are stored. */
  readonly confirmBy: 'receipt' | 'activation' | 'accepted';
  readonly receiptTimeoutMs: number;
  /** Told when a registration's firings stop getting through, and (undefined) when they do again. */
  readonly onObstacle: (registration: Registration, obstacle: Obstacle | undefined) => void;
}

/** After an answer that won't change by itself: a missing rule, a wrong key, an unknown trigger. */
const HELD_RETRY = { firstMs: 1_000, maxMs: 30_000 };
/** What a payload holds besides its messages. */
const ENVELOPE_BYTES = 4_096;

/** Firings to their outcomes: each is repeated under its id until its fate is known. */
export class Fire {
  readonly #parts: FireParts;
  readonly #gate: Gate;
  /** Bytes of messages that one firing may hold. */
  maxBytes = Number.POSITIVE_INFINITY;
  /** Told of next steps that a further action asks for when its firing is settled. */
  onLateSteps: (registration: Registration, steps: Settlement['next']) => void = () => {};

  constructor(parts: FireParts) {
    this.#parts = parts;
    this.#gate = new Gate(parts.clock);
  }

  /** Asks the platform what it allows, until it tells or `signal` says stop. Firing need not wait for this. */
  async learnLimits(signal: AbortSignal): Promise<void> {
    const { platform, clock } = this.#parts;
    for (let failures = 1; !signal.aborted; failures++) {
      const limits = await platform.limits(signal);
      if (limits) {
        this.#gate.announce(Math.min(limits.firesPerMinute, limits.invocationsPerMinute));
        this.maxBytes = limits.payloadBytes - ENVELOPE_BYTES;
        return;
      }
      await clock.sleep(retryDelayMs(failures, clock.random(), { firstMs: 1_000, maxMs: 60_000 }), signal);
    }
  }

  /**
   * Fires events of one registration until every one is confirmed or to be parked, or `signal` says stop.
   * @param take gives the events when the platform has room for a firing: what waits longer becomes a larger batch.
   *   They can be fired together, as {@link firingLength} says
   * @returns what is in neither list is unsettled still
   */
  async batch(
    registration: Registration,
    take: () => Promise<readonly Event[]>,
    signal: AbortSignal,
  ): Promise<Settlement> {
    if (!(await this.#gate.enter(registration.name, signal))) return emptySettlement();
    const events = await take().catch((error: unknown) => {
      this.#gate.leave('answered');
      throw error;
    });
    if (events.length > 0) return this.#events(registration, events, signal, true);
    this.#gate.leave('answered');
    return emptySettlement();
  }

  async #events(
    registration: Registration,
    events: readonly Event[],
    signal: AbortSignal,
    admitted: boolean,
  ): Promise<Settlement> {
    const settlement = emptySettlement();
    for (let rest = events; rest.length > 0 && !signal.aborted; ) {
      const batchId = batchIdOf(this.#parts.site, rest[0]!);
      const part = await this.#firing({ batchId, registration, events: rest }, signal, admitted);
      admitted = false;
      addSettlement(settlement, part);
      rest = unsettled(rest, part);
    }
    return settlement;
  }

  async #firing(firing: Firing, signal: AbortSignal, admitted: boolean): Promise<Settlement> {
    const expected = this.#parts.receipts.expect(firing.batchId);
    try {
      return await this.#repeat(firing, expected, signal, admitted);
    } finally {
      expected.close(this.#lateReceipts(firing.registration, parentOf(firing)));
    }
  }

  /** Holds on to no event of the firing. */
  #lateReceipts(registration: Registration, parent: string): (receipt: Receipt) => void {
    return ({ next }) =>
      this.onLateSteps(
        registration,
        next.map((step) => ({ step, parent })),
      );
  }

  async #repeat(
    firing: Firing,
    expected: ExpectedReceipt,
    signal: AbortSignal,
    admitted: boolean,
  ): Promise<Settlement> {
    const { clock, onObstacle } = this.#parts;
    const { registration } = firing;
    for (let failures = 0; !signal.aborted; ) {
      if (!admitted && !(await this.#gate.enter(registration.name, signal))) break;
      admitted = false;
      const outcome = await this.#attempt(firing, expected, signal);
      this.#gate.leave(visitOf(outcome));
      if (outcome.kind === 'tooLarge') return this.#split(firing, signal);
      failures += 1;
      let settlement = outcome.kind === 'settled' ? outcome.settlement : undefined;
      if (outcome.kind !== 'settled' && !signal.aborted) {
        onObstacle(registration, obstacleOf(outcome));
        // An attempt whose answer was lost may have reached the action all the same.
        const late = await expected.arrived(waitMs(outcome, failures, clock.random()), signal);
        settlement = late && !late.failed ? settlementOf(firing, late) : undefined;
      }
      if (settlement) {
        onObstacle(registration, undefined);
        return settlement;
      }
    }
    return emptySettlement();
  }

  async #attempt(firing: Firing, expected: ExpectedReceipt, signal: AbortSignal): Promise<Outcome> {
    const { platform, site, callbacks } = this.#parts;
    const { trigger, auth } = firing.registration;
    const timeoutMs = receiptTimeoutMs(firing, this.#parts.receiptTimeoutMs);
    // Made anew for each attempt: its parameter token expires.
    const { registration, batchId } = firing;
    const payload = firingPayload(firing, site, callbacks(batchId, registration), this.#parts.injected(registration));
    const answer = await platform.fire(trigger, payload, signal, auth);
    if (answer.kind !== 'accepted') return answer;
    // Of any other answer one can't be sure that nothing reads it any more.
    releasePayload(payload);
    const all: Outcome = { kind: 'settled', settlement: { ...emptySettlement(), confirmed: [...firing.events] } };
    // The predecessor's actions know no receipts, and those of readings pass over what tells of the connection.
    const { kind, batch } = registration;
    const isUnanswered = batch.format === 'compat' || (kind === 'mqtt' && firing.events[0]!.keyed);
    const confirmBy = isUnanswered ? 'accepted' : this.#parts.confirmBy;
    switch (confirmBy) {
      case 'accepted':
        return all;
      case 'activation': {
        const outcome = await platform.outcome(answer.activationId, timeoutMs, signal);
        if (outcome === 'succeeded') return all;
        return outcome === 'failed' ? { kind: 'actionFailed' } : { kind: 'noReceipt', afterMs: timeoutMs };
      }
      case 'receipt': {
        const receipt = await expected.arrived(timeoutMs, signal);
        if (!receipt) return { kind: 'noReceipt', afterMs: timeoutMs };
        if (receipt.failed) return { kind: 'deferred', ...receipt.failed };
        const settlement = settlementOf(firing, receipt);
        if (settlement.confirmed.length + settlement.parked.length > 0) return { kind: 'settled', settlement };
        return { kind: 'deferred', code: 'NOTHING_STORED', message: "the action's receipt names none of its events" };
      }
    }
  }

  async #split({ registration, events }: Firing, signal: AbortSignal): Promise<Settlement> {
    if (events.length === 1) {
      const reason = {
        code: 'PAYLOAD_TOO_LARGE',
        message: 'the platform refuses the message alone as larger than its payload limit',
      };
      return { ...emptySettlement(), parked: [{ event: events[0]!, reason }] };
    }
    const middle = Math.ceil(events.length / 2);
    const settlement = await this.#events(registration, events.slice(0, middle), signal, false);
    addSettlement(settlement, await this.#events(registration, events.slice(middle), signal, false));
    return settlement;
  }
}

function unsettled(events: readonly Event[], { confirmed, parked }: Settlement): readonly Event[] {
  if (confirmed.length + parked.length === events.length) return [];
  const settled = new Set([...confirmed, ...parked.map(({ event }) => event)]);
  return events.filter((event) => !settled.has(event));
}

type Outcome = { readonly kind: 'settled'; readonly settlement: Settlement } | { readonly kind: 'tooLarge' } | Failure;

function visitOf(outcome: Outcome): Visit {
  if (outcome.kind === 'unavailable') return 'unavailable';
  if (outcome.kind !== 'throttled') return 'answered';
  return { ...(outcome.retryAfterMs !== undefined && { throttledForMs: outcome.retryAfterMs }) };
}

type Failure =
  | Exclude<FireAnswer, { kind: 'accepted' | 'tooLarge' }>
  | { readonly kind: 'noReceipt'; readonly afterMs: number }
  | { readonly kind: 'actionFailed' }
  /** The action's own word: not now. */
  | {
      readonly kind: 'deferred';
      readonly code: string;
      readonly message: string;
      readonly afterMs?: number | undefined;
    };

function waitMs(failure: Failure, failures: number, random: number): number {
  switch (failure.kind) {
    case 'noActiveRule':
    case 'refused':
      return retryDelayMs(failures, random, HELD_RETRY);
    case 'actionFailed':
      return retryDelayMs(failures, random, HELD_RETRY);
    case 'deferred':
      return Math.max(retryDelayMs(failures, random, HELD_RETRY), failure.afterMs ?? 0);
    case 'unavailable':
      return retryDelayMs(failures, random);
    case 'throttled': // the gate waits
    case 'noReceipt':
      return 0;
  }
}

function obstacleOf(failure: Failure): Obstacle {
  switch (failure.kind) {
    case 'noActiveRule':
      return { code: 'NO_ACTIVE_RULE', reason: 'no active rule binds the trigger to an action' };
    case 'refused':
      return {
        code: 'REFUSED',
        reason: `the platform refuses the firing (HTTP ${failure.status}): ${failure.reason}`,
        status: failure.status,
      };
    case 'throttled':
      return { code: 'THROTTLED', reason: "the platform's limit of firings or invocations per minute is reached" };
    case 'unavailable':
      return { code: 'UNAVAILABLE', reason: `the platform does not answer: ${failure.reason}` };
    case 'actionFailed':
      return { code: 'ACTION_FAILED', reason: 'the action failed; its activation record says why' };
    case 'deferred':
      return { code: failure.code, reason: failure.message };
    case 'noReceipt':
      return { code: 'NO_RECEIPT', reason: `no receipt from the action within ${failure.afterMs / 1_000} s` };
  }
}
