/**
 * How long to wait before attempt `n + 1` after `n` failures: exponential with full jitter between half and all of it,
 * so that sites that lost the same center don't come back in step.
 * @param random 0 <= random < 1
 * @returns ms
 */
export function retryDelayMs(failures: number, random: number, { firstMs = 200, maxMs = 30_000 } = {}): number {
  const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(ceiling * (0.5 + random / 2));
}
