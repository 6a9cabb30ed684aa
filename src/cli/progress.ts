import type { Writable } from 'node:stream';

const BAR_CHARACTERS = 30;

/** Shows how far something is: a bar on a terminal, a line for each further tenth elsewhere. */
export class Progress {
  readonly #out: Writable & { readonly isTTY?: boolean };
  #tenth = -1;

  constructor(out: Writable & { readonly isTTY?: boolean }) {
    this.#out = out;
  }

  /** @param note what is said beside it */
  show(done: number, total: number, note: string): void {
    const part = total === 0 ? 1 : done / total;
    const percent = `${Math.floor(part * 100)} %`;
    if (this.#out.isTTY) {
      const full = Math.round(part * BAR_CHARACTERS);
      const bar = '#'.repeat(full) + ' '.repeat(BAR_CHARACTERS - full);
      this.#out.write(`\r\x1b[K[${bar}] ${percent.padStart(5)}  ${note}`);
      return;
    }
    const tenth = Math.floor(part * 10);
    if (tenth === this.#tenth) return;
    this.#tenth = tenth;
    this.#out.write(`${percent}  ${note}\n`);
  }

  /** Leaves the bar's line. */
  end(): void {
    if (this.#out.isTTY) this.#out.write('\n');
  }
}
