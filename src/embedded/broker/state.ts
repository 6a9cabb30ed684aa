import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { TopicIndex } from '../../core/topic-filter.ts';
import { type LogProblem, type Position, SegmentedLog } from '../../storage/segmented-log.ts';
import { type Message, MessageStore } from './message-store.ts';
import {
  type Change,
  type Checkpoint,
  decodeMessage,
  decodeRecord,
  encodeAcknowledged,
  encodeChange,
  encodeMessage,
  type MessageRecord,
  type Qos,
  type QueuedQos,
  type Will,
} from './records.ts';
import { Session, type SessionLimits } from './session.ts';

/** Acknowledgements of subscribers are written together; those lost in a crash are only delivered again. */
const ACKNOWLEDGED_LINGER_MS = 50;
/** Clean sessions are kept in memory only, so theirs is a smaller bound. */
const CLEAN_SESSION_BYTES = 16 * 1024 * 1024;
/** Small, because all of the log since the last checkpoint is read at start. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
/** A log larger than this is cut down at a regular stop, so that the next start has little to read. */
const TIDY_BYTES = 1024 * 1024;
const TIDY_MS = 500;

export interface Limits {
  /** For each persistent session's queue. */
  readonly queueMessages: number;
  readonly queueBytes: number;
  /** For all retained messages together. */
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  readonly sessions: number;
}

/** A message to queue, keep or both; its targets follow from the subscriptions. */
export interface NewMessage extends Omit<MessageRecord, 'targets' | 'publisher'> {
  readonly publisher?: { readonly session: Session; readonly packetId: number } | undefined;
}

export interface Target {
  readonly session: Session;
  readonly qos: QueuedQos;
}

/**
 * All that the broker must not forget: persistent sessions with their queues, retained messages, wills. It lives in
 * memory and every change is in the log; message bodies are in the log and only partly in memory.
 *
 * When the log starts a new segment a checkpoint of the whole state is written, and older segments that hold no
 * message anybody needs are deleted; so the log's size follows what is queued and retained, not what has passed.
 */
export class BrokerState {
  readonly sessions = new Map<string, Session>();
  readonly wills = new Map<string, Will>();
  #log!: SegmentedLog;
  readonly #logger: Logger;
  readonly #limits: Limits;
  readonly #messages = new MessageStore();
  readonly #retained = new Map<string, Message>();
  #retainedBytes = 0;
  readonly #byNumber = new Map<number, Session>();
  #lastNumber = 0;
  #index: TopicIndex<Target> | undefined;
  readonly #acknowledged = new Map<Session, number[]>();
  #acknowledgedTimer: NodeJS.Timeout | undefined;
  #checkpointSegment = 0;
  #compacting: Promise<void> | undefined;
  #closing = false;
  #unreadable = 0;
  /** Called when a session that held publishers back has room again. */
  onRoom: () => void = () => {};

  private constructor(limits: Limits, logger: Logger) {
    this.#limits = limits;
    this.#logger = logger;
  }

