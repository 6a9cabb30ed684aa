/** Time, as an argument. */
export interface Clock {
  /** ns since 1970, by the wall clock; may step backwards. */
  now(): bigint;
  /** ms that have passed since some fixed moment; never steps. */
  elapsed(): number;
  /** Resolves after `ms` of elapsed (not wall) time, or at once when `signal` says so; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** 0 <= random < 1 */
  random(): number;
}
