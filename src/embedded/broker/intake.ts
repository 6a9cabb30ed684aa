import type { Logger } from 'pino';
import type { QueuedQos } from './records.ts';
import type { Session } from './session.ts';
import type { BrokerState, NewMessage, Target } from './state.ts';

/** A queue that is full again and again is said at most this often. */
const ANNOUNCE_MS = 60_000;

/** A message on its way in; `done` lets the broker acknowledge it, or with an error closes the publisher's connection. */
interface Arrival {
  /** Whoever's messages must stay in order: the publisher's connection. */
  readonly connection: object;
  readonly message: NewMessage;
  readonly done: (error?: Error) => void;
}

/**
 * Takes messages in: queued for every persistent session that wants them, written, and acknowledged only when that is
 * durable. All that arrives in one turn of the event loop shares a commit, and those of several turns may.
 *
 * A message for a persistent session whose queue is full is held back unacknowledged, and with it everything that its
 * connection publishes later, so the publisher is slowed by TCP and no acknowledged message is ever dropped. If its
 * connection ends meanwhile (at the latest by keep-alive), the message is refused: the publisher knows that it must
 * send it again.
 */
export class Intake {
  readonly #state: BrokerState;
  readonly #log: Logger;
  #batch: Array<{ readonly durable: () => void; readonly done: () => void }> = [];
  #held: Arrival[] = [];
  readonly #holding = new Map<object, number>();
  #refused = 0;
  #slowDisconnected = 0;
  #stopped = false;
  readonly #announced = new WeakMap<Session, number>();

  constructor(state: BrokerState, log: Logger) {
    this.#state = state;
    this.#log = log;
    state.onRoom = () => this.#retryHeld();
  }

  /** Messages held back at the moment. */
  get heldBack(): number {
    return this.#held.length;
  }

  /** Messages never acknowledged because there was no room for them. */
  get refused(): number {
    return this.#refused;
  }

  /** Clean sessions ended because their client did not keep up. */
  get slowDisconnected(): number {
    return this.#slowDisconnected;
  }

  /** From now on nothing is taken any more. */
  stop(): void {
    this.#stopped = true;
  }

  take(arrival: Arrival): void {
    if (this.#stopped) arrival.done(new Error('the broker has stopped'));
    else if (this.#holding.has(arrival.connection) || !this.#accept(arrival)) this.#hold(arrival);
  }

  /** A connection has ended: what it published and is held back is refused. */
  forget(connection: object): void {
    if (!this.#holding.delete(connection)) return;
    const before = this.#held.length;
    this.#held = this.#held.filter((arrival) => arrival.connection !== connection);
    this.#refused += before - this.#held.length;
  }

  /** Whether the message could be taken. */
  #accept({ message, done }: Arrival): boolean {
    const { publisher, topic, payload, qos } = message;
    if (publisher?.session.incoming.has(publisher.packetId)) {
      // A repeated QoS 2 PUBLISH: it is taken already, but perhaps not yet durable.
      this.#commit(() => {}, done);
      return true;
    }
    if (message.keep && this.#state.retainedFull(topic, payload)) {
      this.#refused += 1;
      done(new Error('there are too many retained messages'));
      return true;
    }
    const wanted = qos === 0 ? [] : this.#state.subscribers(topic);
    let tooSlow: Session[] | undefined;
    for (const { session } of wanted) {
      if (!session.full) continue;
      if (session.persistent) {
        this.#announceFull(session);
        return false;
      }
      tooSlow ??= [];
      tooSlow.push(session);
    }
    const targets = tooSlow ? wanted.filter(({ session }) => !tooSlow.includes(session)) : wanted;
    for (const session of tooSlow ?? []) this.#disconnectSlow(session);
    const durable = this.#state.add(message, qos === 1 ? targets.map(atQos1) : targets);
    if (qos > 0 || this.#state.stalledBy) {
      this.#commit(durable, done);
    } else {
      // A retained QoS 0 message need not wait, and must not fall behind those after it.
      this.#commit(durable, () => {});
      done();
    }
    return true;
  }

  #commit(durable: () => void, done: () => void): void {
    if (this.#batch.push({ durable, done }) > 1) return;
    queueMicrotask(() => {
      const batch = this.#batch;
      this.#batch = [];
      this.#state.durable().then(
        () => {
          for (const { durable } of batch) durable();
          for (const { done } of batch) done();
        },
        // The broker stops and the disk does not take it: nobody is told that it did.
        () => {},
      );
    });
  }

  #hold(arrival: Arrival): void {
    this.#held.push(arrival);
    this.#holding.set(arrival.connection, (this.#holding.get(arrival.connection) ?? 0) + 1);
  }

  #retryHeld(): void {
    const waiting = this.#held;
    this.#held = [];
    this.#holding.clear();
    for (const arrival of waiting) this.take(arrival);
  }

  #announceFull(session: Session): void {
    if (session.holdsBack) return;
    session.holdsBack = true;
    if (performance.now() - (this.#announced.get(session) ?? -ANNOUNCE_MS) < ANNOUNCE_MS) return;
    this.#announced.set(session, performance.now());
    this.#log.warn(
      {
        client: session.clientId,
        connected: !!session.connection,
        messages: session.queue.count,
        bytes: session.queue.bytes,
      },
      "a client's queue is full: whoever publishes to it is held back until it takes some " +
        '(to give the queue up, connect once with this client id and a clean session)',
    );
  }

  #disconnectSlow(session: Session): void {
    this.#slowDisconnected += 1;
    this.#log.warn(
      { client: session.clientId, messages: session.queue.count },
      'a client does not keep up and is disconnected',
    );
    session.connection?.destroy();
  }
}

function atQos1(target: Target): Target {
  const qos: QueuedQos = 1;
  return target.qos === qos ? target : { session: target.session, qos };
}
