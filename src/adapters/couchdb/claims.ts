import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { AlarmClaim, Claims } from '../../ports/claims.ts';
import type { Clock } from '../../ports/clock.ts';
import { type HttpAnswer, HttpEndpoint } from '../http-endpoint.ts';
import type { CouchdbOptions } from './documents.ts';

const DATABASE = 'claims';
const CONNECTIONS = 8;
const ANSWER_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
/** How long a claimant that must give way has to do so. */
const SETTLE_MS = 500;
const MAX_ATTEMPTS = 5;
const FORGET_AT_ONCE = 500;

/** Who claims: a replica keeps its name over restarts. */
export interface Claimant {
  readonly site: string;
  readonly replica: string;
}

interface ClaimDocument {
  readonly _id: string;
  readonly _rev: string;
  readonly _deleted?: boolean;
  readonly site: string;
  readonly replica: string;
  readonly nonce: string;
}

/** The center does not answer as it should: whether a claim was made stays open. */
class CenterAway extends Error {}

/**
 * Claims as documents of CouchDB, one for each instant: who is answered 201 to its creation has won.
 *
 * A cluster may answer 202 to a creation that too few of its nodes took, of which another claimant's may prevail. Then all
 * leaves of the document are read. One who was answered 201 never gives way; of those answered 202 the first by site and
 * nonce stays and the others withdraw; and the first withdraws, too, if somebody else is still there after a while, since
 * that one was answered 201. Whoever withdraws and finds nobody left begins anew.
 */
export class CouchdbClaims implements Claims {
  readonly #endpoint: HttpEndpoint;
  readonly #self: Claimant;
  readonly #nonce = randomUUID();
  readonly #clock: Clock;
  readonly #log: Logger;
  #isAway = false;

