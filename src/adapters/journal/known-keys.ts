import { createHash } from 'node:crypto';

/** How many keys of settled events are remembered; far more than any alarm or action repeats itself by. */
const MAX_RETIRED = 50_000;

/** The keys of events that are no messages: those in the journal, and the last ones of those that are gone from it. */
export class KnownKeys {
  readonly #known: Set<string>;
  /** Digests whose events are gone from the journal, oldest first. */
  readonly #retired: Set<string>;

  constructor(retired: readonly string[]) {
    this.#known = new Set(retired);
    this.#retired = new Set(retired);
  }

  static digest(key: string): string {
    return createHash('sha256').update(key).digest('base64url').slice(0, 22);
  }

  /** Whether it is new. */
  add(digest: string): boolean {
    if (this.#known.has(digest)) return false;
    this.#known.add(digest);
    return true;
  }

  /** Its event leaves the journal. */
  retire(digest: string): void {
    this.#retired.add(digest);
    for (const oldest of this.#retired) {
      if (this.#retired.size <= MAX_RETIRED) break;
      this.#retired.delete(oldest);
      this.#known.delete(oldest);
    }
  }

  get retired(): string[] {
    return [...this.#retired];
  }
}
