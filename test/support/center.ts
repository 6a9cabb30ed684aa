import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { CouchdbDocuments } from '../../src/adapters/couchdb/documents.ts';
import { type Couchdb, startCouchdb } from '../../src/embedded/couchdb/server.ts';
import { freePort } from './free-port.ts';
import { temporaryFolder } from './temporary.ts';

export const CENTER_LOGIN = { username: 'admin', password: 'pass' };

/** A CouchDB on a port that stays the same while it is stopped, started again and wiped. */
export class Center {
  readonly port: number;
  folder: string;
  #running: Couchdb | undefined;

  private constructor(port: number, folder: string) {
    this.port = port;
    this.folder = folder;
  }

  static async start(): Promise<Center> {
    const center = new Center(await freePort(), await temporaryFolder());
    onTestFinished(() => center.stop());
    await center.startAgain();
    return center;
  }

  async stop(): Promise<void> {
    await this.#running?.close();
    this.#running = undefined;
  }

  async startAgain(): Promise<void> {
    const log = pino({ level: 'silent' });
    const { port, folder } = this;
    this.#running = await startCouchdb({ port, dataDir: folder, ...CENTER_LOGIN, log, setting: 'embeddedCouchdbPort' });
  }

  /** Starts it again with nothing in it. */
  async wipe(): Promise<void> {
    await this.stop();
    this.folder = await temporaryFolder();
    await this.startAgain();
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  documents(name: string, designs: ReadonlyArray<{ _id: string }> = [], url = this.url): CouchdbDocuments {
    const documents = new CouchdbDocuments({ url, ...CENTER_LOGIN }, name, designs);
    onTestFinished(() => documents.close());
    return documents;
  }

  /** A request by hand. */
  async request(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${CENTER_LOGIN.username}:${CENTER_LOGIN.password}`).toString('base64')}`,
        'content-type': 'application/json',
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  /** Stores a document of any kind, over an older version too. */
  async put(database: string, document: { _id: string; [field: string]: unknown }): Promise<void> {
    const path = `/${database}/${encodeURIComponent(document._id)}`;
    const { body: current } = await this.request('GET', path);
    const { status, body } = await this.request('PUT', path, {
      ...document,
      ...(typeof current._rev === 'string' && { _rev: current._rev }),
    });
    if (status !== 201) throw new Error(`HTTP ${status}: ${JSON.stringify(body)}`);
  }

  async delete(database: string, id: string): Promise<void> {
    await this.put(database, { _id: id, _deleted: true });
  }
}

/** Collects what is told, and waits for one that is as wanted. */
export class Told<T> {
  readonly all: T[] = [];
  #waiting: Array<() => void> = [];

  readonly tell = (value: T): void => {
    this.all.push(value);
    for (const wake of this.#waiting.splice(0)) wake();
  };

  get last(): T | undefined {
    return this.all.at(-1);
  }

  async until(wanted: (value: T) => boolean, timeoutMs = 20_000): Promise<T> {
    const end = Date.now() + timeoutMs;
    while (this.last === undefined || !wanted(this.last)) {
      await new Promise<void>((resolve, reject) => {
        const left = end - Date.now();
        const timer = setTimeout(
          () => reject(new Error(`not within ${timeoutMs} ms: ${JSON.stringify(this.last)}`)),
          left,
        );
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.last;
  }
}
