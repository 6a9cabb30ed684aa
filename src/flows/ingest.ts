import { setMaxListeners } from 'node:events';
import { crc32 } from 'node:zlib';
import type { Logger } from 'pino';
import { Copies } from '../core/copies.ts';
import type { Event } from '../core/event.ts';
import { firingLength, type Settlement } from '../core/firing.ts';
import { digestOf, type Redeliveries } from '../core/redeliveries.ts';
import { type MqttRegistration, nextRegistration, type Registration, triggerOfNext } from '../core/registration.ts';
import { TopicIndex } from '../core/topic-filter.ts';
import type { Broker, BrokerMessage, Subscription } from '../ports/broker.ts';
import type { Clock } from '../ports/clock.ts';
import type { EventIntake } from '../ports/event-intake.ts';
import type { Journal, ParkedEvent } from '../ports/journal.ts';
import type { Fire } from './fire.ts';
import { type FiringUnderWay, type KeptPlaces, WaitingEvents } from './waiting-events.ts';

/**
 * The path of a reading, from the broker's packet to its known fate:
 *
 *     take       match the topic's registrations → append an event for each to the journal
 *     commit     journal durable → acknowledge to the broker
 *     follow     what is durable, in order → into its registration's waiting events
 *     dispatch   a batch is ripe (count, bytes or linger) → fire
 *     settle     next steps journalled; confirmed → settled in the journal; refused → parked with its reason
 *
 * Everything after `commit` starts from the journal alone, so a restart goes on where a kill -9 struck. Instants of
 * alarms and next steps of actions enter by `accept` and go the same way.
 */

/** Bytes taken and not yet durable, at which the broker is asked to keep the rest. */
const MAX_UNDURABLE_BYTES = 32 * 1024 * 1024;
const READ_RETRY_MS = 1_000;
/** How long work that was told to stop may take to do so. */
const STOP_GRACE_MS = 1_000;
/** Firings of one registration that may be under way at once, unless it is ordered. */
const FIRINGS_PER_REGISTRATION = 4;

export interface IngestParts {
  /** A broker's connection; '' is the site's own. */
  readonly broker: (url: string, login: MqttRegistration['login']) => Broker;
  readonly journal: Journal;
  readonly fire: Fire;
  readonly clock: Clock;
  readonly log: Logger;
  /** Equal messages of one topic within this time count as one; 0 = off. */
  readonly dedupeWindowMs: number;
}

/** A registration, and the subscription of one of its topics. */
interface Wanted {
  readonly registration: MqttRegistration;
  readonly identifier: number;
  /** Its name alone. */
  readonly names: readonly [string];
}

/** A broker, and what is wanted from it. */
interface Source {
  readonly broker: Broker;
  /** '' is the site's own. */
  readonly url: string;
  readonly redeliveries: Redeliveries;
  index: TopicIndex<Wanted>;
  /** The connection that the last message came by. */
  connection: number;
  /** Its packets that are not acknowledged yet, in order, and the places in the journal that must be durable first. */
  packetIds: number[];
  places: number[];
}

export class Ingest implements EventIntake {
  readonly #parts: IngestParts;
  readonly #waiting = new Map<string, WaitingEvents>();
  readonly #kept: KeptPlaces = { count: 0 };
  readonly #sources = new Map<string, Source>();
  readonly #copies: Copies | undefined;
  readonly #stopping = new AbortController();
  readonly #firings = new Set<Promise<void>>();
  /** Where the last appended event is. */
  #appended = 0;
  #committing = false;
  /** Up to where the journal has been followed, and up to where its events have been offered to waiting events. */
  #followed = 0;
  #offered = 0;
  #following: Promise<void> | undefined;
  #followAgain = false;
  #started = false;
  #draining = false;

