/** The serverless platform, as firing needs it. */

/** What the platform said to a firing. Decided by status, never by text. */
export type FireAnswer =
  /** 202: the trigger fired; whether an action succeeded is told by its receipt. */
  | { readonly kind: 'accepted'; readonly activationId: string }
  /** 204: no active rule, so nothing will happen. */
  | { readonly kind: 'noActiveRule' }
  /** 413. */
  | { readonly kind: 'tooLarge' }
  /** 429. */
  | { readonly kind: 'throttled'; readonly retryAfterMs?: number }
  /** 400, 401, 403, 404, …: will not change by trying again at once. */
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string }
  /** 408, 5xx, no answer. */
  | { readonly kind: 'unavailable'; readonly reason: string };

/** What a platform allows this site's key. */
export interface PlatformLimits {
  readonly firesPerMinute: number;
  readonly invocationsPerMinute: number;
  readonly payloadBytes: number;
}

export interface Platform {
  /** Its limits; undefined where it does not tell, or can't be asked. */
  limits(signal: AbortSignal): Promise<PlatformLimits | undefined>;

  /**
   * What became of an accepted firing, from the activation records: whether every action that a rule started succeeded.
   * Undefined when the records don't say so within `timeoutMs`.
   */
  outcome(activationId: string, timeoutMs: number, signal: AbortSignal): Promise<'succeeded' | 'failed' | undefined>;

  /**
   * Fires a trigger (`NAME`, or `/NAMESPACE/NAME`) with a payload of JSON text. Never throws for what the network or the
   * platform does. Once it has accepted, the payload's memory is not read any more.
   * @param auth the key (UUID:KEY) to fire with; the site's own where absent
   */
  fire(trigger: string, payload: Buffer, signal: AbortSignal, auth?: string): Promise<FireAnswer>;
}
