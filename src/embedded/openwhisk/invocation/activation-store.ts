import type { Logger } from 'pino';
import { type Position, SegmentedLog } from '../../../storage/segmented-log.ts';
import type { Activation } from './activation.ts';

const SEGMENT_BYTES = 4 * 1024 * 1024;
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_AGE_MS = 7 * 24 * 60 * 60 * 1_000;
/** Activations are made durable together: nothing waits for them, so few writes matter more than early ones. */
const LINGER_MS = 200;
/** While the disk does not take them, activations beyond this are not kept: the host's memory matters more. */
const MAX_PENDING_BYTES = 32 * 1024 * 1024;
const SEGMENT_UNIT = 2 ** 32;

interface Entry {
  readonly id: string;
  readonly namespace: string;
  readonly path: string;
  readonly start: number;
  readonly position: Position;
}

export interface ActivationQuery {
  readonly path?: string;
  readonly since?: number;
  readonly upto?: number;
}

/**
 * The activations of this site, newest first, kept on disk and bounded by age and bytes (whole segments of the oldest go).
 * Memory holds what finds a record, and the records that are not on disk yet.
 *
 * A record is the length of its JSON head (u32le), the head (an {@link Activation} without its result) and the result as it came.
 */
export class ActivationStore {
  readonly #activations: SegmentedLog;
  readonly #byId = new Map<string, Entry>();
  /** By namespace, in the order of `start`. */
  readonly #byStart = new Map<string, Entry[]>();
  readonly #unwritten = new Map<string, Activation>();
  readonly #newestBySegment = new Map<number, number>();
  #flushing = false;
  #closed = false;

  private constructor(activations: SegmentedLog) {
    this.#activations = activations;
  }

  static async open(directory: string, log: Logger): Promise<ActivationStore> {
    const found: Entry[] = [];
    const activations = await SegmentedLog.open(
      {
        directory,
        segmentBytes: SEGMENT_BYTES,
        lingerMs: LINGER_MS,
        onStall: (error) => {
          if (error) log.warn({ reason: error.message }, 'OpenWhisk activations: the disk does not take them');
        },
      },
      (record, position) => found.push(entryOf(headOf(record), position)),
      (problem) => log.warn({ problem }, 'OpenWhisk activations: some records are not as they were written'),
    );
    const store = new ActivationStore(activations);
    for (const entry of found) store.#index(entry);
    store.#trim();
    return store;
  }

  add(activation: Activation): void {
    if (this.#closed || this.#activations.pendingBytes > MAX_PENDING_BYTES) return;
    const { result, ...head } = activation;
    const headBytes = Buffer.from(JSON.stringify(head));
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(headBytes.length);
    const framed = Buffer.concat([length, headBytes]);
    const segment = this.#activations.currentSegment;
    const position = this.#activations.append(framed, result);
    this.#unwritten.set(activation.activationId, activation);
    this.#index(entryOf(head, position));
    if (this.#activations.currentSegment !== segment) this.#trim();
    void this.#flush();
  }

  /** One record of a namespace, if it is (still) there. */
  async get(namespace: string, id: string): Promise<Activation | undefined> {
    const entry = this.#byId.get(id);
    return entry?.namespace === namespace ? this.#read(entry) : undefined;
  }

  /** The records that match, newest first; ones that are removed meanwhile are left out. */
  async list(namespace: string, query: ActivationQuery, skip: number, limit: number): Promise<Activation[]> {
    const entries: Entry[] = [];
    let passed = 0;
    for (const entry of this.#newestFirst(namespace, query)) {
      if (passed++ < skip) continue;
      if (entries.length === limit) break;
      entries.push(entry);
    }
    const activations = await Promise.all(entries.map((entry) => this.#read(entry)));
    return activations.filter((activation) => activation !== undefined);
  }

  count(namespace: string, query: ActivationQuery): number {
    let count = 0;
    for (const _ of this.#newestFirst(namespace, query)) count++;
    return count;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#activations.close();
  }

  *#newestFirst(namespace: string, { path, since, upto }: ActivationQuery): Generator<Entry> {
    const entries = this.#byStart.get(namespace) ?? [];
    const oldest = Math.max(since ?? Number.NEGATIVE_INFINITY, Date.now() - MAX_AGE_MS);
    for (let at = entries.length - 1; at >= 0; at--) {
      const entry = entries[at]!;
      if (entry.start < oldest) return;
      if (entry.start <= (upto ?? Number.POSITIVE_INFINITY) && (path === undefined || entry.path === path)) yield entry;
    }
  }

  async #read(entry: Entry): Promise<Activation | undefined> {
    const unwritten = this.#unwritten.get(entry.id);
    if (unwritten) return unwritten;
    try {
      const record = await this.#activations.read(entry.position);
      return { ...headOf(record), result: record.subarray(4 + record.readUInt32LE(0)) };
    } catch {
      return undefined;
    }
  }

  #index(entry: Entry): void {
    this.#byId.set(entry.id, entry);
    const entries = this.#byStart.get(entry.namespace) ?? [];
    this.#byStart.set(entry.namespace, entries);
    let at = entries.length;
    while (at > 0 && entries[at - 1]!.start > entry.start) at--;
    entries.splice(at, 0, entry);
    const segment = Math.floor(entry.position / SEGMENT_UNIT);
    this.#newestBySegment.set(segment, Math.max(this.#newestBySegment.get(segment) ?? 0, entry.start));
  }

  /** Removes the oldest segments while there are too many bytes, and those whose newest record is too old. */
  #trim(): void {
    const oldest = Date.now() - MAX_AGE_MS;
    let bytes = this.#activations.bytes;
    const removed = new Set<number>();
    for (const segment of this.#activations.segmentNumbers) {
      if (segment === this.#activations.currentSegment) continue;
      if (bytes <= MAX_BYTES && (this.#newestBySegment.get(segment) ?? 0) >= oldest) continue;
      bytes -= this.#activations.segmentSize(segment);
      removed.add(segment);
      this.#newestBySegment.delete(segment);
      void this.#activations.removeSegment(segment);
    }
    if (removed.size === 0) return;
    for (const [namespace, entries] of this.#byStart) {
      const kept = entries.filter((entry) => !removed.has(Math.floor(entry.position / SEGMENT_UNIT)));
      this.#byStart.set(namespace, kept);
    }
    for (const [id, entry] of this.#byId)
      if (removed.has(Math.floor(entry.position / SEGMENT_UNIT))) this.#byId.delete(id);
  }

  async #flush(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      while (this.#unwritten.size > 0) {
        const ids = [...this.#unwritten.keys()];
        await this.#activations.durable();
        for (const id of ids) this.#unwritten.delete(id);
      }
    } catch {
      // closed while the disk did not take them
    } finally {
      this.#flushing = false;
    }
  }
}

function headOf(record: Buffer): Omit<Activation, 'result'> {
  return JSON.parse(record.toString('utf8', 4, 4 + record.readUInt32LE(0))) as Omit<Activation, 'result'>;
}

function entryOf({ activationId, namespace, path, start }: Omit<Activation, 'result'>, position: Position): Entry {
  return { id: activationId, namespace, path, start, position };
}
