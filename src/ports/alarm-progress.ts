import type { AlarmClaim } from './claims.ts';

/** How far a site has come with its alarms. Times are ms since 1970. */
export interface AlarmProgress {
  /** By the alarms' names. */
  readonly alarms: Readonly<Record<string, AlarmMark>>;
  /** Claims that may be ours while their instants may not be in the journal. */
  readonly inDoubt: readonly AlarmClaim[];
}

export interface AlarmMark {
  /** Tells the schedule from another one of the same name. */
  readonly schedule: string;
  /** Its instants up to here are dealt with. */
  upTo: number;
  /** How many instants have rung, here or elsewhere. */
  rung: number;
  /** It will not ring again. */
  ended?: AlarmEnd;
}

export interface AlarmEnd {
  readonly message: string;
  /** What is to go with it. */
  readonly remove: 'nothing' | 'trigger' | 'triggerAndRules';
  /** The one who must know has been told. */
  told: boolean;
}

/** Keeps it over a restart. */
export interface ProgressStore {
  /** Undefined where there is none that can be read. */
  load(): Promise<AlarmProgress | undefined>;
  /** Replaces it as a whole, durably. */
  save(progress: AlarmProgress): Promise<void>;
}
