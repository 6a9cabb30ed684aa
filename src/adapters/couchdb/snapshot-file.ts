import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Snapshot, Snapshots } from '../../ports/documents.ts';
import { writeFileAtomically } from '../../storage/atomic-file.ts';

const FORMAT = 1;

const snapshotSchema = z.object({
  format: z.literal(FORMAT),
  identity: z.string(),
  since: z.string(),
  documents: z.array(z.looseObject({ _id: z.string(), _rev: z.string() })),
  orphans: z.array(z.string()),
});

/** A snapshot in a file of its own, replaced atomically. */
export class SnapshotFile implements Snapshots {
  readonly #file: string;
  readonly #log: Logger;

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
  }

  async load(): Promise<Snapshot | undefined> {
    try {
      return snapshotSchema.parse(JSON.parse(await readFile(this.#file, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      // Everything in it comes from the center: read there anew it is whole again.
      const { code, name } = error as NodeJS.ErrnoException;
      this.#log.warn({ file: this.#file, reason: code ?? name }, 'the snapshot is unusable; the center is read anew');
      return undefined;
    }
  }

  async save(snapshot: Snapshot): Promise<void> {
    await writeFileAtomically(this.#file, JSON.stringify({ format: FORMAT, ...snapshot }));
  }
}
