import type { Books } from '../core/event.ts';
import type { AlarmStatus } from '../flows/alarm-state.ts';
import type { CenterStatus } from '../flows/follow-database.ts';

/** What of a site is asked for every few seconds. */
export interface SiteHealth {
  readonly site: string;
  readonly version: string;
  readonly broker: 'connected' | 'disconnected';
  readonly journal: {
    readonly bytes: number;
    readonly full: boolean;
    readonly stalledBy?: string;
    /** Copies of segments that were found damaged since the start. */
    readonly damage: readonly string[];
    /** Where the books differ from what the journal holds; none, or something is wrong with fogwhisk. */
    readonly differences: readonly string[];
  };
}

export interface SiteStatus extends SiteHealth {
  readonly books: Books;
  readonly registrations: readonly RegistrationStatus[];
  readonly alarms: readonly AlarmStatus[];
  readonly center: CenterStatus;
}

export interface RegistrationStatus {
  readonly name: string;
  /** Empty for what is fired by no message. */
  readonly topic: string;
  readonly trigger: string;
  readonly books: Books;
  /** When the oldest event was received whose fate is not known (ISO 8601). */
  readonly pendingSince?: string;
  /** Why its events are kept and not fired. */
  readonly held?: string;
  /** What is in the way of its firings. */
  readonly obstacle?: { readonly code: string; readonly reason: string };
}
