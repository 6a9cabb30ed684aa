/**
 * One MQTT message that matched one registration, or an instant of an alarm, or a next step.
 * Receive time and registration are fixed when it is journalled.
 */
export interface Event {
  /** Its receive time as decimal text: no other event of the site has it. */
  readonly id: string;
  /** ns since 1970; strictly increasing at a site. */
  readonly receivedAt: bigint;
  /** Name of the registration; '' for a message that no registration matched. */
  readonly registration: string;
  /** The message's topic; the key of what is no message. */
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** It is no message: its key is known to the site once only, and its body is the trigger's payload (a JSON object). */
  readonly keyed: boolean;
  readonly body: Uint8Array;
  readonly bodyBytes: number;
  /** Its number among the site's events; later ones have greater numbers. */
  readonly sequence: number;
  /** Where the journal has it. */
  readonly position: number;
}

/** What became of an event. */
export type Fate = 'confirmed' | 'parked' | 'expired';

/** Why an event was parked. */
export interface ParkReason {
  readonly code: string;
  readonly message: string;
}

/** How many events stand where: `received = confirmed + pending + parked + expired + deduplicated`, always. */
export interface Books {
  received: number;
  confirmed: number;
  pending: number;
  parked: number;
  expired: number;
  /** Copies of an event that came within `dedupeWindowMs` of it. */
  deduplicated: number;
}

export function emptyBooks(): Books {
  return { received: 0, confirmed: 0, pending: 0, parked: 0, expired: 0, deduplicated: 0 };
}
