import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BodyTooLarge, readBody } from '../http.ts';
import { badRequest, CouchError, methodNotAllowed } from './couch-error.ts';
import { checkObject, parseJson } from './json.ts';

/** Who asks. */
export interface User {
  readonly name: string | null;
  readonly roles: readonly string[];
  /** How they showed it. */
  readonly by?: 'cookie' | 'default';
}

const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** One request and its answer, in CouchDB's manners. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** Decoded segments; a trailing slash is no segment. */
  readonly path: string[];
  readonly query: URLSearchParams;
  user: User = { name: null, roles: [] };

  /** @throws CouchError 400 for a path that can't be decoded */
  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.response = response;
    this.method = request.method ?? 'GET';
    const [path = '', ...query] = (request.url ?? '/').split('?');
    this.query = new URLSearchParams(query.join('?'));
    try {
      this.path = path.split('/').slice(1).map(decodeURIComponent);
    } catch {
      throw badRequest('the path is not percent-encoded UTF-8');
    }
    if (this.path.at(-1) === '') this.path.pop();
  }

  get isAdmin(): boolean {
    return this.user.roles.includes('_admin');
  }

  /** The absolute URL of something on this server, as `Location` has it. */
  url(...segments: string[]): string {
    return `http://${this.request.headers.host ?? 'localhost'}/${segments.map(encodeURIComponent).join('/')}`;
  }

  header(name: string): string {
    const value = this.request.headers[name];
    return typeof value === 'string' ? value : '';
  }

  accepts(type: string): boolean {
    return this.header('accept').includes(type);
  }

  /** A flag of the query string: on only if it is `true`. */
  flag(name: string): boolean {
    return this.query.get(name) === 'true';
  }

  /** @param allowed as the `Allow` header lists them. @throws CouchError 405 */
  allow(allowed: string): void {
    if (!allowed.split(',').includes(this.method)) throw methodNotAllowed(allowed);
  }

  /** @throws CouchError 415 */
  requireJsonType(): void {
    if (this.header('content-type').split(';')[0]?.trim().toLowerCase() !== 'application/json') {
      throw new CouchError(415, 'bad_content_type', 'Content-Type must be application/json');
    }
  }

  /** @throws CouchError 400, 413 */
  async bytes(): Promise<Buffer> {
    try {
      return await readBody(this.request, MAX_BODY_BYTES);
    } catch (error) {
      if (error instanceof BodyTooLarge) {
        throw new CouchError(413, 'too_large', `the request entity is larger than ${MAX_BODY_BYTES} bytes`);
      }
      throw badRequest('the body is not what its Content-Encoding says');
    }
  }

  /** @throws CouchError 400, 413 */
  async body(): Promise<unknown> {
    return parseJson(await this.bytes());
  }

  /** The body of a POST that must be a JSON object and say so. @throws CouchError 400, 413, 415 */
  async objectBody(): Promise<Record<string, unknown>> {
    this.requireJsonType();
    return checkObject(await this.body());
  }

  /** Answers in JSON; `etag` is what is between the quotes, and is held against `If-None-Match`. */
  json(status: number, body: unknown, { etag, ...headers }: Record<string, string | undefined> = {}): void {
    const text = Buffer.from(`${JSON.stringify(body)}\n`);
    const tagged = this.#conditional(etag);
    if (status === 200 && tagged.matches) {
      this.response.writeHead(304, tagged.headers).end();
      return;
    }
    this.response.writeHead(status, {
      ...BASE_HEADERS,
      'content-type': 'application/json',
      'content-length': text.length,
      ...(headers as Record<string, string>),
      ...tagged.headers,
    });
    this.response.end(text);
  }

  /** Answers with bytes of another type. */
  bytesOf(type: string, body: Uint8Array, etag?: string): void {
    const tagged = this.#conditional(etag);
    if (tagged.matches) {
      this.response.writeHead(304, tagged.headers).end();
      return;
    }
    this.response.writeHead(200, {
      ...BASE_HEADERS,
      'content-type': type,
      'content-length': body.length,
      ...tagged.headers,
    });
    this.response.end(body);
  }

  #conditional(etag: string | undefined): { headers: Record<string, string>; matches: boolean } {
    if (etag === undefined) return { headers: {}, matches: false };
    const quoted = `"${etag}"`;
    const wanted = this.header('if-none-match').split(',');
    return { headers: { etag: quoted }, matches: wanted.some((tag) => tag.trim().replace(/^W\//, '') === quoted) };
  }
}

export const BASE_HEADERS = { 'cache-control': 'must-revalidate', server: 'CouchDB (fogwhisk)' };

/** An opaque etag for anything that is not a document. */
export function hashEtag(...parts: unknown[]): string {
  const hash = createHash('md5').update(JSON.stringify(parts)).digest('hex');
  return BigInt(`0x${hash}`).toString(36).toUpperCase();
}
