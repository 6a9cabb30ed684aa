import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { type Couchdb, startCouchdb } from '../../../src/embedded/couchdb/server.ts';
import { type Openwhisk, type OpenwhiskOptions, startOpenwhisk } from '../../../src/embedded/openwhisk/server.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const log = pino({ level: 'silent' });
const couchdbLogin = { username: 'admin', password: 'secret' };

export const authKey =
  '6b1c8dd4-3f66-4f7e-a3f5-b5c2a1b3c4d5:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab';
export const otherKey =
  '7b1c8dd4-3f66-4f7e-a3f5-b5c2a1b3c4d5:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
  readonly json: any;
}

export interface CallOptions {
  readonly key?: string | undefined;
  readonly headers?: Record<string, string>;
  /** A body that is not printed as JSON. */
  readonly raw?: string | Buffer;
}

/** Requests to one OpenWhisk; paths are relative to `/api/v1/namespaces/_/` unless they begin with a slash. */
export class Client {
  readonly url: string;
  readonly #key: string;

  constructor(url: string, key: string) {
    this.url = url;
    this.#key = key;
  }

  async call(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<Answer> {
    const key = 'key' in options ? options.key : this.#key;
    const data = options.raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const response = await fetch(path.startsWith('/') ? this.url + path : `${this.url}/api/v1/namespaces/_/${path}`, {
      method,
      headers: {
        ...(key === undefined ? {} : { authorization: `Basic ${Buffer.from(key).toString('base64')}` }),
        ...(data === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      redirect: 'manual',
      ...(data === undefined ? {} : { body: data }),
    });
    const text = await response.text();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: response.status, headers: response.headers, text, json };
  }

  get(path: string, options?: CallOptions): Promise<Answer> {
    return this.call('GET', path, undefined, options);
  }

  put(path: string, body: unknown, options?: CallOptions): Promise<Answer> {
    return this.call('PUT', path, body, options);
  }

  post(path: string, body?: unknown, options?: CallOptions): Promise<Answer> {
    return this.call('POST', path, body, options);
  }

  delete(path: string, options?: CallOptions): Promise<Answer> {
    return this.call('DELETE', path, undefined, options);
  }

  /** Creates or replaces an action. */
  action(name: string, code: string, more: Record<string, unknown> = {}): Promise<Answer> {
    return this.put(`actions/${name}?overwrite=true`, { exec: { kind: 'nodejs:default', code }, ...more });
  }

  /** Runs an action and waits for its result. */
  result(name: string, args: unknown = {}): Promise<Answer> {
    return this.post(`actions/${name}?blocking=true&result=true`, args);
  }

  /** Runs an action and reads its record. */
  async record(name: string, args: unknown = {}): Promise<Answer['json']> {
    const { json } = await this.post(`actions/${name}?blocking=true`, args);
    return (await this.get(`activations/${json.activationId}`)).json;
  }
}

/** A CouchDB in a folder; stopped when the test or suite ends unless it is closed before. */
export async function couchdbIn(folder: string, port = 0): Promise<Couchdb> {
  return startCouchdb({ port, dataDir: folder, ...couchdbLogin, log, setting: 'embeddedCouchdbPort' });
}

export async function openwhiskOn(
  couchdbUrl: string,
  folder: string,
  more: Partial<OpenwhiskOptions> = {},
): Promise<Openwhisk> {
  return startOpenwhisk({
    port: 0,
    dataDir: folder,
    couchdb: { url: couchdbUrl, ...couchdbLogin },
    authKey,
    namespaces: { other: otherKey },
    log,
    setting: 'embeddedOpenwhiskPort',
    ...more,
  });
}

export interface Host {
  readonly client: Client;
  readonly openwhisk: Openwhisk;
  readonly couchdb: Couchdb;
  readonly folder: string;
  close(): Promise<void>;
}

/** An OpenWhisk with a CouchDB of its own, in a folder. */
export async function startHost(folder: string, more: Partial<OpenwhiskOptions> = {}): Promise<Host> {
  const couchdb = await couchdbIn(join(folder, 'couchdb'));
  const openwhisk = await openwhiskOn(couchdb.url, join(folder, 'openwhisk'), more);
  // A host does not wait for a CouchDB that takes long.
  const authorization = `Basic ${Buffer.from(`${couchdbLogin.username}:${couchdbLogin.password}`).toString('base64')}`;
  while (!(await fetch(`${couchdb.url}/whisks`, { headers: { authorization } })).ok) await sleep(20);
  return {
    client: new Client(openwhisk.url, authKey),
    openwhisk,
    couchdb,
    folder,
    async close() {
      await openwhisk.close();
      await couchdb.close();
    },
  };
}

/** {@link startHost} for one test. */
export async function hostForTest(more: Partial<OpenwhiskOptions> = {}): Promise<Host> {
  const host = await startHost(await temporaryFolder(), more);
  onTestFinished(() => host.close());
  return host;
}
