import { setMaxListeners } from 'node:events';
import type { Event } from '../core/event.ts';
import { payloadBytes } from '../core/firing.ts';
import type { Registration } from '../core/registration.ts';

/** An event, or its place in the journal where its body was let go. */
type Entry = Event | number;

/** A firing with its events, once it has taken them. */
export interface FiringUnderWay {
  events: readonly Event[];
  done: Promise<void>;
}

/** Entries that a registration keeps in memory; the rest is read from the journal when these are fired. */
const MAX_ENTRIES = 20_000;
/** How much of the events' bodies all registrations together may keep in memory. */
export interface BodyBudget {
  freeBytes: number;
}

/** The durable events of one registration that are to be fired, oldest first, and the firings that are under way. */
export class WaitingEvents {
  readonly registration: Registration;
  readonly firings = new Set<FiringUnderWay>();
  /** Ends the firings: the registration is gone, or another one has taken its place. */
  readonly stopping = new AbortController();
  /** Firings that have still to take their events. */
  claims = 0;
  /** Whether the first event has waited long enough for company. */
  lingered = false;
  #entries: Entry[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The first event that found no room here; everything from there on is in the journal only. */
  #spilledFrom: number | undefined;
  #refilling = false;
  readonly #budget: BodyBudget;

  /** @param journalled whether the journal may hold events of it already, which {@link refill} is to read */
  constructor(registration: Registration, budget: BodyBudget, journalled: boolean) {
    this.registration = registration;
    this.#budget = budget;
    if (journalled) this.#spilledFrom = 0;
    setMaxListeners(0, this.stopping.signal); // each firing under way listens
  }

  /** When the oldest event whose fate is not known was received, ns; undefined if there is none in memory. */
  get oldest(): bigint | undefined {
    const first = this.#entries[this.#head];
    const times = [...this.firings].flatMap(({ events }) => events[0]?.receivedAt ?? []);
    if (typeof first === 'object') times.push(first.receivedAt);
    return times.reduce<bigint | undefined>((least, at) => (least === undefined || at < least ? at : least), undefined);
  }

  /** Lets go of what waits: it is in the journal. */
  clear(): void {
    this.stopping.abort();
    clearTimeout(this.#timer);
    for (const [index, entry] of this.#entries.entries()) {
      if (index >= this.#head && typeof entry === 'object') this.#budget.freeBytes += this.#sizes[index]!;
    }
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#spilledFrom = undefined;
  }

  get count(): number {
    return this.#entries.length - this.#head;
  }

  /** Events that no firing on its way to the platform will take along. */
  get unclaimed(): number {
    return this.count - this.claims * this.registration.batch.maxMessages;
  }

  /** Whether there is a full batch that is not claimed yet. */
  get isFull(): boolean {
    const { maxMessages, maxBytes } = this.registration.batch;
    return this.unclaimed >= maxMessages || (this.claims === 0 && this.#bytes >= maxBytes);
  }

  add(event: Event): void {
    if (this.#spilledFrom !== undefined) return;
    if (this.count >= MAX_ENTRIES) {
      this.#spilledFrom = event.position;
      return;
    }
    this.#push(event);
  }

  /** Calls back once when the first event has lingered. */
  linger(ripe: () => void): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.lingered = true;
      ripe();
    }, this.registration.batch.lingerMs);
  }

  /**
   * The oldest events, as many as one firing may hold: at least one, if there is one. Those whose bodies were let go
   * are given by their places in the journal.
   */
  takeBatch(platformMaxBytes: number): { events: Event[]; places: number[] } {
    const { maxMessages } = this.registration.batch;
    const maxBytes = Math.min(this.registration.batch.maxBytes, platformMaxBytes);
    const events: Event[] = [];
    const places: number[] = [];
    for (let bytes = 0; events.length + places.length < maxMessages && this.count > 0; ) {
      const size = this.#sizes[this.#head]!;
      if (bytes > 0 && bytes + size > maxBytes) break;
      const entry = this.#entries[this.#head]!;
      this.#head += 1;
      this.#bytes -= size;
      bytes += size;
      if (typeof entry === 'number') {
        places.push(entry);
      } else {
        this.#budget.freeBytes += size;
        events.push(entry);
      }
    }
    if (this.#head > 1_024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // What could not come along has waited behind a full batch.
    this.lingered = this.count > 0;
    return { events, places };
  }

  /** Takes back what {@link takeBatch} gave, and can't be fired with the rest. */
  giveBack(events: readonly Event[]): void {
    const sizes = events.map(payloadBytes);
    const bytes = sizes.reduce((sum, each) => sum + each, 0);
    this.#entries.splice(this.#head, 0, ...events);
    this.#sizes.splice(this.#head, 0, ...sizes);
    this.#bytes += bytes;
    this.#budget.freeBytes -= bytes;
  }

  get needsRefill(): boolean {
    return this.#spilledFrom !== undefined && !this.#refilling && this.count < MAX_ENTRIES / 2;
  }

  /**
   * Takes up again what spilled, until there is no room or it has caught up with those that are followed.
   * @param followed up to where the journal's events have been offered to {@link add}
   */
  async refill(
    followed: () => number,
    unsettledFrom: (position: number) => Promise<{ events: Event[]; next: number }>,
  ): Promise<void> {
    this.#refilling = true;
    let position = this.#spilledFrom!;
    while (this.#spilledFrom !== undefined) {
      const { events, next } = await unsettledFrom(position);
      for (const event of events) {
        if (event.position >= followed() || event.registration !== this.registration.name) continue;
        if (this.count >= MAX_ENTRIES) {
          this.#spilledFrom = event.position;
          this.#refilling = false;
          return;
        }
        this.#push(event);
      }
      const caughtUp = next === position || next >= followed();
      position = next;
      this.#spilledFrom = caughtUp ? undefined : position;
    }
    this.#refilling = false;
  }

  #push(event: Event): void {
    const bytes = payloadBytes(event);
    const keep = bytes <= this.#budget.freeBytes;
    if (keep) this.#budget.freeBytes -= bytes;
    // Copied, since a body is a view of a whole chunk of the socket or the journal.
    if (keep) event.body = Buffer.from(event.body);
    this.#entries.push(keep ? event : event.position);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }
}