  /** Opens the log in `directory` and rebuilds the state from it. */
  static async open(directory: string, limits: Limits, logger: Logger): Promise<BrokerState> {
    const state = new BrokerState(limits, logger);
    const onProblem = (problem: LogProblem) => {
      if (problem.kind === 'torn') logger.info(problem, 'the last write before the stop was incomplete and is cut off');
      else logger.error(problem, "part of the broker's log is damaged; what it held is lost");
    };
    const onStall = (error: Error | undefined) => {
      if (error)
        logger.error({ err: error }, "the broker's log can't be written; nothing is acknowledged until it can");
      else logger.info("the broker's log can be written again");
    };
    state.#log = await SegmentedLog.open(
      { directory, segmentBytes: SEGMENT_BYTES, onStall },
      (record, position) => state.#replay(record, position),
      onProblem,
    );
    state.#messages.keptIn(state.#log);
    state.#checkpointSegment = state.#log.currentSegment;
    for (const session of state.sessions.values()) session.queue.restored();
    return state;
  }

  // What can be asked

  get logBytes(): number {
    return this.#log.bytes;
  }

  get commits(): number {
    return this.#log.commits;
  }

  get stalledBy(): Error | undefined {
    return this.#log.stalledBy;
  }

  /** Queued messages lost because their record could not be read back. */
  get unreadable(): number {
    return this.#unreadable;
  }

  /** The sessions that want messages of a topic queued, each with the highest QoS of its matching subscriptions. */
  subscribers(topic: string): readonly Target[] {
    this.#index ??= new TopicIndex(this.#queuedFilters());
    const found = this.#index.match(topic);
    if (found.length < 2) return found;
    const highest = new Map<Session, Target>();
    for (const target of found) {
      if (target.qos > (highest.get(target.session)?.qos ?? 0)) highest.set(target.session, target);
    }
    return highest.size === found.length ? found : [...highest.values()];
  }

  /** The retained messages of the topics that match one of the filters. */
  async *retained(filters: readonly string[]): AsyncGenerator<MessageRecord> {
    const index = new TopicIndex(filters.map((filter) => [filter, filter] as const));
    for (const [topic, message] of [...this.#retained]) {
      if (index.match(topic).length === 0 || message.holders === 0) continue;
      try {
        yield decodeMessage(await this.#messages.read(message));
      } catch (error) {
        // It may have been replaced while it was read.
        if (message.holders > 0)
          this.#logger.error({ err: error, topic }, "a retained message can't be read from the log");
      }
    }
  }

  /** The topic's retained message would go beyond the limits. */
  retainedFull(topic: string, payload: Uint8Array): boolean {
    if (payload.length === 0) return false;
    const old = this.#retained.get(topic);
    return (
      (!old && this.#retained.size >= this.#limits.retainedMessages) ||
      this.#retainedBytes - (old?.bytes ?? 0) + payload.length > this.#limits.retainedBytes
    );
  }

  /** Resolves when every change so far is on disk; rejects if the broker is stopped before. */
  durable(): Promise<void> {
    return this.#log.durable();
  }

  // Messages

  /** Writes and queues a message for `targets`, and says what {@link settled} needs when the write is durable. */
  add(message: NewMessage, targets: readonly Target[]): () => void {
    const { publisher } = message;
    if (publisher) {
      publisher.session.incoming.add(publisher.packetId);
      if (publisher.session.persistent) this.#store(publisher.session);
    }
    const written = targets.filter((target) => target.session.persistent);
    const remembered = publisher?.session.persistent ? publisher : undefined;
    if (!message.keep && !remembered && targets.length === 0) return () => {};
    const record = encodeMessage({
      ...message,
      publisher: remembered && { session: remembered.session.number, packetId: remembered.packetId },
      targets: written.map(({ session, qos }) => ({ session: session.number, qos })),
    });
    const isWritten = message.keep || remembered || written.length > 0;
    const stored: Message = isWritten
      ? this.#messages.append(record)
      : { position: undefined, bytes: record.length, record, holders: 0 };
    stored.holders += 1;
    if (message.keep) this.#keep(message.topic, stored, message.payload.length === 0);
    const ends = targets.map(({ session, qos }) => {
      stored.holders += 1;
      return session.queue.push({ message: stored, qos, received: false }) + 1;
    });
    if (isWritten) this.#checkpointIfDue();
    return () => {
      if (isWritten) this.#messages.settleInMemory(stored);
      this.#messages.release(stored);
      for (const [index, { session }] of targets.entries()) {
        session.queue.markDurable(ends[index]!);
        session.wake();
      }
    };
  }

  /** A subscriber's PUBACK or PUBCOMP. */
  acknowledge(session: Session, packetId: number, qos: QueuedQos): void {
    const sequence = session.queue.inFlight(packetId);
    if (sequence === undefined || session.queue.at(sequence)?.qos !== qos) return;
    this.#settle(session, sequence);
    session.wake();
  }

  /** A subscriber's PUBREC; resolves when PUBREL may be sent. */
  async received(session: Session, packetId: number): Promise<void> {
    const sequence = session.queue.inFlight(packetId);
    const entry = sequence === undefined ? undefined : session.queue.at(sequence);
    if (sequence === undefined || entry?.qos !== 2 || entry.received) return;
    entry.received = true;
    if (session.persistent) await this.#change({ op: 'received', number: session.number, sequence });
  }

  /** A publisher's PUBREL; resolves when PUBCOMP may be sent. */
  async released(session: Session, packetId: number): Promise<void> {
    if (!session.incoming.delete(packetId) || !session.stored) return;
    await this.#change({ op: 'released', number: session.number, packetId });
  }

  // Sessions

  /** There is a persistent session for the client, or room for one. */
  mayPersist(client: string): boolean {
    return this.#byNumber.size < this.#limits.sessions || this.sessions.get(client)?.persistent === true;
  }

  /** The client's persistent session, made if there is none. */
  persistentSession(client: string): Session {
    const known = this.sessions.get(client);
    if (known?.persistent) return known;
    this.#lastNumber += 1;
    return this.#addSession(client, this.#lastNumber);
  }

  /** A session that ends with its connection. */
  cleanSession(client: string): Session {
    return this.#addSession(client, 0);
  }

  /** Forgets a session and what is queued for it; resolves when that is durable. */
  async endSession(session: Session): Promise<void> {
    if (this.sessions.get(session.clientId) === session) this.sessions.delete(session.clientId);
    this.#dropSession(session);
    if (session.stored) await this.#change({ op: 'sessionEnd', number: session.number });
  }

  /** Adds or changes subscriptions; resolves when they are durable. */
  async subscribe(session: Session, filters: ReadonlyArray<readonly [filter: string, qos: Qos]>): Promise<void> {
    if (session.persistent) this.#store(session);
    for (const [filter, qos] of filters) session.filters.set(filter, qos);
    this.#index = undefined;
    if (session.persistent) await this.#change({ op: 'subscribe', number: session.number, filters });
  }

  async unsubscribe(session: Session, filters: readonly string[]): Promise<void> {
    for (const filter of filters) session.filters.delete(filter);
    this.#index = undefined;
    if (session.stored) await this.#change({ op: 'unsubscribe', number: session.number, filters });
  }

  async setWill(client: string, will: Will): Promise<void> {
    this.wills.set(client, will);
    await this.#change({ op: 'will', client, will });
  }

  async endWill(client: string): Promise<void> {
    if (this.wills.delete(client)) await this.#change({ op: 'willEnd', client });
  }

  /** Writes what is pending and closes the log; while the disk takes nothing, that is given up. */
  async close(): Promise<void> {
    this.#writeAcknowledged();
    this.#closing = true;
    const tidied = this.#tidy().catch(() => {});
    await Promise.race([tidied, sleep(TIDY_MS, undefined, { ref: false })]);
    await this.#log.close();
  }

  async #tidy(): Promise<void> {
    await this.#compacting;
    if (this.#log.bytes < TIDY_BYTES) return;
    this.#log.startSegment();
    await this.#writeCheckpoint();
  }

  #addSession(client: string, number: number, queueBase = 0): Session {
    const limits: SessionLimits = {
      messages: this.#limits.queueMessages,
      bytes: number === 0 ? Math.min(CLEAN_SESSION_BYTES, this.#limits.queueBytes) : this.#limits.queueBytes,
    };
    const host = {
      read: (message: Message) => this.#messages.read(message),
      unreadable: (session: Session, sequence: number, error: Error) => this.#onUnreadable(session, sequence, error),
    };
    const session = new Session(host, client, number, limits, queueBase);
    this.sessions.set(client, session);
    if (number !== 0) this.#byNumber.set(number, session);
    return session;
  }

  #dropSession(session: Session): void {
    this.#byNumber.delete(session.number);
    this.#acknowledged.delete(session);
    const { base, slots } = session.queue;
    for (const [index, entry] of slots.entries()) {
      if (entry && session.queue.settle(base + index)) this.#messages.release(entry.message);
    }
    session.filters.clear();
    this.#index = undefined;
    if (session.holdsBack) this.onRoom();
  }

  #store(session: Session): void {
    if (session.stored) return;
    session.stored = true;
    this.#append(encodeChange({ op: 'session', number: session.number, client: session.clientId }));
  }

  #settle(session: Session, sequence: number): void {
    const entry = session.queue.settle(sequence);
    if (!entry) return;
    this.#messages.release(entry.message);
    if (session.holdsBack && session.roomy) {
      session.holdsBack = false;
      this.onRoom();
    }
    if (!session.persistent || this.#closing) return;
    const sequences = this.#acknowledged.get(session);
    if (sequences) sequences.push(sequence);
    else this.#acknowledged.set(session, [sequence]);
    this.#acknowledgedTimer ??= setTimeout(() => this.#writeAcknowledged(), ACKNOWLEDGED_LINGER_MS);
  }

  #writeAcknowledged(): void {
    clearTimeout(this.#acknowledgedTimer);
    this.#acknowledgedTimer = undefined;
    for (const [session, sequences] of this.#acknowledged) {
      this.#append(encodeAcknowledged(session.number, sequences));
    }
    this.#acknowledged.clear();
  }

  #onUnreadable(session: Session, sequence: number, error: Error): void {
    const details = { err: error, client: session.clientId };
    if ('code' in error) {
      this.#logger.error(details, "a queued message can't be read; it is tried again when the client reconnects");
      session.connection?.destroy();
    } else if (!this.#closing) {
      this.#unreadable += 1;
      this.#logger.error(details, 'a queued message is damaged on disk and lost');
      this.#settle(session, sequence);
    }
  }

  #keep(topic: string, message: Message, isEmpty: boolean): void {
    const old = this.#retained.get(topic);
    if (old) {
      this.#retained.delete(topic);
      this.#retainedBytes -= old.bytes;
      this.#messages.release(old);
    }
    if (isEmpty) return;
    message.holders += 1;
    this.#retained.set(topic, message);
    this.#retainedBytes += message.bytes;
  }

  *#queuedFilters(): Generator<readonly [string, Target]> {
    for (const session of this.sessions.values()) {
      for (const [filter, qos] of session.filters) if (qos > 0) yield [filter, { session, qos: qos as QueuedQos }];
    }
  }

  // The log

  #append(record: Buffer): void {
    this.#log.append(record);
    this.#checkpointIfDue();
  }

  async #change(change: Change): Promise<void> {
    this.#append(encodeChange(change));
    await this.#log.durable();
  }

  #checkpointIfDue(): void {
    if (this.#compacting || this.#closing || this.#log.currentSegment === this.#checkpointSegment) return;
    this.#compacting = this.#compact()
      .catch((error: unknown) => {
        if (!this.#closing) this.#logger.error({ err: error }, "the broker's log can't be compacted");
      })
      .finally(() => {
        this.#compacting = undefined;
      });
  }

  async #compact(): Promise<void> {
    // Not in the middle of a change: the state must agree with the records before the checkpoint.
    await Promise.resolve();
    await this.#messages.moveSparse((message, error) => {
      this.#logger.error({ err: error, position: message.position }, "a queued message can't be read from the log");
    });
    if (!this.#closing) await this.#writeCheckpoint();
  }

  async #writeCheckpoint(): Promise<void> {
    this.#acknowledged.clear();
    this.#log.append(encodeChange(this.#checkpoint()));
    // A large checkpoint may itself have started a segment; what is before the one it is in is covered by it.
    const covered = this.#log.currentSegment;
    this.#checkpointSegment = covered;
    await this.#log.durable();
    await this.#messages.removeDeadBefore(covered);
  }

  #checkpoint(): Checkpoint {
    const messages: number[] = [];
    const indexes = new Map<Message, number>();
    const indexOf = (message: Message): number => {
      let index = indexes.get(message);
      if (index === undefined) {
        index = indexes.size;
        indexes.set(message, index);
        messages.push(message.position!, message.bytes);
      }
      return index;
    };
    const sessions = [...this.#byNumber.values()]
      .filter((session) => session.stored)
      .map(({ number, clientId, filters, incoming, queue }) => ({
        number,
        client: clientId,
        filters: [...filters],
        incoming: [...incoming],
        base: queue.base,
        slots: queue.slots.flatMap((entry) =>
          entry ? [indexOf(entry.message), entry.qos, entry.received ? 1 : 0] : [-1, 0, 0],
        ),
      }));
    const retained = [...this.#retained].map(([topic, message]) => [topic, indexOf(message)] as const);
    return { op: 'checkpoint', messages, sessions, retained, wills: [...this.wills] };
  }

  // Reading the log at start

  #replay(record: Buffer, position: Position): void {
    const decoded = decodeRecord(record);
    if (!decoded) return;
    if (decoded.kind === 'message') this.#replayMessage(decoded.message, position, record.length);
    else if (decoded.kind === 'change') this.#replayChange(decoded.change);
    else {
      const session = this.#byNumber.get(decoded.session);
      for (const sequence of decoded.sequences) {
        const entry = session?.queue.settle(sequence);
        if (entry) this.#messages.release(entry.message);
      }
    }
  }

  #replayMessage(record: MessageRecord, position: Position, bytes: number): void {
    const message = this.#messages.found(position, bytes);
    message.holders += 1;
    if (record.keep) this.#keep(record.topic, message, record.payload.length === 0);
    if (record.publisher) this.#byNumber.get(record.publisher.session)?.incoming.add(record.publisher.packetId);
    for (const { session: number, qos } of record.targets) {
      const session = this.#byNumber.get(number);
      if (!session) continue;
      message.holders += 1;
      session.queue.push({ message, qos, received: false });
    }
    this.#messages.release(message);
  }

  #replayChange(change: Change): void {
    switch (change.op) {
      case 'session':
        this.#lastNumber = Math.max(this.#lastNumber, change.number);
        this.#addSession(change.client, change.number).stored = true;
        break;
      case 'sessionEnd': {
        const session = this.#byNumber.get(change.number);
        if (!session) break;
        this.sessions.delete(session.clientId);
        this.#dropSession(session);
        break;
      }
      case 'subscribe':
        for (const [filter, qos] of change.filters) this.#byNumber.get(change.number)?.filters.set(filter, qos);
        break;
      case 'unsubscribe':
        for (const filter of change.filters) this.#byNumber.get(change.number)?.filters.delete(filter);
        break;
      case 'received': {
        const entry = this.#byNumber.get(change.number)?.queue.at(change.sequence);
        if (entry) entry.received = true;
        break;
      }
      case 'released':
        this.#byNumber.get(change.number)?.incoming.delete(change.packetId);
        break;
      case 'will':
        this.wills.set(change.client, change.will);
        break;
      case 'willEnd':
        this.wills.delete(change.client);
        break;
      case 'checkpoint':
        this.#replayCheckpoint(change);
        break;
    }
  }

  #replayCheckpoint(checkpoint: Checkpoint): void {
    for (const session of this.sessions.values()) this.#dropSession(session);
    this.sessions.clear();
    for (const message of this.#retained.values()) this.#messages.release(message);
    this.#retained.clear();
    this.#retainedBytes = 0;
    this.wills.clear();

    const messages: Message[] = [];
    for (let at = 0; at < checkpoint.messages.length; at += 2) {
      messages.push(this.#messages.found(checkpoint.messages[at]!, checkpoint.messages[at + 1]!));
    }
    for (const { number, client, filters, incoming, base, slots } of checkpoint.sessions) {
      const session = this.#addSession(client, number, base);
      session.stored = true;
      this.#lastNumber = Math.max(this.#lastNumber, number);
      for (const [filter, qos] of filters) session.filters.set(filter, qos);
      for (const packetId of incoming) session.incoming.add(packetId);
      for (let at = 0; at < slots.length; at += 3) {
        const message = messages[slots[at]!];
        if (message) message.holders += 1;
        session.queue.push(message && { message, qos: slots[at + 1] as QueuedQos, received: slots[at + 2] === 1 });
      }
    }
    for (const [topic, index] of checkpoint.retained) this.#keep(topic, messages[index]!, false);
    for (const [client, will] of checkpoint.wills) this.wills.set(client, will);
  }
}