  constructor(registrations: readonly Registration[], parts: IngestParts) {
    this.#parts = parts;
    setMaxListeners(0, this.#stopping.signal); // each firing under way listens
    if (parts.dedupeWindowMs > 0) this.#copies = new Copies(parts.dedupeWindowMs);
    parts.fire.onLateSteps = (registration, steps) => this.#journalSteps(registration, steps);
    this.#source('', undefined);
    this.apply(registrations);
  }

  /** Goes on with what the journal holds, and takes what the brokers have; resolves when every topic of the site's own broker is subscribed. */
  async start(): Promise<void> {
    this.#started = true;
    void this.#follow();
    void this.#parts.fire.learnLimits(this.#stopping.signal);
    for (const source of this.#sources.values()) if (source.url !== '') void this.#open(source);
    await this.#open(this.#sources.get('')!);
  }

  /** What is registered, the next steps of actions included. */
  get registrations(): Registration[] {
    return [...this.#waiting.values()].map(({ registration }) => registration);
  }

  /** When a registration's oldest event whose fate is not known was received, ns. */
  oldestPending(registration: string): bigint | undefined {
    return this.#waiting.get(registration)?.oldest;
  }

  pending(registration: string): number {
    return this.#parts.journal.books.get(registration)?.pending ?? 0;
  }

  async accept(event: { registration: string; key: string; payload: string }): Promise<boolean> {
    const { journal } = this.#parts;
    await journal.hasRoom();
    const accepted = this.#appendOnce(event);
    await journal.durable();
    return accepted;
  }

  /**
   * Goes on with these registrations. Events of one that is gone are parked; those of one that has changed are fired as
   * it says now, also what is under way.
   */
  apply(registrations: readonly Registration[]): void {
    const wanted = new Map(registrations.map((registration) => [registration.name, registration]));
    for (const waiting of [...this.#waiting.values()]) {
      const { name, kind } = waiting.registration;
      if (kind === 'next' || isSame(wanted.get(name), waiting.registration)) continue;
      this.#waiting.delete(name);
      waiting.clear();
      const ended = Promise.all([waiting.ended, ...[...waiting.firings].map(({ done }) => done)]);
      const next = wanted.get(name);
      if (next) this.#register(next, ended);
      else void this.#track(ended.then(() => this.#parkAll(name)));
    }
    for (const [name, registration] of wanted) {
      if (!this.#waiting.has(name)) this.#register(registration, Promise.resolve());
    }
    this.#subscribe(registrations.filter((each) => each.kind === 'mqtt'));
  }

  /**
   * Stops taking messages and lets what is accepted be confirmed until `deadlineMs` has passed.
   * What is left stays in the journal.
   */
  async stop(deadlineMs: number): Promise<void> {
    const { clock, journal } = this.#parts;
    await Promise.all([...this.#sources.values()].map(({ broker }) => broker.stop()));
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
    for (const { stopping } of this.#waiting.values()) stopping.abort();
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
      const registration = this.#waiting.has(row.registration) ? row.registration : this.#firstMatch(row.topic);
      return [{ id, registration: registration ?? row.registration, ...(body && { body }) }];
    });
    const count = await journal.redrive(changes);
    void this.#follow();
    return count;
  }

  #firstMatch(topic: string): string | undefined {
    for (const { index } of this.#sources.values()) {
      const [first] = index.match(topic);
      if (first) return first.registration.name;
    }
    return undefined;
  }

  /** Takes up a registration, and what the journal has of it once firings of an earlier form of it have ended. */
  #register(registration: Registration, ended: Promise<unknown>): void {
    const journalled = this.#started && this.pending(registration.name) > 0;
    const waiting = new WaitingEvents(registration, this.#kept, journalled);
    waiting.ended = ended;
    this.#waiting.set(registration.name, waiting);
    if (!journalled) return;
    void this.#track(ended.then(() => this.#refill(waiting)).then(() => this.#dispatch(waiting)));
  }

  /** Brings each broker's subscriptions and index to what is registered: one filter each, at the highest QoS asked for. */
  #subscribe(registrations: readonly MqttRegistration[]): void {
    for (const { broker, login } of registrations) this.#source(broker, login);
    for (const source of this.#sources.values()) {
      const { broker, url } = source;
      const own = registrations.filter((registration) => registration.broker === url);
      source.index = indexOf(own);
      if (!this.#started) continue;
      const subscribed = broker.subscribe(subscriptionsOf(own));
      if (own.length > 0 || url === '') continue;
      this.#sources.delete(url);
      void subscribed.then(() => broker.stop());
    }
  }

  #source(url: string, login: MqttRegistration['login']): Source {
    const known = this.#sources.get(url);
    if (known) return known;
    const { broker, journal } = this.#parts;
    const source: Source = {
      broker: broker(url, login),
      url,
      redeliveries: journal.redeliveriesOf(url),
      index: new TopicIndex(),
      connection: 0,
      packetIds: [],
      places: [],
    };
    this.#sources.set(url, source);
    if (this.#started) void this.#open(source);
    return source;
  }

  #open(source: Source): Promise<void> {
    const own = this.registrations.filter((each) => each.kind === 'mqtt').filter(({ broker }) => broker === source.url);
    return source.broker.start(subscriptionsOf(own), (message) => this.#take(source, message));
  }

  #take(source: Source, message: BrokerMessage): Promise<void> | undefined {
    const { topic, payload: body, qos, retain, packetId } = message;
    const { journal, clock } = this.#parts;
    if (message.connection !== source.connection) reconnected(source, message.connection);
    if (!isRepeated(source, message)) {
      const names = match(source, message);
      if (names.length > 0 && this.#copies?.isCopy(topic, body, clock.now())) {
        for (const registration of names) journal.countCopy(registration);
      } else if (names.length > 0) {
        for (let index = 0; index < names.length; index++) {
          const registration = names[index]!;
          // The packet is noted with the last: then all of them are in the journal.
          const isLast = index === names.length - 1;
          const event = { registration, topic, qos, retain, body, packetId: isLast ? packetId : 0, broker: source.url };
          this.#appended = journal.append(event);
        }
        if (packetId > 0) source.redeliveries.note(packetId, digestOf(topic, body));
      }
    }
    if (packetId > 0) {
      // Also one that the journal had before: that may not be durable yet.
      source.packetIds.push(packetId);
      source.places.push(this.#appended);
    }
    if (!this.#committing) void this.#commit();
    return journal.undurableBytes > MAX_UNDURABLE_BYTES ? journal.durable() : journal.hasRoom();
  }

  /** Whether the event was not known. It is taken further when it is durable. */
  #appendOnce(event: { registration: string; key: string; payload: string }): boolean {
    const appended = this.#parts.journal.appendOnce(event);
    if (appended === undefined) return false;
    this.#appended = appended;
    if (!this.#committing) void this.#commit();
    return true;
  }

  /** Acknowledges and follows what is durable, a whole commit of the journal at a time. */
  async #commit(): Promise<void> {
    this.#committing = true;
    const { journal } = this.#parts;
    do {
      try {
        await journal.durable();
      } catch {
        return; // closed while the disk takes nothing: the broker keeps what is not acknowledged
      }
      for (const source of this.#sources.values()) acknowledge(source, journal.durableEnd);
      void this.#follow();
    } while (journal.durableEnd <= this.#appended);
    this.#committing = false;
  }

  /** Reads the journal's unsettled events up to its durable end. */
  #follow(): Promise<void> {
    this.#followAgain = true;
    // Not at once: it may end without waiting for anything, and must find its promise here to take it away.
    this.#following ??= Promise.resolve()
      .then(() => this.#followToEnd())
      .catch((error: unknown) => {
        this.#following = undefined;
        this.#parts.log.error({ err: error }, 'the journal cannot be followed');
      });
    return this.#following;
  }

  async #followToEnd(): Promise<void> {
    const { journal } = this.#parts;
    while (this.#followAgain) {
      this.#followAgain = false;
      while (this.#followed < journal.durableEnd) {
        let waiting: WaitingEvents | undefined;
        const unregistered: number[] = [];
        const next = await this.#unsettledFrom(this.#followed, (event) => {
          const before = waiting;
          waiting = this.#waiting.get(event.registration) ?? this.#nextStep(event.registration);
          if (waiting) waiting.add(event);
          else unregistered.push(event.position);
          this.#offered = event.position + 1;
          if (before && before !== waiting) this.#dispatch(before);
        });
        if (next === this.#followed) break;
        this.#followed = next;
        this.#offered = next;
        if (waiting) this.#dispatch(waiting);
        if (unregistered.length > 0) void this.#track(this.#parkUnregistered(unregistered));
      }
    }
    this.#following = undefined; // at once: what is asked for from here on is another round
  }

  #unsettledFrom(position: number, visit: (event: Event) => void): Promise<number> {
    return this.#patiently(() => this.#parts.journal.unsettledFrom(position, visit));
  }

  /** A disk that can't be read now may be read later. */
  async #patiently<T>(read: () => Promise<T>): Promise<T> {
    const { clock, log } = this.#parts;
    for (;;) {
      try {
        return await read();
      } catch (error) {
        const isOfDisk = typeof (error as NodeJS.ErrnoException).code === 'string';
        if (!isOfDisk || this.#stopping.signal.aborted) throw error;
        log.error({ err: error }, 'the journal cannot be read; trying again');
        await clock.sleep(READ_RETRY_MS, this.#stopping.signal);
      }
    }
  }

  /** The registration of next steps is made by its first event. */
  #nextStep(name: string): WaitingEvents | undefined {
    const step = triggerOfNext(name);
    if (!step) return undefined;
    const parent = step.of === undefined ? undefined : this.#waiting.get(step.of)?.registration;
    if (step.of !== undefined && !parent) return undefined;
    const waiting = new WaitingEvents(nextRegistration(step.trigger, parent), this.#kept, false);
    this.#waiting.set(name, waiting);
    return waiting;
  }

  readonly #ripe = (waiting: WaitingEvents) => this.#dispatch(waiting);

  /** Fires what is ripe, as far as firings of this registration are free. */
  #dispatch(waiting: WaitingEvents): void {
    const { registration } = waiting;
    if (registration.held !== undefined) return;
    const limit = registration.ordered ? 1 : FIRINGS_PER_REGISTRATION;
    while (waiting.unclaimed > 0 && waiting.firings.size < limit && !waiting.stopping.signal.aborted) {
      if (!waiting.isFull && !this.#draining && !waiting.lingered) {
        waiting.linger(this.#ripe);
        return;
      }
      waiting.claims += 1;
      const firing: FiringUnderWay = { events: [], done: Promise.resolve() };
      waiting.firings.add(firing);
      firing.done = this.#track(this.#fireBatch(waiting, firing));
    }
  }

  async #fireBatch(waiting: WaitingEvents, firing: FiringUnderWay): Promise<void> {
    const { fire, journal } = this.#parts;
    let claimed = true;
    const unclaim = () => {
      if (claimed) waiting.claims -= 1;
      claimed = false;
    };
    const take = async () => {
      unclaim();
      const places = waiting.takeBatch(fire.maxBytes);
      const all = await this.#patiently(() => journal.load(places));
      if (waiting.needsRefill) {
        await this.#refill(waiting);
        this.#dispatch(waiting);
      }
      const length = firingLength(waiting.registration, all);
      if (length < all.length) waiting.giveBack(all.slice(length));
      firing.events = length < all.length ? all.slice(0, length) : all;
      if (length < all.length) this.#dispatch(waiting);
      return firing.events;
    };
    try {
      await this.#settle(waiting.registration, await fire.batch(waiting.registration, take, waiting.stopping.signal));
    } finally {
      unclaim();
      waiting.firings.delete(firing);
      this.#dispatch(waiting);
    }
  }

  #refill(waiting: WaitingEvents): Promise<void> {
    return waiting.refill(
      () => this.#offered,
      (position, visit) => this.#unsettledFrom(position, visit),
    );
  }

  /** Next steps are durable before their parents are settled: a crash between the two repeats what is known by its key. */
  async #settle(registration: Registration, { confirmed, parked, next }: Settlement): Promise<void> {
    const { journal } = this.#parts;
    this.#journalSteps(registration, next);
    if (next.length > 0) await journal.durable();
    if (confirmed.length > 0) journal.settle(confirmed, 'confirmed');
    if (parked.length > 0) await this.#park(parked);
  }

  #journalSteps(registration: Registration, steps: Settlement['next']): void {
    for (const { step, parent } of steps) {
      const { trigger, key, receiptTimeoutSeconds } = step;
      const payload = receiptTimeoutSeconds === undefined ? step.payload : { ...step.payload, receiptTimeoutSeconds };
      this.#appendOnce({
        registration: nextRegistration(trigger, registration).name,
        key: `${trigger} ${key} after ${parent}`,
        payload: JSON.stringify(payload),
      });
    }
  }

  /** Parks all that a registration left in the journal when it went. */
  async #parkAll(name: string): Promise<void> {
    const { journal } = this.#parts;
    for (let position = 0; journal.durableEnd > position && this.pending(name) > 0; ) {
      const left: number[] = [];
      const next = await this.#unsettledFrom(position, (event) => {
        // Those beyond are parked when they are followed.
        if (event.registration === name && event.position < this.#offered) left.push(event.position);
      });
      if (next === position) break;
      await this.#parkUnregistered(left);
      position = next;
    }
  }

  async #parkUnregistered(positions: readonly number[]): Promise<void> {
    const all = await this.#patiently(() => this.#parts.journal.load(positions));
    const events = all.filter(({ registration }) => !this.#waiting.has(registration)); // it may have come back
    if (events.length > 0) await this.#park(events.map((event) => ({ event, reason: unregistered(event) })));
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

  #track(work: Promise<void>): Promise<void> {
    const tracked = work
      .catch((error: unknown) =>
        this.#parts.log.error({ err: error }, 'events stay in the journal until the next start'),
      )
      .finally(() => this.#firings.delete(tracked));
    this.#firings.add(tracked);
    return tracked;
  }
}

