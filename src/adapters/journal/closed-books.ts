import { readFile } from 'node:fs/promises';
import { FogwhiskError } from '../../core/errors.ts';
import { type Books, emptyBooks } from '../../core/event.ts';
import { writeFileAtomically } from '../../storage/atomic-file.ts';

const VERSION = 1;

/** What is true of the journal as a whole, whichever segments there are. */
export interface JournalState {
  readonly nextSequence: number;
  /** ns since the epoch. */
  readonly lastReceivedAt: bigint;
  /** Digests of the keys of events that are gone, the newest last. */
  readonly keys: readonly string[];
}

interface Content {
  readonly version: number;
  readonly nextSequence: number;
  readonly lastReceivedAt: string;
  readonly removing: number | null;
  readonly books: Record<string, Books>;
  readonly keys?: readonly string[];
}

const NOTHING_CLOSED: Content = { version: VERSION, nextSequence: 1, lastReceivedAt: '0', removing: null, books: {} };

/** The books of segments that are gone, in a file. */
export class ClosedBooks {
  /** As it was when the file was written last. */
  readonly state: JournalState;
  /** A segment that these books include already, though its files may still be there. */
  removing: number | null;
  readonly #file: string;
  readonly #books: Map<string, Books>;
  #written: Promise<void> = Promise.resolve();

  private constructor(file: string, { removing, books, nextSequence, lastReceivedAt, keys = [] }: Content) {
    this.#file = file;
    this.removing = removing;
    this.#books = new Map(Object.entries(books));
    this.state = { nextSequence, lastReceivedAt: BigInt(lastReceivedAt), keys };
  }

  /** Reads the file; one that is not there is of a new journal. @throws FogwhiskError if a later version wrote it */
  static async read(file: string): Promise<ClosedBooks> {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    if (text === undefined) return new ClosedBooks(file, NOTHING_CLOSED);
    const content = JSON.parse(text) as Content;
    if (content.version > VERSION)
      throw new FogwhiskError('LOG_VERSION_UNKNOWN', { file, version: content.version, known: VERSION });
    return new ClosedBooks(file, content);
  }

  get all(): ReadonlyMap<string, Readonly<Books>> {
    return this.#books;
  }

  /** A registration's, to be changed. */
  of(registration: string): Books {
    return booksOf(this.#books, registration);
  }

  /** Writes the file: one write at a time, and each what holds when its turn comes. */
  write(state: () => JournalState): Promise<void> {
    const written = this.#written.then(() => {
      const { nextSequence, lastReceivedAt, keys } = state();
      const content: Content = {
        version: VERSION,
        nextSequence,
        lastReceivedAt: lastReceivedAt.toString(),
        removing: this.removing,
        books: Object.fromEntries(this.#books),
        keys,
      };
      return writeFileAtomically(this.#file, JSON.stringify(content));
    });
    this.#written = written.catch(() => undefined);
    return written;
  }
}

/** A registration's books among others; empty ones if it had none. */
export function booksOf(all: Map<string, Books>, registration: string): Books {
  let books = all.get(registration);
  if (!books) {
    books = emptyBooks();
    all.set(registration, books);
  }
  return books;
}
