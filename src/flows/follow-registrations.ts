import type { Registration } from '../core/registration.ts';
import {
  type DocumentReader,
  type ReadDocument,
  readDocument,
  withoutPlainSecrets,
} from '../core/registration-document.ts';
import type { StoredDocument } from '../ports/documents.ts';
import { FollowDatabase, type FollowDatabaseParts, type FollowState } from './follow-database.ts';

/** The registrations of a site: those of its ConfigMap, and those of the center that are meant for it. */

export interface Registrations {
  readonly registrations: readonly Registration[];
  /** Documents that are not followed, and why. */
  readonly problems: ReadonlyArray<{ readonly document: string; readonly problems: readonly string[] }>;
}

export interface FollowRegistrationsParts extends Omit<FollowDatabaseParts, 'onChange' | 'keep'> {
  readonly configured: readonly Registration[];
  readonly reader: DocumentReader;
  /** Told all registrations whenever something changed; first from the ConfigMap and the snapshot, before `start` resolves. */
  readonly onChange: (registrations: Registrations) => void;
}

export class FollowRegistrations {
  readonly #parts: FollowRegistrationsParts;
  readonly #database: FollowDatabase;
  readonly #read = new WeakMap<StoredDocument, ReadDocument>();

  constructor(parts: FollowRegistrationsParts) {
    this.#parts = parts;
    this.#database = new FollowDatabase({
      ...parts,
      // The predecessor's documents hold plain secrets: not on this site's disk.
      keep: (document) => withoutPlainSecrets(document, parts.reader.secrets.seal),
      onChange: (documents) => parts.onChange(this.#registrations(documents)),
    });
  }

  start(): Promise<void> {
    return this.#database.start();
  }

  stop(): Promise<void> {
    return this.#database.stop();
  }

  get state(): FollowState {
    return this.#database.state;
  }

  /** @see FollowDatabase.connectedSince */
  get connectedSince(): number | undefined {
    return this.#database.connectedSince;
  }

  #registrations(documents: ReadonlyMap<string, StoredDocument>): Registrations {
    const { configured } = this.#parts;
    const registrations = [...configured];
    const names = new Set(configured.map(({ name }) => name));
    const problems: Array<{ document: string; problems: readonly string[] }> = [];
    for (const [id, document] of documents) {
      const meaning = this.#meaning(document);
      if (meaning.kind === 'bad') problems.push({ document: id, problems: meaning.problems });
      if (meaning.kind !== 'registration') continue;
      if (names.has(id)) {
        problems.push({
          document: id,
          problems: ["this site's ConfigMap has a registration of this name, which wins"],
        });
        continue;
      }
      registrations.push(meaning.registration);
    }
    return { registrations, problems };
  }

  /** Read once for each revision. */
  #meaning(document: StoredDocument): ReadDocument {
    let meaning = this.#read.get(document);
    if (!meaning) {
      meaning = readDocument(document, this.#parts.reader);
      this.#read.set(document, meaning);
    }
    return meaning;
  }
}
