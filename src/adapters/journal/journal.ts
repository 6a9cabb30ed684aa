import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Books, Event, Fate } from '../../core/event.ts';
import { digestOf, REMEMBERED_PACKETS, Redeliveries } from '../../core/redeliveries.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Journal, NewEvent, ParkedEvent, ParkedRow, RedrivenEvent } from '../../ports/journal.ts';
import { writeFileAtomically } from '../../storage/atomic-file.ts';
import { segmentName } from '../../storage/segment-file.ts';
import { type LogProblem, type RecordVisitor, SegmentedLog, segmentOf } from '../../storage/segmented-log.ts';
import { booksOf, ClosedBooks } from './closed-books.ts';
import { brokerNumber, encodeEventHead, flagsOf, RecordedEvent, sequenceOf } from './event-record.ts';
import { FatesFiles, fatesFile } from './fates-files.ts';
import { KnownKeys } from './known-keys.ts';
import { encodePacketNotes, readPacketNotes } from './packet-notes.ts';
import { ParkedEvents } from './parked-events.ts';
import { SegmentFates } from './segment-fates.ts';
import { selfCheck } from './self-check.ts';

/**
 * The journal on disk:
 *
 *     events/0000000001.log     events in the order of their arrival (storage/segmented-log.ts)
 *     events/0000000001.fates   what became of them (segment-fates.ts, fates-files.ts)
 *     packets                   the last messages' packets, but for those of the newest segments (packet-notes.ts)
 *     closed.json               the books and keys of segments that are gone, and which one is being removed (closed-books.ts)
 *     parked/                   parked events (parked-events.ts)
 *
 * A segment whose events are all settled is added to closed.json and removed; segments go in any order, so an event
 * that waits long holds back its own segment only, and of that, when it is some segments old, little more than itself.
 */

export interface FileJournalOptions {
  readonly directory: string;
  /** Size at which no more is taken, or (`expireOldest`) the oldest events are given up for new ones. */
  readonly maxBytes: number;
  readonly whenFull?: 'stop' | 'expireOldest';
  /** The same for the parked events. */
  readonly parkedMaxBytes?: number;
  readonly parkedWhenFull?: 'stop' | 'expireOldest';
  readonly segmentBytes?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** As many of the newest segments are left as they are: most of them will soon be settled as a whole. */
const UNCOMPACTED_SEGMENTS = 4;
/** Of the newest events, so that they need not be read from the disk when they are fired. */
const KEPT_BYTES = 16 * 1024 * 1024;
const BOOKS_RETRY_MS = 500;

export class FileJournal implements Journal {
  readonly parked: ParkedEvents;
  /** Copies of segments that were found damaged since the start. */
  readonly damage: readonly string[];
  readonly #options: FileJournalOptions;
  readonly #events: SegmentedLog;
  readonly #segments: Map<number, SegmentFates>;
  readonly #closed: ClosedBooks;
  readonly #books = new Map<string, Books>();
  readonly #redeliveries: Map<number, Redeliveries>;
  readonly #keys: KnownKeys;
  readonly #fates: FatesFiles;
  #current: number;
  /** The last segment that `packets` knows. */
  #notedUpTo = 0;
  #nextSequence: number;
  #lastReceivedAt: bigint;
  #roomWaiters: Array<() => void> = [];
  #removal: Promise<void> = Promise.resolve();
  /** Whether a removal did not end before the stop: the next start ends it, and no other may take its place in closed.json. */
  #halfRemoved = false;
  #stopped = false;
  #expiring: Promise<void> | undefined;
  #parkedTaken: Promise<unknown> = Promise.resolve();

