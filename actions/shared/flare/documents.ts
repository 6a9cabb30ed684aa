import { setTimeout as sleep } from 'node:timers/promises';
import { causeOf, parseUrl } from '../http.ts';
import { isRecord, type Params } from '../payload.ts';
import { ActionError, shorten } from '../result.ts';

/**
 * Small JSON documents in CouchDB that several activations change at the same moment: each change is made on a revision,
 * and one that comes second reads again and is made anew.
 */

const DATABASE = 'flare';
const TIMEOUT_MS = 10_000;
/** How long a change is tried against others'. Of n that come at once, the last one is tried n times. */
const CONTENTION_MS = 25_000;

export interface Document {
  readonly _id: string;
  readonly _rev?: string;
}

export class Documents {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor({ url, username, password }: { url: string; username: string; password: string }) {
    this.#url = `${parseUrl(url, 'url of the state_couchdb', 'PARAMETER_INVALID').href.replace(/\/$/, '')}/${DATABASE}`;
    const login = Buffer.from(`${username}:${password}`).toString('base64');
    this.#headers = { authorization: `Basic ${login}`, 'content-type': 'application/json' };
  }

  /** @throws ActionError `STATE_UNREACHABLE` or `STATE_FAILED`, as every method */
  async get<T extends Document>(id: string): Promise<T | undefined> {
    const response = await this.#ask('GET', `/${encodeURIComponent(id)}`);
    if (response.status === 404) return void (await response.body?.cancel());
    return (await this.#read(response, 200)) as T;
  }

  /** The documents whose ids begin with `prefix`, in the order of their ids. */
  async list<T extends Document>(prefix: string): Promise<T[]> {
    const range = `startkey=${encodeURIComponent(JSON.stringify(prefix))}&endkey=${encodeURIComponent(JSON.stringify(`${prefix}\ufff0`))}`;
    const response = await this.#ask('GET', `/_all_docs?include_docs=true&${range}`);
    if (response.status === 404) {
      await response.body?.cancel();
      return [];
    }
    const { rows } = (await this.#read(response, 200)) as { rows: Array<{ doc: T }> };
    return rows.map(({ doc }) => doc);
  }

  /**
   * Writes a document on the revision that it names.
   * @returns the new revision, or undefined if another change came first
   */
  async put(document: Document): Promise<string | undefined> {
    const write = () => this.#ask('PUT', `/${encodeURIComponent(document._id)}`, document);
    let response = await write();
    if (response.status === 404) {
      await response.body?.cancel();
      await this.#createDatabase();
      response = await write();
    }
    if (response.status === 409) return void (await response.body?.cancel());
    const isCertain = response.status === 201;
    const { rev } = (await this.#read(response, 201, 202)) as { rev: string };
    // A cluster may answer 202 to both of two writers: only what reads back has won.
    if (isCertain || (await this.get(document._id))?._rev === rev) return rev;
    return undefined;
  }

  /**
   * Changes a document: reads it, asks `change` for what it shall be, and writes that; again for as long as others come first.
   * @param change gets what is there; undefined as its answer leaves it so
   * @returns what is there then
   */
  async update<T extends Document>(
    id: string,
    change: (there: T | undefined) => T | undefined,
  ): Promise<T | undefined> {
    for (const end = performance.now() + CONTENTION_MS; performance.now() < end; ) {
      const there = await this.get<T>(id);
      const wanted = change(there);
      if (!wanted) return there;
      const revision = await this.put({ ...wanted, _id: id, ...(there?._rev && { _rev: there._rev }) });
      if (revision) return { ...wanted, _id: id, _rev: revision };
      await sleep(Math.random() * 50);
    }
    throw new ActionError(
      'STATE_FAILED',
      `the state ${id} was changed by others again and again; nothing was changed.`,
    );
  }

  async #createDatabase(): Promise<void> {
    const response = await this.#ask('PUT', '');
    // 412: another one was first
    await this.#read(response, 201, 202, 412);
  }

  async #ask(method: 'GET' | 'PUT', path: string, document?: unknown): Promise<Response> {
    try {
      return await fetch(this.#url + path, {
        method,
        headers: this.#headers,
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(document !== undefined && { body: JSON.stringify(document) }),
      });
    } catch (error) {
      throw new ActionError('STATE_UNREACHABLE', `CouchDB at ${this.#url} can't be reached (${causeOf(error)}).`, {
        url: this.#url,
      });
    }
  }

  async #read(response: Response, ...wanted: number[]): Promise<unknown> {
    const text = await response.text();
    if (wanted.includes(response.status)) return JSON.parse(text);
    throw new ActionError('STATE_FAILED', `CouchDB at ${this.#url} answered ${response.status}: ${shorten(text)}`, {
      url: this.#url,
      status: response.status,
    });
  }
}

/**
 * Where a lake's state is: `state_couchdb` {url, username, password} of the site, so that the lake's workflow runs while the
 * center is away; for a lake that several sites share (`shared: true`), `state_couchdb_central`.
 * @throws ActionError `PARAMETER_MISSING` or `PARAMETER_INVALID`
 */
export function stateOf(parameters: Params): Documents {
  const name = parameters.shared === true ? 'state_couchdb_central' : 'state_couchdb';
  const given = parameters[name];
  if (given === undefined)
    throw new ActionError('PARAMETER_MISSING', `${name} not given: the site's parameters name none.`);
  const { url, username, password } = isRecord(given) ? given : {};
  if (typeof url !== 'string' || typeof username !== 'string' || typeof password !== 'string') {
    throw new ActionError('PARAMETER_INVALID', `${name} must be {url, username, password}, all strings.`);
  }
  return new Documents({ url, username, password });
}
