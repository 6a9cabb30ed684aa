import type { Sink } from './sink.ts';
import type { Table } from './table.ts';

/** How a run was asked for. */
export interface Plan {
  /** One repetition of small sizes: shows that everything works, not how fast it is. */
  readonly quick: boolean;
  /** With the row that takes an hour. */
  readonly long: boolean;
  readonly repetitions: number;
  /** Folder for CPU profiles of the provider. */
  readonly profileTo: string | undefined;
  readonly sink: Sink;
}

/** One row of the benchmark: measures its subjects in turn, repetition after repetition, and notes what it found. */
export type Row = (plan: Plan, table: Table) => Promise<void>;

/** Says on standard error what is under way. */
export function progress(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}