  private constructor(
    options: FileJournalOptions,
    events: SegmentedLog,
    segments: Map<number, SegmentFates>,
    closed: ClosedBooks,
    parked: ParkedEvents,
    redeliveries: Map<number, Redeliveries>,
    damage: readonly string[],
  ) {
    this.#redeliveries = redeliveries;
    this.#keys = new KnownKeys(closed.state.keys);
    this.damage = damage;
    this.#options = options;
    this.#events = events;
    this.#segments = segments;
    this.#closed = closed;
    this.parked = parked;
    this.#current = events.currentSegment;
    this.#fates = new FatesFiles({
      folder: join(options.directory, 'events'),
      log: options.log,
      // Only a full disk at the stop fails here; the segment is then removed by the next start.
      onWritten: (segment) => this.#removeIfSettled(segment).catch(() => undefined),
    });
    this.#nextSequence = closed.state.nextSequence;
    this.#lastReceivedAt = closed.state.lastReceivedAt;
    for (const [registration, books] of closed.all) addBooks(this.#booksOf(registration), books);
    for (const fates of segments.values()) {
      for (const digest of fates.keys) this.#keys.add(digest);
      for (const registration of fates.registrations())
        addBooks(this.#booksOf(registration), fates.booksOf(registration));
      if (fates.firstSequence !== undefined) {
        this.#nextSequence = Math.max(this.#nextSequence, fates.firstSequence + fates.count);
      }
      if (fates.lastReceivedAt > this.#lastReceivedAt) this.#lastReceivedAt = fates.lastReceivedAt;
    }
  }

  static async open(options: FileJournalOptions): Promise<FileJournal> {
    const { directory, log } = options;
    const eventsFolder = join(directory, 'events');
    await mkdir(eventsFolder, { recursive: true });
    const closed = await ClosedBooks.read(join(directory, 'closed.json'));
    if (closed.removing !== null) await removeSegmentFiles(eventsFolder, closed.removing);

    const segments = new Map<number, SegmentFates>();
    for (const name of (await readdir(eventsFolder)).filter((name) => /^\d{10}\.log$/.test(name)).sort()) {
      const number = Number.parseInt(name, 10);
      segments.set(number, await SegmentFates.read(fatesFile(eventsFolder, number)));
    }
    const damage: string[] = [];
    const onProblem = (problem: LogProblem) => {
      if (problem.setAside) damage.push(problem.setAside);
      report(problem, log);
    };
    const { redeliveries, upTo: notedUpTo } = await readPacketNotes(join(directory, 'packets'));
    const note = (event: RecordedEvent) => {
      const { position, sequence, registration, receivedAt, redriven, keyed, topic: key } = event;
      const fates = segments.get(segmentOf(position))!;
      fates.add(sequence, registration, receivedAt, redriven);
      if (keyed) fates.keys.push(KnownKeys.digest(key));
    };
    const lastEvents: RecordedEvent[] = [];
    const events = await SegmentedLog.open(
      {
        directory: eventsFolder,
        visit: 'last',
        keepBytes: KEPT_BYTES,
        // The number of a removed segment must not be given again while closed.json names it.
        above: closed.removing ?? 0,
        ...(options.segmentBytes && { segmentBytes: options.segmentBytes }),
        onStall: (error) => {
          if (error)
            log.error({ reason: error.message }, 'the journal cannot be written; nothing is acknowledged until it can');
          else log.info('the journal can be written again');
        },
      },
      (record, position) => {
        const event = new RecordedEvent(position, record, 0, record.length);
        if (!segments.get(segmentOf(position))!.hasSummary) note(event);
        if (segmentOf(position) > notedUpTo) lastEvents.push(event);
      },
      onProblem,
    );
    if (!segments.has(events.currentSegment)) segments.set(events.currentSegment, new SegmentFates());
    // A crash between two segments leaves the earlier one without a summary.
    for (const [number, fates] of segments) {
      if (fates.hasSummary || number === events.currentSegment) continue;
      await events.readSegment(number, (...record) => note(new RecordedEvent(...record)));
    }
    for (const number of unnotedSegments(segments, notedUpTo, events.currentSegment)) {
      await events.readSegment(number, (...record) => notePacket(new RecordedEvent(...record), redeliveries));
    }
    for (const event of lastEvents) notePacket(event, redeliveries);
    const parked = await ParkedEvents.open(join(directory, 'parked'), onProblem);
    const journal = new FileJournal(options, events, segments, closed, parked, redeliveries, damage);
    // The last segment of an earlier run may be full of settled events only.
    if (segments.get(events.currentSegment)!.hasSummary) journal.#startSegment();
    journal.#notedUpTo = notedUpTo;
    for (const number of [...segments.keys()]) void journal.#removeIfSettled(number).catch(() => undefined);
    return journal;
  }

  get books(): ReadonlyMap<string, Readonly<Books>> {
    return this.#books;
  }

  get undurableBytes(): number {
    return this.#events.pendingBytes;
  }

  /** Size on disk, parked events not included. */
  get bytes(): number {
    return this.#events.bytes;
  }

  /** Why the journal cannot be written at the moment, if it can't. */
  get stalledBy(): Error | undefined {
    return this.#events.stalledBy;
  }

  redeliveriesOf(broker: string): Redeliveries {
    return redeliveriesOf(this.#redeliveries, brokerNumber(broker));
  }

  append(event: MarkedEvent): number {
    const now = this.#options.clock.now();
    this.#lastReceivedAt = now > this.#lastReceivedAt ? now : this.#lastReceivedAt + 1n;
    const books = this.#booksOf(event.registration);
    books.received += 1;
    books.pending += 1;
    return this.#append(event, this.#lastReceivedAt, {});
  }

  appendOnce({
    registration,
    key,
    payload,
  }: {
    registration: string;
    key: string;
    payload: string;
  }): number | undefined {
    if (!this.#keys.add(KnownKeys.digest(key))) return undefined;
    const event = { registration, topic: key, qos: 1, retain: false, body: Buffer.from(payload), keyed: true } as const;
    return this.append(event);
  }

  countCopy(registration: string): void {
    const books = this.#booksOf(registration);
    books.received += 1;
    books.deduplicated += 1;
    const fates = this.#segments.get(this.#current)!;
    this.#fates.write(this.#current, fates, fates.addCopy(registration));
  }

  #append(event: MarkedEvent, receivedAt: bigint, marks: { redriven?: boolean }): number {
    const sequence = this.#nextSequence;
    this.#nextSequence += 1;
    const { keyed = false } = event;
    const { redriven = false } = marks;
    const flags = flagsOf(event, { redriven, keyed });
    const head = encodeEventHead(event, flags, sequence, receivedAt);
    const position = this.#events.append(head, event.body);
    const segment = segmentOf(position);
    if (segment !== this.#current) this.#sealCurrent(segment);
    const fates = this.#segments.get(segment)!;
    fates.add(sequence, event.registration, receivedAt, redriven);
    if (keyed) fates.keys.push(KnownKeys.digest(event.topic));
    return position;
  }

  durable(): Promise<void> {
    return this.#events.durable();
  }

  get durableEnd(): number {
    return this.#events.durableEnd;
  }

  async unsettledFrom(position: number, visit: (event: Event) => void): Promise<number> {
    const unsettled = this.#unsettled(visit);
    return this.#events.recallFrom(position, unsettled) ?? this.#events.readFrom(position, unsettled);
  }

  async load(positions: readonly number[]): Promise<Event[]> {
    const events: Event[] = [];
    await this.#events.collect(
      positions,
      this.#unsettled((event) => events.push(event)),
    );
    return events;
  }

  /** Takes records, and hands on the events of those that are not settled. */
  #unsettled(take: (event: Event) => void): RecordVisitor {
    let segment: number | undefined;
    let fates: SegmentFates | undefined;
    return (position, data, from, to) => {
      if (segment !== segmentOf(position)) {
        segment = segmentOf(position);
        fates = this.#segments.get(segment);
      }
      if (fates?.isSettled(sequenceOf(data, from)) === false) take(new RecordedEvent(position, data, from, to));
    };
  }

  settle(events: readonly Event[], fate: Exclude<Fate, 'parked'>): void {
    this.#settle(events, fate);
  }

  async park(parked: readonly ParkedEvent[]): Promise<void> {
    const { parkedMaxBytes = Infinity, parkedWhenFull } = this.#options;
    const bytes = parked.reduce((sum, { event }) => sum + event.body.length, 0);
    if (parkedWhenFull === 'expireOldest') {
      while (this.parked.count > 0 && this.parked.bytes + bytes > parkedMaxBytes)
        await this.discard([this.parked.list({ limit: 1 })[0]!.id]);
    }
    while (this.parked.count > 0 && this.parked.bytes + bytes > parkedMaxBytes) {
      await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
    }
    await this.#parkedTaken;
    await this.parked.add(parked);
    this.#settle(
      parked.map(({ event }) => event),
      'parked',
    );
  }

  parkedRow(id: string): ParkedRow | undefined {
    return this.parked.row(id);
  }

  redrive(changes: readonly RedrivenEvent[]): Promise<number> {
    return this.#takeFromParked(() => this.#redrive(changes));
  }

  discard(ids: readonly string[]): Promise<number> {
    return this.#takeFromParked(() => this.#discard(ids));
  }

  /** One after the other. What is parked again meanwhile waits: it must not be taken for what is being taken out. */
  #takeFromParked(take: () => Promise<number>): Promise<number> {
    const taken = this.#parkedTaken.then(take);
    this.#parkedTaken = taken.catch(() => undefined);
    return taken;
  }

