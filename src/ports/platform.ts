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

export interface Platform {
  /** Fires a trigger (`NAME`, or `/NAMESPACE/NAME`) with a payload of JSON text. Never throws for what the network or the platform does. */
  fire(trigger: string, payload: string, signal: AbortSignal): Promise<FireAnswer>;
}