  constructor(
    { url, username, password, secureContext }: CouchdbOptions,
    self: Claimant,
    { clock, log }: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#self = self;
    this.#clock = clock;
    this.#log = log;
    this.#endpoint = new HttpEndpoint({
      url,
      auth: `${username}:${password}`,
      secureContext,
      connections: CONNECTIONS,
      answerTimeoutMs: ANSWER_TIMEOUT_MS,
      maxAnswerBytes: MAX_ANSWER_BYTES,
    });
  }

  take(claim: AlarmClaim): Promise<'won' | 'lost' | 'centerAway'> {
    return this.#unlessAway(() => this.#take(claim));
  }

  isOurs(claim: AlarmClaim): Promise<boolean | 'centerAway'> {
    return this.#unlessAway(async () => {
      const id = this.#idOf(claim);
      const leaves = await this.#leaves(id);
      return leaves.some((leaf) => this.#isOurs(leaf)) && (await this.#settle(id, leaves)) === 'won';
    });
  }

  async forget(before: number): Promise<number> {
    const forgotten = await this.#unlessAway(async () => {
      const range = new URLSearchParams({
        startkey: '"0"',
        endkey: JSON.stringify(new Date(before).toISOString()),
        limit: String(FORGET_AT_ONCE),
      });
      const { status, body } = await this.#ask('GET', `/_all_docs?${range}`, [200, 404]);
      const rows = status === 404 ? [] : (body as { rows: Array<{ id: string; value: { rev: string } }> }).rows;
      if (rows.length === 0) return 0;
      const docs = rows.map(({ id, value }) => ({ _id: id, _rev: value.rev, _deleted: true }));
      await this.#ask('POST', '/_bulk_docs', [201, 202], { docs });
      return rows.length;
    });
    return forgotten === 'centerAway' ? 0 : forgotten;
  }

  close(): void {
    this.#endpoint.close();
  }

  async #take(claim: AlarmClaim): Promise<'won' | 'lost'> {
    const id = this.#idOf(claim);
    const content = { ...this.#self, nonce: this.#nonce };
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { status, body } = await this.#ask('PUT', `/${encodeURIComponent(id)}`, [201, 202, 404, 409], content);
      if (status === 201) return 'won';
      if (status === 404) {
        // 412: another site made it just now.
        await this.#ask('PUT', '', [201, 202, 412]);
        continue;
      }
      const created = status === 202 ? { _id: id, _rev: (body as { rev: string }).rev, ...content } : undefined;
      const verdict = await this.#settle(id, await this.#leaves(id), created);
      if (verdict !== 'free') return verdict;
      await this.#clock.sleep(SETTLE_MS * this.#clock.random());
    }
    throw new CenterAway('nobody prevails');
  }

  /** @param created what we were answered 202 to just now: neither it nor those of others need to be seen yet */
  async #settle(
    id: string,
    leaves: readonly ClaimDocument[],
    created?: ClaimDocument,
  ): Promise<'won' | 'lost' | 'free'> {
    let ours = leaves.find((leaf) => this.#isOurs(leaf)) ?? created;
    let others = leaves.filter((leaf) => !this.#isOurs(leaf));
    for (let look = 0; ours && look < 3; look++) {
      if (others.length === 0 && (look > 0 || !created)) return 'won';
      if (others.some((other) => precedes(other, ours!))) break;
      await this.#clock.sleep(SETTLE_MS);
      const current = await this.#leaves(id);
      ours = current.find((leaf) => this.#isOurs(leaf)) ?? created;
      others = current.filter((leaf) => !this.#isOurs(leaf));
    }
    if (!ours) return others.length > 0 ? 'lost' : 'free';
    await this.#ask('DELETE', `/${encodeURIComponent(id)}?rev=${ours._rev}`, [200, 202, 404, 409]);
    return (await this.#leaves(id)).length > 0 ? 'lost' : 'free';
  }

  /** All versions of a claim that are there at once, asked of as many nodes as have them. */
  async #leaves(id: string): Promise<ClaimDocument[]> {
    const { status, body } = await this.#ask('GET', `/${encodeURIComponent(id)}?open_revs=all&r=3`, [200, 404]);
    if (status === 404) return [];
    return (body as Array<{ ok?: ClaimDocument }>).flatMap(({ ok }) => (ok && !ok._deleted ? [ok] : []));
  }

  #isOurs({ site, replica }: ClaimDocument): boolean {
    return site === this.#self.site && replica === this.#self.replica;
  }

  /** By time first, so that old ones lie together. */
  #idOf({ alarm, instant, scope }: AlarmClaim): string {
    return `${new Date(instant).toISOString()} ${scope === 'all' ? '*' : this.#self.site} ${alarm}`;
  }

  async #unlessAway<T>(work: () => Promise<T>): Promise<T | 'centerAway'> {
    try {
      const result = await work();
      if (this.#isAway) this.#log.info('instants of alarms can be claimed again');
      this.#isAway = false;
      return result;
    } catch (error) {
      if (!(error instanceof CenterAway)) throw error;
      if (!this.#isAway)
        this.#log.warn({ reason: error.message }, 'instants of alarms cannot be claimed in the center');
      this.#isAway = true;
      return 'centerAway';
    }
  }

  /** @throws CenterAway for any other status, and where nothing answers */
  async #ask(method: string, path: string, expected: readonly number[], content?: unknown): Promise<HttpAnswer> {
    const request = content === undefined ? {} : { body: JSON.stringify(content) };
    const answer = await this.#endpoint.ask(method, `/${DATABASE}${path}`, request).catch((error) => {
      const { code, name } = error as { code?: string; name: string };
      throw new CenterAway(code ?? name, { cause: error });
    });
    if (!expected.includes(answer.status)) throw new CenterAway(`HTTP ${answer.status}`);
    if (answer.body === undefined) throw new CenterAway('no JSON');
    return answer;
  }
}

function precedes(a: ClaimDocument, b: ClaimDocument): boolean {
  return a.site === b.site ? a.nonce < b.nonce : a.site < b.site;
}
