/** What is due at some time, the next first. Ten thousand entries in order cost less than anything that is done with them. */
export class Agenda<T extends { due: number }> {
  /** The next one last. */
  #entries: T[] = [];

  /** When the next one is due; Infinity where there is none. */
  get nextDue(): number {
    return this.#entries.at(-1)?.due ?? Number.POSITIVE_INFINITY;
  }

  takeNext(): T | undefined {
    return this.#entries.pop();
  }

  add(entry: T): void {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle]!.due > entry.due) low = middle + 1;
      else high = middle;
    }
    this.#entries.splice(low, 0, entry);
  }

  replace(entries: readonly T[]): void {
    this.#entries = entries.toSorted((a, b) => b.due - a.due);
  }
}
