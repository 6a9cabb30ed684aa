import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { OpenFiles } from '../../storage/open-files.ts';
import { segmentName } from '../../storage/segment-file.ts';
import type { SegmentFates } from './segment-fates.ts';

export interface FatesFilesOptions {
  readonly folder: string;
  readonly log: Logger;
  /** Called when all that was waiting for a segment's file is written, or could not be. */
  readonly onWritten: (segment: number) => Promise<void>;
}

/** The files of what became of events, one beside each segment. What comes during a write goes together with the next. */
export class FatesFiles {
  readonly #options: FatesFilesOptions;
  readonly #files: OpenFiles;
  readonly #waiting = new Map<number, { fates: SegmentFates; records: Buffer[] }>();
  #appending: Promise<void> = Promise.resolve();
  #written: Promise<void> | undefined;

  constructor(options: FatesFilesOptions) {
    this.#options = options;
    this.#files = new OpenFiles((segment) => open(fatesFile(options.folder, segment), 'a', 0o600));
  }

  /** Adds a record to a segment's file, soon. */
  write(segment: number, fates: SegmentFates, record: Buffer): void {
    fates.unwritten += 1;
    const waiting = this.#waiting.get(segment);
    if (waiting) waiting.records.push(record);
    else this.#waiting.set(segment, { fates, records: [record] });
    this.#written ??= this.#writeAll();
  }

  /** Makes durable what a segment's file has. */
  async sync(segment: number): Promise<void> {
    await (await this.#files.get(segment)).datasync();
  }

  /** Lets go of a segment's file, which is to be removed: what waits for it is not written any more. */
  async release(segment: number): Promise<void> {
    this.#waiting.delete(segment);
    await this.#appending;
    await this.#files.close(segment);
  }

  /** Resolves when nothing waits to be written. */
  async flushed(): Promise<void> {
    while (this.#written) await this.#written;
  }

  close(): Promise<void> {
    return this.#files.closeAll();
  }

  async #writeAll(): Promise<void> {
    for (;;) {
      const [next] = this.#waiting;
      if (!next) break;
      const [segment, { fates, records }] = next;
      this.#waiting.delete(segment);
      this.#appending = this.#append(segment, Buffer.concat(records)).then(
        () => {
          fates.unwritten -= records.length;
        },
        (error: Error) => {
          // Not written means fired again after a restart: harmless, but said.
          this.#options.log.warn({ reason: error.message }, 'what was settled cannot be written down');
        },
      );
      await this.#appending;
      await this.#options.onWritten(segment);
    }
    this.#written = undefined; // at once: what comes from here on is written by another round
  }

  async #append(segment: number, records: Buffer): Promise<void> {
    const file = await this.#files.get(segment);
    const { size } = await file.stat();
    try {
      await file.appendFile(records);
    } catch (error) {
      // Later records would be out of reach behind half a one.
      await file.truncate(size);
      throw error;
    }
  }
}

export function fatesFile(folder: string, segment: number): string {
  return join(folder, segmentName(segment).replace('.log', '.fates'));
}