  async #redrive(changes: readonly RedrivenEvent[]): Promise<number> {
    const redriven: string[] = [];
    for (const { id, registration, body } of changes) {
      const parked = await this.parked.get(id);
      if (!parked) continue;
      const { topic, qos, retain, keyed } = parked.row;
      const event = { registration, topic, qos, retain, keyed, body: body ?? parked.body };
      this.#append(event, BigInt(id), { redriven: true });
      redriven.push(id);
      this.#booksOf(parked.row.registration).parked -= 1;
      this.#booksOf(registration).pending += 1;
      if (parked.row.registration !== registration) this.#moveReceived(parked.row.registration, registration);
    }
    await this.durable();
    await this.parked.remove(redriven);
    await this.#writeClosed();
    this.#wakeWaiters();
    return redriven.length;
  }

  async #discard(ids: readonly string[]): Promise<number> {
    const rows = ids.flatMap((id) => this.parked.row(id) ?? []);
    await this.parked.remove(rows.map(({ id }) => id));
    for (const { registration } of rows) {
      for (const books of [this.#booksOf(registration), this.#closed.of(registration)]) {
        books.parked -= 1;
        books.expired += 1;
      }
    }
    await this.#writeClosed();
    this.#wakeWaiters();
    return rows.length;
  }

  /** Whether nothing more may be appended at the moment. */
  get isFull(): boolean {
    const { maxBytes, parkedMaxBytes = Infinity, parkedWhenFull } = this.#options;
    const parkedFull = this.parked.bytes >= parkedMaxBytes && parkedWhenFull !== 'expireOldest';
    return this.#events.bytes >= maxBytes || parkedFull;
  }

  hasRoom(): Promise<void> | undefined {
    if (!this.isFull) return undefined;
    if (this.#options.whenFull === 'expireOldest') {
      this.#expiring ??= this.#expireOldest()
        .catch((error: Error) =>
          this.#options.log.error({ reason: error.message }, 'the oldest events cannot be given up'),
        )
        .finally(() => {
          this.#expiring = undefined;
        });
    }
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** What differs between the books and the log, as sentences. */
  selfCheck(): Promise<string[]> {
    return selfCheck({ events: this.#events, segments: this.#segments, closed: this.#closed.all, books: this.#books });
  }

  /** Writes what is settled and closes; nothing may be appended afterwards. */
  async close(): Promise<void> {
    this.#stopped = true;
    await this.#fates.flushed();
    await this.#removal;
    await this.#events.close();
    await this.parked.close();
    // Also of what was being parked till now.
    await this.#fates.flushed();
    await this.#fates.close();
    await this.#writeClosed().catch((error: Error) => {
      this.#options.log.warn(
        { reason: error.message },
        'the books cannot be written; the next start makes them from the segments',
      );
    });
  }

  #settle(events: readonly SettledEvent[], fate: Fate): void {
    const groups = new Map<string, { segment: number; registration: string; sequences: number[] }>();
    let group: { segment: number; registration: string; sequences: number[] } | undefined;
    for (const { position, registration, sequence } of events) {
      const segment = segmentOf(position);
      // Most are of the same as the one before, which is cheaper to see than to look up.
      if (group?.segment !== segment || group.registration !== registration) {
        const key = `${segment} ${registration}`;
        group = groups.get(key) ?? { segment, registration, sequences: [] };
        groups.set(key, group);
      }
      group.sequences.push(sequence);
    }
    for (const { segment, registration, sequences } of groups.values()) {
      const fates = this.#segments.get(segment);
      if (!fates) continue; // settled before, and its segment is gone
      const { count, record } = fates.settle(sequences, registration, fate);
      if (count === 0) continue;
      const books = this.#booksOf(registration);
      books.pending -= count;
      books[fate] += count;
      this.#fates.write(segment, fates, record);
    }
  }

  #sealCurrent(next: number): void {
    const sealed = this.#current;
    this.#current = next;
    this.#segments.set(next, new SegmentFates());
    // Closed before that, it has none, and the next start reads the segment.
    void this.#summarize(sealed).catch(() => undefined);
    this.#removal = this.#removal.then(() => this.#compactOld()).catch(() => undefined);
  }

  /** Not before all that it counts is on disk: what a crash takes away must not be counted. */
  async #summarize(segment: number): Promise<void> {
    await this.durable();
    const fates = this.#segments.get(segment);
    if (!fates || this.#stopped) return;
    fates.hasSummary = true;
    this.#fates.write(segment, fates, fates.summary());
  }

  /** Lets go of the settled events of segments that a few others hold back. */
  async #compactOld(): Promise<void> {
    for (const [number, fates] of [...this.#segments].slice(0, -UNCOMPACTED_SEGMENTS)) {
      const unsettled = fates.count - fates.settledCount;
      if (unsettled === 0 || unsettled * 2 > fates.kept || fates.unwritten > 0) continue;
      // What is let go of must be known as settled after a crash too.
      const settled = fates.settledNow();
      await this.#fates.sync(number);
      await this.#events.compact(number, (payload) => !settled(sequenceOf(payload)));
      fates.kept = unsettled;
      this.#wakeWaiters();
    }
  }

  /** Writes down the packets of what is durable: of `segment` at least, all of which is, and of those before. */
  async #notePackets(segment: number): Promise<void> {
    const upTo = Math.max(segment, segmentOf(this.durableEnd) - 1);
    const undurable = new Set<string>();
    this.#events.visitUndurable((...record) => {
      const { packet } = new RecordedEvent(...record);
      if (packet) undurable.add(`${packet.broker} ${packet.packetId}`);
    });
    const isLeftOut = (broker: number, packetId: number) => undurable.has(`${broker} ${packetId}`);
    const file = join(this.#options.directory, 'packets');
    await writeFileAtomically(file, encodePacketNotes(this.#redeliveries, upTo, isLeftOut));
    this.#notedUpTo = upTo;
  }

  #startSegment(): void {
    this.#events.startSegment();
    this.#current = this.#events.currentSegment;
    this.#segments.set(this.#current, new SegmentFates());
  }

  /** One after the other: closed.json names one segment that is being removed. */
  #removeIfSettled(number: number): Promise<void> {
    const removed = this.#removal.then(async () => {
      const fates = this.#segments.get(number);
      if (!fates || number === this.#current || fates.settledCount < fates.count || this.#halfRemoved) return;
      // What tells a message that is sent again must not go with it.
      if (this.#notedUpTo < number) await this.#untilWritten(() => this.#notePackets(number));
      this.#segments.delete(number);
      for (const registration of fates.registrations()) {
        addBooks(this.#closed.of(registration), fates.booksOf(registration));
      }
      for (const digest of fates.keys) this.#keys.retire(digest);
      this.#closed.removing = number;
      this.#halfRemoved = true;
      await this.#untilWritten(async () => {
        await this.#writeClosed();
        await this.#fates.release(number);
        await this.#events.removeSegment(number);
        await removeSegmentFiles(join(this.#options.directory, 'events'), number);
      });
      this.#halfRemoved = false;
      this.#wakeWaiters();
    });
    this.#removal = removed.catch(() => undefined);
    return removed;
  }

  #wakeWaiters(): void {
    for (const waiter of this.#roomWaiters.splice(0)) waiter();
  }

  /** Gives up the unsettled events of the oldest segments, until there is room. */
  async #expireOldest(): Promise<void> {
    await this.durable();
    for (const number of [...this.#segments.keys()]) {
      if (this.#events.bytes < this.#options.maxBytes || number === this.#current) break;
      const events: SettledEvent[] = [];
      await this.#events.readSegment(
        number,
        this.#unsettled(({ position, registration, sequence }) => events.push({ position, registration, sequence })),
      );
      this.#settle(events, 'expired');
      await this.#removeIfSettled(number);
    }
  }

  /** A full disk must not end the process, nor let a segment go whose books are not written. */
  async #untilWritten(write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await write();
        return;
      } catch (error) {
        if (this.#stopped) throw error;
        this.#options.log.warn(
          { reason: (error as Error).message },
          'what is known of settled events cannot be written; trying again',
        );
        await this.#options.clock.sleep(BOOKS_RETRY_MS);
      }
    }
  }

  #writeClosed(): Promise<void> {
    return this.#closed.write(() => ({
      nextSequence: this.#nextSequence,
      lastReceivedAt: this.#lastReceivedAt,
      keys: this.#keys.retired,
    }));
  }

  /** A redriven event that is fired for another registration than it came for counts as received there. */
  #moveReceived(from: string, to: string): void {
    for (const books of [this.#booksOf(from), this.#closed.of(from)]) books.received -= 1;
    for (const books of [this.#booksOf(to), this.#closed.of(to)]) books.received += 1;
    // The segment of its new place takes the parked one off the books of `to`.
    this.#closed.of(from).parked -= 1;
    this.#closed.of(to).parked += 1;
  }

  #booksOf(registration: string): Books {
    return booksOf(this.#books, registration);
  }
}

/** What it takes to settle an event. */
type SettledEvent = Pick<Event, 'position' | 'registration' | 'sequence'>;

interface MarkedEvent extends NewEvent {
  readonly keyed?: boolean;
}

/** The segments behind the current one whose packets are not written down yet and still count. */
function unnotedSegments(segments: ReadonlyMap<number, SegmentFates>, notedUpTo: number, current: number): number[] {
  const numbers: number[] = [];
  let messages = segments.get(current)!.count;
  for (const [number, { count }] of [...segments].reverse()) {
    if (number === current) continue;
    if (number <= notedUpTo || messages >= REMEMBERED_PACKETS) break;
    numbers.unshift(number);
    messages += count;
  }
  return numbers;
}

function notePacket({ packet, topic, body }: RecordedEvent, redeliveries: Map<number, Redeliveries>): void {
  if (!packet) return;
  redeliveriesOf(redeliveries, packet.broker).note(packet.packetId, digestOf(topic, body));
}

function redeliveriesOf(all: Map<number, Redeliveries>, broker: number): Redeliveries {
  let redeliveries = all.get(broker);
  if (!redeliveries) {
    redeliveries = new Redeliveries();
    all.set(broker, redeliveries);
  }
  return redeliveries;
}

function addBooks(to: Books, books: Readonly<Books>): void {
  for (const fate of Object.keys(to) as Array<keyof Books>) to[fate] += books[fate] ?? 0;
}

function report(problem: LogProblem, log: Logger): void {
  if (problem.kind === 'torn') {
    log.info(
      { file: problem.file, bytes: problem.to - problem.from },
      'an unfinished write of the last run was cut off; nothing acknowledged is lost',
    );
  } else {
    log.error({ ...problem }, 'the journal is damaged here; a copy of the file is set aside');
  }
}

async function removeSegmentFiles(folder: string, number: number): Promise<void> {
  for (const file of [join(folder, segmentName(number)), fatesFile(folder, number)]) await rm(file, { force: true });
}
