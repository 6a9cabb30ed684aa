/** How an action ends: `{ok: true, …}`, or `{error: {code, message, meta}}`, upon which the provider fires again. */

/** Why a message is not stored, or not wholly. It is kept aside by the provider; firing it again would not help. */
export interface Refusal {
  /** For programs, e.g. `NOT_JSON`. */
  readonly code: string;
  /** For people: what is wrong with what. */
  readonly message: string;
}

/** An action can't do its work now; the same firing may well succeed later. */
export class ActionError extends Error {
  readonly code: string;
  readonly meta: Record<string, unknown>;

  /** @param meta what helps to find the cause; never a token */
  constructor(code: string, message: string, meta: Record<string, unknown> = {}) {
    super(message);
    this.name = 'ActionError';
    this.code = code;
    this.meta = meta;
  }
}

export type Result =
  | ({ readonly ok: true } & Record<string, unknown>)
  | { readonly error: { readonly code: string; readonly message: string; readonly meta: Record<string, unknown> } };

/** Runs an action's work and turns whatever it throws into a result: OpenWhisk destroys the container of one that throws. */
export async function resultOf(work: () => Promise<Record<string, unknown>>): Promise<Result> {
  try {
    return { ok: true, ...(await work()) };
  } catch (error) {
    if (error instanceof ActionError) return { error: { code: error.code, message: error.message, meta: error.meta } };
    return { error: { code: 'UNEXPECTED', message: String(error), meta: {} } };
  }
}

/** A text of somebody else's, cut to what a person reads. */
export function shorten(text: string, length = 300): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}