/** What came by an earlier connection is not acknowledged any more: the broker sends it again. */
function reconnected(source: Source, connection: number): void {
  source.connection = connection;
  source.packetIds = [];
  source.places = [];
  source.redeliveries.reconnected();
}

/** Whether the journal has the message already and only its acknowledgement was lost. */
function isRepeated({ redeliveries }: Source, { dup, packetId, topic, payload }: BrokerMessage): boolean {
  return dup && packetId > 0 && redeliveries.isRepeated(packetId, digestOf(topic, payload));
}

/** Tells the source's broker of the messages that are durable, given the journal's durable end. */
function acknowledge(source: Source, durableEnd: number): void {
  const { broker, connection, packetIds, places } = source;
  const undurable = places.findIndex((place) => place >= durableEnd);
  const count = undurable < 0 ? places.length : undurable;
  if (count === 0) return;
  source.packetIds = packetIds.slice(count);
  source.places = places.slice(count);
  broker.acknowledge(connection, count === packetIds.length ? packetIds : packetIds.slice(0, count));
}

const NOBODY = [''];

/**
 * The names of the registrations that want a message; '' for one that nobody wants any more, which is kept and parked.
 * A broker may send one copy for every overlapping filter, and says by which filters a copy came: then a registration
 * counts the copy that came by the first of its matching filters. None: another copy of the message is the one to count.
 * Filters of an earlier configuration count for nothing.
 */
