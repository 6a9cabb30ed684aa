import type { Clock } from '../../src/ports/clock.ts';

/** A clock that moves when it is told to; sleepers wake in the order of their times. */
export class ManualClock implements Clock {
  #elapsed = 0;
  #sleepers: Array<{ at: number; wake: () => void }> = [];
  /** Wall clock at elapsed 0, ns. */
  readonly #start: bigint;

  constructor(start = 1_700_000_000_000_000_000n) {
    this.#start = start;
  }

  now(): bigint {
    return this.#start + BigInt(Math.round(this.#elapsed * 1e6));
  }

  elapsed(): number {
    return this.#elapsed;
  }

  random(): number {
    return 0.5;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers = this.#sleepers.filter((each) => each !== sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper = { at: this.#elapsed + ms, wake };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', wake);
    });
  }

  /** Lets `ms` pass, waking sleepers on the way and letting what they started run. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = this.#sleepers.toSorted((a, b) => a.at - b.at)[0];
      if (!next || next.at > end) break;
      this.#elapsed = Math.max(this.#elapsed, next.at);
      next.wake();
    }
    this.#elapsed = end;
  }
}
