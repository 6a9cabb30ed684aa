import type { ParkedEvent, ParkedRow } from '../../ports/journal.ts';
import { type LogProblem, type Position, SegmentedLog } from '../../storage/segmented-log.ts';

/** What a person or tool picks parked events by. */
export interface ParkedFilter {
  readonly registration?: string;
  readonly code?: string;
}

/** A log is rewritten when it is this much larger than what is still parked. */
const SLACK_BYTES = 8 * 1024 * 1024;

interface Entry {
  readonly row: ParkedRow;
  position: Position;
}

/**
 * Parked events: a log of records, each a JSON row (u32le length before it) and the raw body, indexed in memory by id.
 * A row `{"removed": [id, …]}` takes events out again.
 */
export class ParkedEvents {
  readonly #log: SegmentedLog;
  readonly #index: Map<string, Entry>;
  #bytes = 0;

  private constructor(log: SegmentedLog, index: Map<string, Entry>) {
    this.#log = log;
    this.#index = index;
    for (const { row } of index.values()) this.#bytes += row.bytes;
  }

  static async open(directory: string, onProblem: (problem: LogProblem) => void): Promise<ParkedEvents> {
    const index = new Map<string, Entry>();
    const log = await SegmentedLog.open(
      { directory, lingerMs: 0 },
      (record, position) => {
        const { row } = decode(record);
        if ('removed' in row) for (const id of row.removed) index.delete(id);
        else index.set(row.id, { row, position });
      },
      onProblem,
    );
    return new ParkedEvents(log, index);
  }

  /** Keeps events; one that is here already (it was fired again after a crash) is not kept twice. Durable when resolved. */
  async add(parked: readonly ParkedEvent[]): Promise<void> {
    for (const { event, reason, batchId } of parked) {
      if (this.#index.has(event.id)) continue;
      const { id, registration, topic, qos, retain, keyed, body } = event;
      const row: ParkedRow = {
        id,
        registration,
        topic,
        qos,
        retain,
        keyed,
        reason,
        ...(batchId && { batchId }),
        bytes: body.length,
      };
      this.#index.set(id, { row, position: this.#log.append(encodeRow(row), body) });
      this.#bytes += body.length;
    }
    await this.#log.durable();
  }

  /** Takes events out; durable when resolved. */
  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      this.#bytes -= this.#index.get(id)?.row.bytes ?? 0;
      this.#index.delete(id);
    }
    if (ids.length > 0) this.#log.append(encodeRow({ removed: ids }));
    await this.#log.durable();
    if (this.#log.bytes > 2 * this.#bytes + SLACK_BYTES) await this.#rewrite();
  }

  get count(): number {
    return this.#index.size;
  }

  /** Bytes of the bodies. */
  get bytes(): number {
    return this.#bytes;
  }

  row(id: string): ParkedRow | undefined {
    return this.#index.get(id)?.row;
  }

  /** Oldest first. */
  list({
    registration,
    code,
    skip = 0,
    limit = Infinity,
  }: ParkedFilter & { skip?: number; limit?: number } = {}): ParkedRow[] {
    const rows: ParkedRow[] = [];
    let skipped = 0;
    for (const { row } of this.#index.values()) {
      if (rows.length >= limit) break;
      if (registration !== undefined && row.registration !== registration) continue;
      if (code !== undefined && row.reason.code !== code) continue;
      if (skipped++ >= skip) rows.push(row);
    }
    return rows;
  }

  /** A parked event with its raw bytes. */
  async get(id: string): Promise<{ row: ParkedRow; body: Buffer } | undefined> {
    const entry = this.#index.get(id);
    return entry && { row: entry.row, body: decode(await this.#log.read(entry.position)).body };
  }

  async close(): Promise<void> {
    await this.#log.close();
  }

  /** Copies what is still parked to new segments and removes the old ones. */
  async #rewrite(): Promise<void> {
    const old = this.#log.segmentNumbers;
    this.#log.startSegment();
    for (const [id, entry] of [...this.#index]) {
      const record = await this.#log.read(entry.position);
      if (this.#index.has(id)) entry.position = this.#log.append(record);
    }
    await this.#log.durable();
    for (const segment of old) await this.#log.removeSegment(segment);
  }
}

type Row = ParkedRow | { readonly removed: readonly string[] };

function encodeRow(row: Row): Buffer {
  const json = Buffer.from(JSON.stringify(row));
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(json.length);
  return Buffer.concat([length, json]);
}

function decode(record: Buffer): { row: Row; body: Buffer } {
  const end = 4 + record.readUInt32LE(0);
  return { row: JSON.parse(record.toString('utf8', 4, end)) as Row, body: record.subarray(end) };
}
