import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../../ports/clock.ts';

let millisecond = 0;
let nanoseconds = 0n;

/** The machine's clock. */
export const systemClock: Clock = {
  now() {
    const now = Date.now();
    if (now !== millisecond) {
      millisecond = now;
      nanoseconds = BigInt(now) * 1_000_000n;
    }
    return nanoseconds;
  },
  elapsed: () => performance.now(),
  sleep: (ms, signal) => setTimeout(ms, undefined, { ...(signal && { signal }), ref: true }).catch(() => undefined),
  random: Math.random,
};
