import { setMaxListeners } from 'node:events';
import { crc32 } from 'node:zlib';
import type { Logger } from 'pino';
import { Copies } from '../core/copies.ts';
import type { Event } from '../core/event.ts';
import { notedPacket } from '../core/redeliveries.ts';
import type { Registration } from '../core/registration.ts';
import { TopicIndex } from '../core/topic-filter.ts';
import type { AcknowledgeTicket, Broker, BrokerMessage, Subscription } from '../ports/broker.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal, ParkedEvent } from '../ports/journal.ts';
import type { Fire } from './fire.ts';
import { WaitingEvents } from './waiting-events.ts';

/**
 * The path of a reading, from the broker's packet to its known fate:
 *
 *     take       match the topic's registrations → append an event for each to the journal
 *     commit     journal durable → acknowledge to the broker
 *     follow     what is durable, in order → into its registration's waiting events
 *     dispatch   a batch is ripe (count, bytes or linger) → fire
 *     settle     confirmed → settled in the journal; refused → parked with its reason
 *
 * Everything after `commit` starts from the journal alone, so a restart goes on where a kill -9 struck.
 */

/** Bytes taken and not yet durable, at which the broker is asked to keep the rest. */
const MAX_UNDURABLE_BYTES = 32 * 1024 * 1024;
/** Bytes of waiting events' bodies in memory; the rest is read from the journal when it is fired. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;
/** How long work that was told to stop may take to do so. */
const STOP_GRACE_MS = 1_000;
/** Firings of one registration that may be under way at once, unless it is ordered. */
const FIRINGS_PER_REGISTRATION = 4;

export interface IngestParts {
  readonly broker: Broker;
  readonly journal: Journal;
  readonly fire: Fire;
  readonly clock: Clock;
  readonly log: Logger;
  /** Equal messages of one topic within this time count as one; 0 = off. */
  readonly dedupeWindowMs: number;
}

/** An event, the last of a message's with the ticket; a ticket alone where the journal has the message already. */
interface Arrival {
  readonly event: Event | undefined;
  readonly ticket: AcknowledgeTicket | undefined;
}

export class Ingest {
  readonly #parts: IngestParts;
  readonly #waiting = new Map<string, WaitingEvents>();
  readonly #index: TopicIndex<Registration>;
  readonly #identifiers = new Map<string, number>();
  readonly #copies: Copies | undefined;
  #connection = 0;
  readonly #stopping = new AbortController();
  readonly #firings = new Set<Promise<void>>();
  /** What arrived and is not yet durable, in order. */
  #undurable: Arrival[] = [];
  #committing = false;
  /** Up to where the journal's events have been put into waiting events. */
  #followed = 0;
  #following: Promise<void> | undefined;
  #followAgain = false;
  #draining = false;

