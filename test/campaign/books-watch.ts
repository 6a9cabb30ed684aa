import { setTimeout as sleep } from 'node:timers/promises';
import type { SiteStatus } from '../../src/http/site-status.ts';

const INTERVAL_MS = 200;
const MAX_PROBLEMS = 20;

type Books = SiteStatus['books'];

/** The books of the readings alone: the clean-up's alarm may ring as well, when a clock that is stepped passes its hour. */
export function booksOfReadings({ registrations }: SiteStatus): Pick<Books, 'received' | 'pending'> {
  const ofReadings = registrations.filter(({ name }) => name.startsWith('readings/')).map(({ books }) => books);
  return {
    received: ofReadings.reduce((sum, { received }) => sum + received, 0),
    pending: ofReadings.reduce((sum, { pending }) => sum + pending, 0),
  };
}

/** Asks the provider for its books again and again: they must add up at every moment. */
export class BooksWatch {
  readonly problems: string[] = [];
  /** How often the books were read. */
  readings = 0;
  last: SiteStatus | undefined;
  readonly #status: () => Promise<SiteStatus | undefined>;
  #stopped = false;
  #listeners: Array<(status: SiteStatus | undefined) => void> = [];

  constructor(status: () => Promise<SiteStatus | undefined>) {
    this.#status = status;
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Milliseconds until events are confirmed again, or none is left; undefined if not within `timeoutMs`. */
  async progress(timeoutMs: number): Promise<number | undefined> {
    const from = performance.now();
    let before: number | undefined;
    return this.#until(timeoutMs, (status) => {
      if (!status) {
        before = undefined;
        return false;
      }
      const settled = status.books.received - status.books.pending;
      const isProgress = status.broker === 'connected' && (status.books.pending === 0 || settled > (before ?? settled));
      before = settled;
      return isProgress;
    }).then((isBack) => (isBack ? performance.now() - from : undefined));
  }

  /** Whether nothing is pending, and nothing more arrives for some seconds. */
  async settled(timeoutMs: number, quietMs = 5_000): Promise<boolean> {
    let quietSince = performance.now();
    let received = -1;
    return this.#until(timeoutMs, (status) => {
      const books = status?.broker === 'connected' ? booksOfReadings(status) : undefined;
      if (!books || books.pending > 0 || books.received !== received) quietSince = performance.now();
      received = books?.received ?? -1;
      return performance.now() - quietSince >= quietMs;
    });
  }

  #until(timeoutMs: number, condition: (status: SiteStatus | undefined) => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (isMet: boolean) => {
        clearTimeout(timer);
        this.#listeners = this.#listeners.filter((each) => each !== check);
        resolve(isMet);
      };
      const check = (status: SiteStatus | undefined) => {
        if (condition(status)) finish(true);
      };
      const timer = setTimeout(() => finish(false), timeoutMs);
      this.#listeners.push(check);
    });
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const status = await this.#status();
      if (status) this.#check(status);
      this.last = status ?? this.last;
      for (const listener of this.#listeners) listener(status);
      await sleep(INTERVAL_MS);
    }
  }

  #check({ books, registrations }: SiteStatus): void {
    this.readings += 1;
    this.#checkSum('in total', books);
    for (const { name, books } of registrations) this.#checkSum(name, books);
    const { expired, deduplicated } = books;
    if (expired + deduplicated > 0)
      this.#note(`${expired} expired, ${deduplicated} deduplicated: neither was asked for`);
  }

  #checkSum(name: string, books: Books): void {
    const { received, confirmed, pending, parked, expired, deduplicated } = books;
    if (received === confirmed + pending + parked + expired + deduplicated && Math.min(...Object.values(books)) >= 0)
      return;
    this.#note(`the books do not add up (${name}): ${JSON.stringify(books)}`);
  }

  #note(problem: string): void {
    if (this.problems.length < MAX_PROBLEMS) this.problems.push(problem);
  }
}
