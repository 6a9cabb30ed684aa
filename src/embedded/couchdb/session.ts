import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { basicCredentials } from '../http.ts';
import { badRequest, CouchError } from './couch-error.ts';
import type { Exchange, User } from './exchange.ts';
import { checkObject, parseJson } from './json.ts';

/** Seconds that a cookie is good for; it is renewed while it is used. */
const SESSION_SECONDS = 600;
const RENEW_AFTER_SECONDS = 60;
const ANONYMOUS: User = { name: null, roles: [] };

const wrongPassword = () => new CouchError(401, 'unauthorized', 'Name or password is incorrect.');

/** The one user, an administrator, by name and password or by a signed cookie, as CouchDB makes it. */
export class Sessions {
  readonly #username: string;
  readonly #password: string;
  readonly #key: string;

  /** @param secret of the server; with it cookies stay good across a restart, and changing the password ends them */
  constructor(username: string, password: string, secret: string) {
    this.#username = username;
    this.#password = password;
    this.#key = `${secret}${password}`;
  }

  /** Sets who asks. @throws CouchError 400, 401 */
  authenticate(exchange: Exchange): void {
    exchange.user = this.#fromBasic(exchange) ?? this.#fromCookie(exchange) ?? ANONYMOUS;
  }

  async handle(exchange: Exchange): Promise<void> {
    exchange.allow('GET,HEAD,POST,DELETE');
    if (exchange.method === 'POST') return await this.#login(exchange);
    if (exchange.method === 'DELETE') return this.#answer(exchange, 200, { ok: true }, this.#cookie(''), 'next');
    const { name, roles, by } = exchange.user;
    exchange.json(200, {
      ok: true,
      userCtx: { name, roles },
      info: { authentication_handlers: ['cookie', 'default'], ...(by && { authenticated: by }) },
    });
  }

  async #login(exchange: Exchange): Promise<void> {
    const type = exchange.header('content-type').split(';')[0];
    const bytes = await exchange.bytes();
    let credentials: Record<string, unknown>;
    if (type === 'application/x-www-form-urlencoded') {
      credentials = Object.fromEntries(new URLSearchParams(bytes.toString('utf8')));
    } else if (type === 'application/json') {
      credentials = checkObject(parseJson(bytes));
    } else {
      throw new CouchError(
        415,
        'bad_content_type',
        "Content-Type must be 'application/x-www-form-urlencoded' or 'application/json'",
      );
    }
    const name = credentials.name ?? credentials.username;
    if (typeof name !== 'string') throw badRequest('request body must contain a username');
    if (!this.#matches(name, String(credentials.password ?? ''))) {
      const { status, body } = wrongPassword();
      return this.#answer(exchange, status, body, this.#cookie(''), 'fail');
    }
    this.#answer(exchange, 200, { ok: true, name, roles: ['_admin'] }, this.#cookie(this.#sign(now())), 'next');
  }

  #answer(exchange: Exchange, status: number, body: unknown, cookie: string, redirect: 'next' | 'fail'): void {
    const target = exchange.query.get(redirect);
    // A path of this server only: anything else would let a link send the user elsewhere.
    const path = target?.startsWith('/') && !target.startsWith('//') ? target.slice(1) : undefined;
    const location = path === undefined ? undefined : `${exchange.url()}${path}`;
    exchange.json(location ? 302 : status, body, { 'set-cookie': cookie, ...(location && { location }) });
  }

  #fromBasic(exchange: Exchange): User | undefined {
    const [scheme, encoded = ''] = exchange.header('authorization').split(' ');
    if (scheme?.toLowerCase() !== 'basic') return undefined;
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(encoded)) throw badRequest('Authorization header has invalid base64 value');
    const credentials = basicCredentials(exchange.request);
    if (!credentials) return undefined;
    if (!this.#matches(credentials.username, credentials.password)) throw wrongPassword();
    return { name: credentials.username, roles: ['_admin'], by: 'default' };
  }

  #fromCookie(exchange: Exchange): User | undefined {
    const value = /(?:^|;\s*)AuthSession=([^;]+)/.exec(exchange.header('cookie'))?.[1];
    if (!value) return undefined;
    const parts = Buffer.from(value, 'base64url').toString('latin1').split(':');
    if (parts.length < 3) throw badRequest('Malformed AuthSession cookie. Please clear your cookies.');
    const issued = Number.parseInt(parts.at(-2)!, 16);
    const age = now() - issued;
    if (!(age >= 0 && age < SESSION_SECONDS) || !equal(value, this.#sign(issued))) return undefined;
    if (age > RENEW_AFTER_SECONDS) exchange.response.setHeader('set-cookie', this.#cookie(this.#sign(now())));
    return { name: this.#username, roles: ['_admin'], by: 'cookie' };
  }

  #sign(issued: number): string {
    const claim = `${this.#username}:${issued.toString(16).toUpperCase()}`;
    const signature = createHmac('sha256', this.#key).update(claim).digest('base64url');
    return Buffer.from(`${claim}:${signature}`).toString('base64url');
  }

  #cookie(value: string): string {
    const expires = new Date((now() + SESSION_SECONDS) * 1_000).toUTCString();
    return `AuthSession=${value}; Version=1; Expires=${expires}; Max-Age=${SESSION_SECONDS}; Path=/; HttpOnly`;
  }

  #matches(name: string, password: string): boolean {
    const nameIsRight = equal(name, this.#username);
    return equal(password, this.#password) && nameIsRight;
  }
}

const now = () => Math.floor(Date.now() / 1_000);

/** Compares secrets in a time that tells nothing about where they differ. */
function equal(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => createHash('sha256').update(text).digest()) as [Buffer, Buffer];
  return timingSafeEqual(x, y);
}
