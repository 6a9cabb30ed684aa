import type { FileHandle } from 'node:fs/promises';

/** Files by number, each opened when it is first asked for, and once however many ask. */
export class OpenFiles {
  readonly #open: (number: number) => Promise<FileHandle>;
  readonly #files = new Map<number, Promise<FileHandle>>();

  constructor(open: (number: number) => Promise<FileHandle>) {
    this.#open = open;
  }

  /** @throws what opening it throws; the next who asks tries again */
  get(number: number): Promise<FileHandle> {
    const known = this.#files.get(number);
    if (known) return known;
    const file = this.#open(number);
    this.#files.set(number, file);
    file.catch(() => {
      if (this.#files.get(number) === file) this.#files.delete(number);
    });
    return file;
  }

  /** Closes a file, if it is open; who asks for it from here on opens it anew. */
  async close(number: number): Promise<void> {
    const file = this.#files.get(number);
    this.#files.delete(number);
    await (await file?.catch(() => undefined))?.close();
  }

  async closeAll(): Promise<void> {
    for (const number of [...this.#files.keys()]) await this.close(number);
  }
}
