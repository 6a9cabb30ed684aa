import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { AlarmProgress, ProgressStore } from '../../ports/alarm-progress.ts';
import { writeFileAtomically } from '../../storage/atomic-file.ts';

const FORMAT = 1;

const progressSchema = z.object({
  format: z.literal(FORMAT),
  alarms: z.record(
    z.string(),
    z.object({
      schedule: z.string(),
      upTo: z.number(),
      rung: z.number(),
      ended: z
        .object({ message: z.string(), remove: z.enum(['nothing', 'trigger', 'triggerAndRules']), told: z.boolean() })
        .exactOptional(),
    }),
  ),
  inDoubt: z.array(z.object({ alarm: z.string(), instant: z.number(), scope: z.enum(['site', 'all']) })),
});

/** The progress of a site's alarms in a file of its own, replaced atomically. */
export class ProgressFile implements ProgressStore {
  readonly #file: string;
  readonly #log: Logger;

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
  }

  async load(): Promise<AlarmProgress | undefined> {
    try {
      return progressSchema.parse(JSON.parse(await readFile(this.#file, 'utf8')));
    } catch (error) {
      const { code, name } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      this.#log.error(
        { file: this.#file, reason: code ?? name },
        'how far the alarms had come is unreadable: they go on from now, and what was missed before is not known',
      );
      return undefined;
    }
  }

  async save(progress: AlarmProgress): Promise<void> {
    await writeFileAtomically(this.#file, JSON.stringify({ format: FORMAT, ...progress }));
  }
}
