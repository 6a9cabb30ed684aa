import { setMaxListeners } from 'node:events';
import type { Event } from '../core/event.ts';
import { payloadBytes } from '../core/firing.ts';
import type { Registration } from '../core/registration.ts';
import type { Journal } from '../ports/journal.ts';

/** A firing with its events, once it has taken them. */
export interface FiringUnderWay {
  events: readonly Event[];
  done: Promise<void>;
}

/** Places that a registration may always keep in memory. */
const OWN_PLACES = 20_000;
/** Places that all together may keep; what finds no room is looked for in the journal when others are fired. */
const ALL_PLACES = 200_000;

/** The places that the registrations of a site keep. */
export interface KeptPlaces {
  count: number;
}

/** The durable events of one registration that are to be fired, oldest first, and the firings that are under way. */
export class WaitingEvents {
  readonly registration: Registration;
  readonly #kept: KeptPlaces;
  readonly firings = new Set<FiringUnderWay>();
  /** Ends the firings: the registration is gone, or another one has taken its place. */
  readonly stopping = new AbortController();
  /** Resolves when the firings of earlier forms of the registration have ended. */
  ended: Promise<unknown> = Promise.resolve();
  /** Firings that have still to take their events. */
  claims = 0;
  /** Whether the first event has waited long enough for company. */
  lingered = false;
  /** Of each event its place in the journal, receive time (ns, as near as a number comes) and size. */
  #positions: number[] = [];
  #times: number[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The first event that found no room here; everything from there on is in the journal only. */
  #spilledFrom: number | undefined;
  #refilling = false;

  /** @param journalled whether the journal may hold events of it already, which {@link refill} is to read */
  constructor(registration: Registration, kept: KeptPlaces, journalled: boolean) {
    this.registration = registration;
    this.#kept = kept;
    if (journalled) this.#spilledFrom = 0;
    setMaxListeners(0, this.stopping.signal); // each firing under way listens
  }

  /** When the oldest event whose fate is not known was received, ns; undefined if there is none in memory. */
  get oldest(): bigint | undefined {
    const first = this.#times[this.#head];
    const times = [...this.firings].flatMap(({ events }) => events[0]?.receivedAt ?? []);
    if (first !== undefined) times.push(BigInt(first));
    return times.reduce<bigint | undefined>((least, at) => (least === undefined || at < least ? at : least), undefined);
  }

  /** Lets go of what waits: it is in the journal. */
  clear(): void {
    this.stopping.abort();
    clearTimeout(this.#timer);
    this.#kept.count -= this.count;
    this.#keepFrom(this.#positions.length);
    this.#bytes = 0;
    this.#spilledFrom = undefined;
  }

  get count(): number {
    return this.#positions.length - this.#head;
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

  get #hasRoom(): boolean {
    return this.count < OWN_PLACES || this.#kept.count < ALL_PLACES;
  }

  /** Takes up a further event, unless there is no room: then it stays in the journal alone. */
  add(event: Event): void {
    if (this.#spilledFrom !== undefined) return;
    if (!this.#hasRoom) {
      this.#spilledFrom = event.position;
      return;
    }
    this.#push(event);
  }

  /** Calls back once when the first event has lingered. */
  linger(ripe: (waiting: WaitingEvents) => void): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.lingered = true;
      ripe(this);
    }, this.registration.batch.lingerMs);
  }

  /** The places in the journal of the oldest events, as many as one firing may hold: at least one, if there is one. */
  takeBatch(platformMaxBytes: number): number[] {
    const { maxMessages } = this.registration.batch;
    const maxBytes = Math.min(this.registration.batch.maxBytes, platformMaxBytes);
    const last = Math.min(this.#positions.length, this.#head + maxMessages);
    let end = this.#head;
    for (let bytes = 0; end < last; end++) {
      const size = this.#sizes[end]!;
      if (bytes > 0 && bytes + size > maxBytes) break;
      bytes += size;
      this.#bytes -= size;
    }
    const positions = this.#positions.slice(this.#head, end);
    this.#head = end;
    this.#kept.count -= positions.length;
    if (this.#head > 1_024 && this.#head * 2 > this.#positions.length) this.#keepFrom(this.#head);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // What could not come along has waited behind a full batch.
    this.lingered = this.count > 0;
    return positions;
  }

  /** Takes back what {@link takeBatch} gave, and can't be fired with the rest. */
  giveBack(events: readonly Event[]): void {
    if (this.stopping.signal.aborted) return; // let go of: see clear()
    const sizes = events.map(payloadBytes);
    this.#kept.count += events.length;
    // Another firing may have given back earlier ones meanwhile: they stay in order.
    let at = this.#head;
    while (this.#positions[at]! < events[0]!.position) at += 1;
    this.#positions.splice(at, 0, ...events.map(({ position }) => position));
    this.#times.splice(at, 0, ...events.map(({ receivedAt }) => Number(receivedAt)));
    this.#sizes.splice(at, 0, ...sizes);
    this.#bytes += sizes.reduce((sum, each) => sum + each, 0);
  }

  get needsRefill(): boolean {
    return this.#spilledFrom !== undefined && !this.#refilling && this.count < OWN_PLACES / 2;
  }

  /**
   * Takes up again what spilled, until there is no room or it has caught up with those that are followed.
   * @param offered up to where the journal's events have been offered to {@link add}
   */
  async refill(offered: () => number, unsettledFrom: Journal['unsettledFrom']): Promise<void> {
    if (this.#spilledFrom === undefined) return;
    this.#refilling = true;
    for (let position = this.#spilledFrom, done = false; !done; ) {
      const next = await unsettledFrom(position, (event) => {
        done ||= !this.#takeUp(event, offered());
      });
      if (done || this.stopping.signal.aborted) break;
      done = next === position || next >= offered();
      this.#spilledFrom = done ? undefined : next;
      position = next;
    }
    this.#refilling = false;
  }

  /** Takes up an event that spilled. @returns whether to go on with the next one */
  #takeUp(event: Event, offered: number): boolean {
    if (this.stopping.signal.aborted) return false;
    if (event.position >= offered) {
      this.#spilledFrom = undefined; // it will be offered to `add`, as those after it
      return false;
    }
    if (event.registration !== this.registration.name) return true;
    if (!this.#hasRoom) {
      this.#spilledFrom = event.position;
      return false;
    }
    this.#push(event);
    return true;
  }

  #push(event: Event): void {
    const bytes = payloadBytes(event);
    this.#positions.push(event.position);
    this.#times.push(Number(event.receivedAt));
    this.#sizes.push(bytes);
    this.#bytes += bytes;
    this.#kept.count += 1;
  }

  #keepFrom(index: number): void {
    this.#positions = this.#positions.slice(index);
    this.#times = this.#times.slice(index);
    this.#sizes = this.#sizes.slice(index);
    this.#head = 0;
  }
}