  constructor(registrations: readonly Registration[], parts: IngestParts) {
    this.#parts = parts;
    setMaxListeners(0, this.#stopping.signal); // each firing under way listens
    if (parts.dedupeWindowMs > 0) this.#copies = new Copies(parts.dedupeWindowMs);
    this.#index = new TopicIndex(registrations.map((registration) => [registration.topic, registration]));
    const bodies = { freeBytes: MAX_BODY_BYTES };
    for (const registration of registrations) {
      this.#waiting.set(registration.name, new WaitingEvents(registration, bodies));
      this.#identifiers.set(registration.topic, subscriptionIdentifier(registration.topic));
    }
  }

  /** Goes on with what the journal holds, and takes what the broker has; resolves when every topic is subscribed. */
  async start(): Promise<void> {
    void this.#follow();
    void this.#parts.fire.learnLimits(this.#stopping.signal);
    await this.#parts.broker.start(this.#subscriptions(), (message) => this.#take(message));
  }

  /**
   * Stops taking messages and lets what is accepted be confirmed until `deadlineMs` has passed.
   * What is left stays in the journal.
   */
  async stop(deadlineMs: number): Promise<void> {
    const { broker, clock, journal } = this.#parts;
    await broker.stop();
    this.#draining = true;
    const given = new AbortController();
    const deadline = clock.sleep(deadlineMs, given.signal);
    const drained = (async () => {
      await journal.durable();
      await this.#follow();
      for (;;) {
        for (const waiting of this.#waiting.values()) this.#dispatch(waiting);
        if (this.#firings.size === 0) return;
        await Promise.race(this.#firings);
      }
    })();
    await Promise.race([drained.catch(() => undefined), deadline]);
    given.abort();
    this.#stopping.abort();
    // What a full disk holds up is in the journal still.
    await Promise.race([Promise.all(this.#firings), clock.sleep(STOP_GRACE_MS)]);
  }

  /**
   * Fires parked events again, for the registration that they came for or, where that is gone, the first that matches.
   * @returns how many of the ids were parked
   */
  async redrive(ids: readonly string[], body?: Uint8Array): Promise<number> {
    const { journal } = this.#parts;
    const changes = ids.flatMap((id) => {
      const row = journal.parkedRow(id);
      if (!row) return [];
      const registration = this.#waiting.has(row.registration)
        ? row.registration
        : this.#index.match(row.topic)[0]?.name;
      return [{ id, registration: registration ?? row.registration, ...(body && { body }) }];
    });
    const events = await journal.redrive(changes);
    void this.#follow();
    return events.length;
  }

  /** One filter each, at the highest QoS that a registration asks for. */
  #subscriptions(): Subscription[] {
    const byFilter = new Map<string, Subscription>();
    for (const { registration } of this.#waiting.values()) {
      const { topic: filter, qos } = registration;
      const known = byFilter.get(filter);
      if (!known || known.qos < qos) byFilter.set(filter, { filter, qos, identifier: this.#identifiers.get(filter)! });
    }
    return [...byFilter.values()];
  }

  #take(message: BrokerMessage): Promise<void> | undefined {
    const { topic, payload: body, qos, retain, ticket } = message;
    const { journal, clock } = this.#parts;
    if (ticket && this.#isRepeated(message, ticket)) {
      this.#undurable.push({ event: undefined, ticket });
    } else {
      const matching = this.#match(message);
      // A message that nobody wants any more is kept too, and parked.
      const names = matching.length > 0 ? matching.map(({ name }) => name) : [''];
      if (this.#copies?.isCopy(topic, body, clock.now())) {
        for (const registration of names) journal.countCopy(registration);
        this.#undurable.push({ event: undefined, ticket });
      } else {
        const last = names.length - 1;
        names.forEach((registration, index) => {
          const ours = index === last ? ticket : undefined;
          const event = { registration, topic, qos, retain, body, ...(ours && { packetId: ours.packetId }) };
          this.#undurable.push({ event: journal.append(event), ticket: ours });
        });
        if (ticket) journal.redeliveries.note(notedPacket(ticket.packetId, topic, body));
      }
    }
    void this.#commit();
    return journal.undurableBytes > MAX_UNDURABLE_BYTES ? journal.durable() : journal.hasRoom();
  }

  /** Whether the journal has the message already and only its acknowledgement was lost. */
  #isRepeated({ dup, topic, payload }: BrokerMessage, { connection, packetId }: AcknowledgeTicket): boolean {
    if (connection !== this.#connection) {
      this.#connection = connection;
      this.#parts.journal.redeliveries.reconnected();
    }
    return dup && this.#parts.journal.redeliveries.isRepeated(notedPacket(packetId, topic, payload));
  }

  /**
   * The registrations that want a message. A broker may send one copy for every overlapping filter and says by which
   * filters a copy came; then each copy counts for those only. Filters of an earlier configuration count for nothing.
   */
  #match({ topic, subscriptions }: BrokerMessage): readonly Registration[] {
    const matching = this.#index.match(topic);
    if (!subscriptions || matching.length < 2) return matching;
    const named = matching.filter(({ topic }) => subscriptions.includes(this.#identifiers.get(topic)!));
    return named.length > 0 ? named : matching;
  }

  /** Acknowledges what is durable, a whole commit of the journal at a time. */
  async #commit(): Promise<void> {
    if (this.#committing) return;
    this.#committing = true;
    const { broker, journal } = this.#parts;
    while (this.#undurable.length > 0) {
      try {
        await journal.durable();
      } catch {
        return; // closed while the disk takes nothing: the broker keeps what is not acknowledged
      }
      const end = journal.durableEnd;
      const tickets: AcknowledgeTicket[] = [];
      const events: Event[] = [];
      let count = 0;
      for (const { event, ticket } of this.#undurable) {
        if (event && event.end > end) break;
        if (event) events.push(event);
        if (ticket) tickets.push(ticket);
        count += 1;
      }
      this.#undurable = count === this.#undurable.length ? [] : this.#undurable.slice(count);
      broker.acknowledge(tickets);
      this.#accept(events);
    }
    this.#committing = false;
  }

  /** Events that just became durable: put to wait as they are, unless older ones are still to be read from the journal. */
  #accept(events: readonly Event[]): void {
    for (const event of events) {
      if (this.#following || event.position !== this.#followed) {
        void this.#follow();
        return;
      }
      this.#followed = event.end;
      this.#wait(event);
    }
  }

  /** Reads the journal's unsettled events up to its durable end. */
  #follow(): Promise<void> {
    this.#followAgain = true;
    this.#following ??= this.#followToEnd();
    return this.#following;
  }

  async #followToEnd(): Promise<void> {
    while (this.#followAgain) {
      this.#followAgain = false;
      for (;;) {
        const { events, next } = await this.#parts.journal.unsettledFrom(this.#followed);
        if (next === this.#followed) break;
        this.#followed = next;
        for (const event of events) this.#wait(event);
      }
    }
    this.#following = undefined;
  }

  #wait(event: Event): void {
    const waiting = this.#waiting.get(event.registration);
    if (!waiting) {
      this.#track(this.#park([{ event, reason: unregistered(event) }]));
      return;
    }
    waiting.add(event);
    this.#dispatch(waiting);
  }

  /** Fires what is ripe, as far as firings of this registration are free. */
  #dispatch(waiting: WaitingEvents): void {
    const { registration } = waiting;
    const limit = registration.ordered ? 1 : FIRINGS_PER_REGISTRATION;
    while (waiting.unclaimed > 0 && waiting.firings < limit && !this.#stopping.signal.aborted) {
      if (!waiting.isFull && !this.#draining && !waiting.lingered) {
        waiting.linger(() => this.#dispatch(waiting));
        return;
      }
      waiting.firings += 1;
      waiting.claims += 1;
      this.#track(this.#fireBatch(waiting));
    }
  }

  async #fireBatch(waiting: WaitingEvents): Promise<void> {
    const { fire, journal } = this.#parts;
    let claimed = true;
    const unclaim = () => {
      if (claimed) waiting.claims -= 1;
      claimed = false;
    };
    const take = async () => {
      unclaim();
      const { events, places } = waiting.takeBatch(fire.maxBytes);
      const loaded = await journal.load(places);
      if (waiting.needsRefill) {
        await waiting.refill(
          () => this.#followed,
          (position) => journal.unsettledFrom(position),
        );
      }
      return loaded.length > 0 ? [...events, ...loaded].sort((a, b) => a.sequence - b.sequence) : events;
    };
    try {
      const { confirmed, parked } = await fire.batch(waiting.registration, take, this.#stopping.signal);
      if (confirmed.length > 0) journal.settle(confirmed, 'confirmed');
      if (parked.length > 0) await this.#park(parked);
    } finally {
      unclaim();
      waiting.firings -= 1;
      this.#dispatch(waiting);
    }
  }

  async #park(parked: readonly ParkedEvent[]): Promise<void> {
    for (const { event, reason } of parked) {
      const { id, registration, topic } = event;
      this.#parts.log.warn(
        { id, registration, topic, code: reason.code, reason: reason.message },
        'a message is parked',
      );
    }
    await this.#parts.journal.park(parked);
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) =>
        this.#parts.log.error({ err: error }, 'events stay in the journal until the next start'),
      )
      .finally(() => this.#firings.delete(tracked));
    this.#firings.add(tracked);
  }
}

/** 1 to 268,435,455 (MQTT 5, 3.8.2.1.2), the same for a filter at every start: a session's queued messages carry it. */
function subscriptionIdentifier(filter: string): number {
  return crc32(filter) & 0x0fff_ffff || 1;
}

function unregistered({ topic, registration }: Event) {
  return registration === ''
    ? { code: 'NO_REGISTRATION', message: `no registration matches the topic ${topic}` }
    : { code: 'REGISTRATION_GONE', message: `the registration ${registration} is no longer configured` };
}
