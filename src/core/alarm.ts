/** A schedule: when its instants are due, and what happens to those that could not be rung in time. */
export interface Alarm {
  readonly schedule:
    | { readonly kind: 'cron'; readonly cron: string; readonly timezone: string }
    | { readonly kind: 'interval'; readonly minutes: number }
    | { readonly kind: 'once'; readonly at: number };
  readonly payload: Readonly<Record<string, unknown>>;
}
