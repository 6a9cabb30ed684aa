import { retryDelayMs } from '../core/retry.ts';
import type { Clock } from '../ports/clock.ts';

/** What a visit at the platform tells about the platform itself. */
export type Visit = 'answered' | 'unavailable' | { throttledForMs?: number };

/** Firings that may be at the platform at once. */
const MAX_CONCURRENT = 32;
/** Visits in a row without an answer, after which only one at a time tries, ever more rarely. */
const FAILURES_TO_OPEN = 3;
/** How long a limit that was learned from a refusal is believed. */
const LEARNED_FOR_MS = 600_000;

/**
 * The way to the platform, shared by all registrations in turn: a bound on concurrent firings, the platform's firings
 * per minute as a token bucket, and a circuit breaker with one probe while it does not answer.
 */
export class Gate {
  readonly #clock: Clock;
  /** Those who wait, by registration; the first key's turn is next. */
  readonly #waiting = new Map<string, Array<() => void>>();
  #inside = 0;
  #failures = 0;
  #probing = false;
  #closedUntil = 0;
  #announcedPerMinute = Number.POSITIVE_INFINITY;
  #learned: { perMinute: number; until: number } | undefined;
  #tokens = 1;
  #filledAt: number;
  #entered: number[] = [];
  #timer: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filledAt = clock.elapsed();
  }

  /** What the platform allows per minute, where it says so. */
  announce(perMinute: number): void {
    this.#announcedPerMinute = perMinute;
  }

  /** The firings per minute that are kept to at the moment; Infinity where no limit is known. */
  get perMinute(): number {
    if (this.#learned && this.#learned.until < this.#clock.elapsed()) this.#learned = undefined;
    return Math.min(this.#announcedPerMinute, this.#learned?.perMinute ?? Number.POSITIVE_INFINITY);
  }

  /** Waits for a turn; true when it came, false when `signal` said stop first. Each turn must {@link leave}. */
  async enter(registration: string, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#waiting.size === 0 && this.#admit()) return true;
    return new Promise((resolve) => {
      const admitted = () => {
        signal.removeEventListener('abort', gaveUp);
        resolve(true);
      };
      const gaveUp = () => {
        const turns = this.#waiting.get(registration)?.filter((each) => each !== admitted) ?? [];
        if (turns.length > 0) this.#waiting.set(registration, turns);
        else this.#waiting.delete(registration);
        resolve(false);
      };
      signal.addEventListener('abort', gaveUp, { once: true });
      const turns = this.#waiting.get(registration);
      if (turns) turns.push(admitted);
      else this.#waiting.set(registration, [admitted]);
      this.#pump();
    });
  }

  leave(visit: Visit): void {
    this.#inside -= 1;
    const now = this.#clock.elapsed();
    const wasOpen = this.#failures >= FAILURES_TO_OPEN;
    if (visit === 'unavailable' && wasOpen && !this.#probing) {
      // Entered before it was known that nothing answers; says nothing new.
    } else if (visit === 'unavailable') {
      this.#failures += 1;
      this.#probing = false;
      if (this.#failures >= FAILURES_TO_OPEN) {
        this.#closedUntil = now + retryDelayMs(this.#failures - FAILURES_TO_OPEN + 1, this.#clock.random());
      }
    } else {
      this.#failures = 0;
      this.#probing = false;
      if (typeof visit === 'object') this.#learn(now, visit.throttledForMs);
    }
    this.#pump();
  }

  /** The platform refused one firing too many: keep below what got through, and wait for its next minute. */
  #learn(now: number, throttledForMs: number | undefined): void {
    const lastMinute = this.#entered.filter((at) => at > now - 60_000).length;
    this.#learned = { perMinute: Math.max(1, Math.floor(lastMinute * 0.9)), until: now + LEARNED_FOR_MS };
    const untilNextMinute = 60_000 - Number((this.#clock.now() / 1_000_000n) % 60_000n);
    this.#closedUntil = now + (throttledForMs ?? untilNextMinute) + this.#clock.random() * 1_000;
    this.#tokens = 1;
    this.#filledAt = this.#closedUntil;
  }

  /** Admits as many as may enter, one of each registration in turn, and looks again when the next one may. */
  #pump(): void {
    for (const [registration, turns] of this.#waiting) {
      if (!this.#admit()) break;
      this.#waiting.delete(registration);
      const admitted = turns.shift()!;
      if (turns.length > 0) this.#waiting.set(registration, turns);
      admitted();
    }
    this.#timer?.abort();
    this.#timer = undefined;
    const wait = this.#waiting.size > 0 ? this.#waitMs() : undefined;
    if (wait === undefined) return;
    const timer = new AbortController();
    this.#timer = timer;
    void this.#clock.sleep(wait, timer.signal).then(() => {
      if (!timer.signal.aborted) this.#pump();
    });
  }

  #admit(): boolean {
    if (this.#inside >= MAX_CONCURRENT || this.#waitMs() !== 0) return false;
    const now = this.#clock.elapsed();
    this.#inside += 1;
    if (this.#failures >= FAILURES_TO_OPEN) this.#probing = true;
    if (Number.isFinite(this.perMinute)) this.#tokens -= 1;
    this.#entered.push(now);
    if (this.#entered.length > 10_000 || (this.#entered[0] ?? now) < now - 60_000) {
      this.#entered = this.#entered.filter((at) => at > now - 60_000).slice(-10_000);
    }
    return true;
  }

  /** ms until someone may enter; undefined while that depends on someone leaving. */
  #waitMs(): number | undefined {
    if (this.#inside >= MAX_CONCURRENT || this.#probing) return undefined;
    const now = this.#clock.elapsed();
    const perMs = this.perMinute / 60_000;
    let tokenWait = 0;
    if (Number.isFinite(perMs)) {
      // A burst of a sixth of a minute, so that quiet times are not lost.
      const capacity = Math.max(1, this.perMinute / 6);
      this.#tokens = Math.min(capacity, this.#tokens + Math.max(0, now - this.#filledAt) * perMs);
      this.#filledAt = Math.max(now, this.#filledAt);
      tokenWait = this.#tokens >= 1 ? 0 : (1 - this.#tokens) / perMs;
    }
    return Math.ceil(Math.max(this.#closedUntil - now, tokenWait, 0));
  }
}
