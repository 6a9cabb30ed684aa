import type { Readable } from 'node:stream';
import type { CheckedContent } from './checked-content.ts';

/** Where working directories are kept as archives. What each store promises is one suite: `test/actions/workdir/store-contract.ts`. */
export interface WorkdirStore {
  /** The store's address as people may see it. */
  readonly name: string;

  /**
   * Publishes content under a key, in place of what was there. It is seen whole or not at all, also after a crash and
   * by those who read while it is replaced.
   * @throws ActionError `ARCHIVE_ALTERED` if the content is not what `facts` say, and publishes nothing
   */
  put(key: string, content: Readable, facts: ContentFacts): Promise<void>;

  /**
   * The content is checked while it is read: its end fails with `ARCHIVE_ALTERED` if it is not what was published.
   * Once this has resolved, the content can be read to its end even if it is removed meanwhile.
   * @throws ActionError `NoSuchKey`
   */
  get(key: string): Promise<Stored>;

  exists(key: string): Promise<boolean>;

  /** The lakes that anything is published of. @throws ActionError `STORE_INVALID` where the store can't tell */
  lakes(): Promise<string[]>;

  /** Everything published under the keys that begin so, in order of the keys. @param prefix begins with `LAKE/` */
  list(prefix: string): Promise<Entry[]>;

  /** Removes what is published under a key, if anything is. */
  remove(key: string): Promise<void>;

  /** What puts that never ended have left behind in the store, and were last touched before an instant (epoch ms). */
  remains(before: number): Promise<Remain[]>;
}

export interface ContentFacts {
  /** Bytes. */
  readonly size: number;
  /** In hexadecimal. */
  readonly sha256: string;
}

export interface Stored {
  readonly content: CheckedContent;
  /** Bytes. */
  readonly size: number;
}

export interface Entry {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** When it was published, in epoch ms, by the store's clock. */
  readonly publishedAt: number;
}

export interface Remain {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  remove(): Promise<void>;
}

/** How to log in; read from the files and variables that the parameters name. */
export interface StoreSecrets {
  /** Path of a private key, for `git+ssh:`. */
  readonly sshKeyFile?: string;
  /** Path of the known_hosts that the server's key is checked against, for `git+ssh:`. */
  readonly knownHostsFile?: string;
  readonly s3AccessKeyId?: string;
  readonly s3SecretAccessKey?: string;
}
