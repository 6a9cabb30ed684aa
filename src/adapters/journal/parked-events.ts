import type { Event, ParkReason } from '../../core/event.ts';
import type { ParkedEvent } from '../../ports/journal.ts';
import { type LogProblem, type Position, SegmentedLog } from '../../storage/segmented-log.ts';

/** A parked event as it is listed: everything but its body. */
export interface ParkedRow extends Pick<Event, 'id' | 'registration' | 'topic' | 'qos' | 'retain'> {
  readonly reason: ParkReason;
  readonly batchId?: string;
  readonly bytes: number;
}

/** Parked events: a log of records, each a JSON row (u32le length before it) and the raw body, indexed in memory by id. */
export class ParkedEvents {
  readonly #log: SegmentedLog;
  readonly #index: Map<string, { row: ParkedRow; position: Position }>;

  private constructor(log: SegmentedLog, index: Map<string, { row: ParkedRow; position: Position }>) {
    this.#log = log;
    this.#index = index;
  }

  static async open(directory: string, onProblem: (problem: LogProblem) => void): Promise<ParkedEvents> {
    const index = new Map<string, { row: ParkedRow; position: Position }>();
    const log = await SegmentedLog.open(
      { directory, lingerMs: 0 },
      (record, position) => {
        const { row } = decode(record);
        index.set(row.id, { row, position });
      },
      onProblem,
    );
    return new ParkedEvents(log, index);
  }

  /** Keeps events; one that is here already (it was fired again after a crash) is not kept twice. Durable when resolved. */
  async add(parked: readonly ParkedEvent[]): Promise<void> {
    for (const { event, reason, batchId } of parked) {
      if (this.#index.has(event.id)) continue;
      const { id, registration, topic, qos, retain, body } = event;
      const row: ParkedRow = {
        id,
        registration,
        topic,
        qos,
        retain,
        reason,
        ...(batchId && { batchId }),
        bytes: body.length,
      };
      const json = Buffer.from(JSON.stringify(row));
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32LE(json.length);
      this.#index.set(id, { row, position: this.#log.append(length, json, body) });
    }
    await this.#log.durable();
  }

  get count(): number {
    return this.#index.size;
  }

  /** Oldest first. */
  list({ skip = 0, limit = 100 } = {}): ParkedRow[] {
    return [...this.#index.values()].slice(skip, skip + limit).map(({ row }) => row);
  }

  /** A parked event with its raw bytes. */
  async get(id: string): Promise<{ row: ParkedRow; body: Buffer } | undefined> {
    const entry = this.#index.get(id);
    return entry && decode(await this.#log.read(entry.position));
  }

  async close(): Promise<void> {
    await this.#log.close();
  }
}

function decode(record: Buffer): { row: ParkedRow; body: Buffer } {
  const end = 4 + record.readUInt32LE(0);
  return { row: JSON.parse(record.toString('utf8', 4, end)) as ParkedRow, body: record.subarray(end) };
}
