import type { Books, Event, Fate, ParkReason } from '../core/event.ts';
import type { Redeliveries } from '../core/redeliveries.ts';

export interface NewEvent extends Pick<Event, 'registration' | 'topic' | 'qos' | 'retain' | 'body'> {
  /** The MQTT packet that the event came with, on the last of the events of one message. */
  readonly packetId?: number;
  /** The broker whose packet that is; absent for the site's own. */
  readonly broker?: string;
}

export interface ParkedEvent {
  readonly event: Event;
  readonly reason: ParkReason;
  readonly batchId?: string;
}

/** A parked event as it is listed: everything but its body. */
export interface ParkedRow extends Pick<Event, 'id' | 'registration' | 'topic' | 'qos' | 'retain' | 'keyed'> {
  readonly reason: ParkReason;
  readonly batchId?: string;
  readonly bytes: number;
}

/** A parked event that is to be fired again, for this registration and with this body if it was mended. */
export interface RedrivenEvent {
  readonly id: string;
  readonly registration: string;
  readonly body?: Uint8Array;
}

/**
 * The site's log of accepted events. What is durable here survives a kill -9 and is handed out again after a restart
 * until it is settled.
 */
export interface Journal {
  /**
   * Knows a broker's last messages before this start: it sends those again that it has no acknowledgement of.
   * @param broker '' for the site's own
   */
  redeliveriesOf(broker: string): Redeliveries;

  /**
   * Adds an event and fixes its id and receive time. It is safe when {@link durable} has resolved.
   * @returns its place; later events have greater ones
   */
  append(event: NewEvent): number;

  /**
   * Adds an event that is no message, unless one with its key was added before (and is among the last 50,000 of those
   * that are settled and gone).
   * @param payload JSON text of an object
   * @returns its place, if it was added
   */
  appendOnce(event: {
    readonly registration: string;
    readonly key: string;
    readonly payload: string;
  }): number | undefined;

  /** Counts a message that is a copy of an event and gets none of its own. */
  countCopy(registration: string): void;

  /** Resolves when everything appended so far is on disk (fdatasync); waits for as long as the disk is full. */
  durable(): Promise<void>;

  /** Where the events that are on disk end: their places are less. */
  readonly durableEnd: number;

  /**
   * Shows the unsettled events among the next megabyte or so of durable ones from `position` on (0 = the oldest), in
   * order. An event is good only until `visit` returns.
   * @returns where to go on; `position` at the end
   */
  unsettledFrom(position: number, visit: (event: Event) => void): Promise<number>;

  /** Events by their places, in order; those that have expired are left out. */
  load(positions: readonly number[]): Promise<Event[]>;

  /** Records what became of events of one registration. */
  settle(events: readonly Event[], fate: Exclude<Fate, 'parked'>): void;

  /** Keeps events aside with their reason, durably, and then settles them as parked. */
  park(events: readonly ParkedEvent[]): Promise<void>;

  /** What a parked event was, if it is there. */
  parkedRow(id: string): ParkedRow | undefined;

  /** Makes parked events pending again, with the id and receive time that they had. Returns how many of them there were. */
  redrive(events: readonly RedrivenEvent[]): Promise<number>;

  /** Deletes parked events for good: they count as expired. Returns how many there were. */
  discard(ids: readonly string[]): Promise<number>;

  /** Bytes appended that are not durable yet. */
  readonly undurableBytes: number;

  /** Resolves when more may be appended: at once, unless the journal has reached its size limit. */
  hasRoom(): Promise<void> | undefined;

  /** The books of each registration by its name. */
  readonly books: ReadonlyMap<string, Readonly<Books>>;
}