function match({ index }: Source, { topic, subscriptions }: BrokerMessage): readonly string[] {
  const wanted = index.match(topic);
  if (wanted.length < 2) return wanted[0]?.names ?? NOBODY;
  const first = new Map<string, number>();
  for (const { registration, identifier } of wanted) {
    if (!first.has(registration.name)) first.set(registration.name, identifier);
  }
  const names = [...first.keys()];
  if (!subscriptions || !wanted.some(({ identifier }) => subscriptions.includes(identifier))) return names;
  return names.filter((name) => subscriptions.includes(first.get(name)!));
}

function indexOf(registrations: readonly MqttRegistration[]): TopicIndex<Wanted> {
  return new TopicIndex(
    registrations.flatMap((registration) => {
      const names = [registration.name] as const;
      return registration.topics.map(
        (topic) => [topic, { registration, identifier: subscriptionIdentifier(topic), names }] as const,
      );
    }),
  );
}

function subscriptionsOf(registrations: readonly MqttRegistration[]): Subscription[] {
  const byFilter = new Map<string, Subscription>();
  for (const { topics, qos } of registrations) {
    for (const filter of topics) {
      const known = byFilter.get(filter);
      if (!known || known.qos < qos) byFilter.set(filter, { filter, qos, identifier: subscriptionIdentifier(filter) });
    }
  }
  return [...byFilter.values()];
}

/** 1 to 268,435,455 (MQTT 5, 3.8.2.1.2), the same for a filter at every start: a session's queued messages carry it. */
function subscriptionIdentifier(filter: string): number {
  return crc32(filter) & 0x0fff_ffff || 1;
}

function isSame(a: Registration | undefined, b: Registration): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}

function unregistered({ topic, registration }: Event) {
  return registration === ''
    ? { code: 'NO_REGISTRATION', message: `no registration matches the topic ${topic}` }
    : { code: 'REGISTRATION_GONE', message: `the registration ${registration} is no longer configured` };
}
