import { Agent, type IncomingHttpHeaders, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import type { SecureContext } from 'node:tls';

const CONNECT_TIMEOUT_MS = 10_000;
/** Shorter than servers keep a connection: who closes it just when the next request comes had better be us. */
const KEEP_ALIVE_MS = 4_000;

export interface HttpEndpointOptions {
  /** `http(s)://HOST[:PORT][/PATH]` */
  readonly url: string;
  /** `USER:PASSWORD` for basic authentication */
  readonly auth?: string;
  /** What is trusted, where that is not what Node.js trusts by itself. */
  readonly secureContext?: SecureContext | undefined;
  /** At once; requests beyond wait for a free one. */
  readonly connections?: number;
  /** How long a connection without requests is kept, in ms. */
  readonly keepAliveMs?: number;
  /** How long the server may be silent before and within its answer, in ms. */
  readonly answerTimeoutMs: number;
  readonly maxAnswerBytes: number;
}

export interface HttpRequest {
  /** JSON */
  readonly body?: Buffer | string;
  readonly signal?: AbortSignal;
  /** Instead of the endpoint's. */
  readonly auth?: string | undefined;
  /** Instead of the endpoint's; 0 for a server that may be silent as long as it likes. */
  readonly answerTimeoutMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** JSON; undefined where the answer is none. */
  readonly body: unknown;
}

/**
 * A server that speaks JSON, and a few kept connections to it. By Node.js' own client: undici, faster as it is, takes 6 MB
 * of a provider at rest, and the requests here are large and few.
 */
export class HttpEndpoint {
  /** The path of the URL without a slash at its end: what requests' paths are appended to. */
  readonly basePath: string;
  readonly #options: HttpEndpointOptions;
  readonly #server: RequestOptions;
  readonly #request: typeof request;
  readonly #connected: 'connect' | 'secureConnect';
  /** Ends each request that is under way. */
  readonly #ends = new Set<() => void>();
  #isClosed = false;

  constructor(options: HttpEndpointOptions) {
    const { url, secureContext, connections = Number.POSITIVE_INFINITY, keepAliveMs = KEEP_ALIVE_MS } = options;
    const { protocol, hostname, port, pathname } = new URL(url);
    const isSecure = protocol === 'https:';
    const kept = { keepAlive: true, timeout: keepAliveMs, maxSockets: connections };
    this.basePath = pathname.replace(/\/+$/, '');
    this.#options = options;
    this.#request = isSecure ? secureRequest : request;
    this.#connected = isSecure ? 'secureConnect' : 'connect';
    this.#server = {
      // An IPv6 address stands in brackets only within a URL.
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port,
      agent: isSecure ? new SecureAgent({ ...kept, ...(secureContext && { secureContext }) }) : new Agent(kept),
    };
  }

  /**
   * Sends a request and reads the whole answer.
   * @throws Error with the `code` of Node.js' where there is no whole answer: `ETIMEDOUT` for a server that is silent,
   *   `EMSGSIZE` for an answer that is too large, `ABORT_ERR` for what was given up
   */
  async ask(method: string, path: string, options: HttpRequest = {}): Promise<HttpAnswer> {
    const answer = await this.open(method, path, options);
    return { status: answer.statusCode!, headers: answer.headers, body: await this.bodyOf(answer) };
  }

  /** Sends a request; the body of the answer is for the caller to read, or to destroy. @throws as `ask` */
  open(method: string, path: string, { body, signal, auth, answerTimeoutMs }: HttpRequest): Promise<IncomingMessage> {
    const timeout = answerTimeoutMs ?? this.#options.answerTimeoutMs;
    const user = auth ?? this.#options.auth;
    return new Promise((resolve, reject) => {
      if (signal?.aborted || this.#isClosed) throw givenUp();
      const sent = this.#request({
        ...this.#server,
        method,
        path: this.basePath + path,
        headers: {
          accept: 'application/json',
          'user-agent': 'fogwhisk',
          ...(user !== undefined && { authorization: `Basic ${Buffer.from(user).toString('base64')}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        timeout,
      });
      let answer: IncomingMessage | undefined;
      const fail = (error: Error) => {
        reject(error); // at once: a request that waits for a connection would tell it only when it has one
        (answer ?? sent).destroy(error);
      };
      const giveUp = () => fail(givenUp());
      signal?.addEventListener('abort', giveUp);
      this.#ends.add(giveUp);
      sent.once('close', () => {
        signal?.removeEventListener('abort', giveUp);
        this.#ends.delete(giveUp);
        reject(failure('ECONNRESET', 'the connection was closed without an answer'));
      });
      sent.once('socket', (socket) => {
        if (!socket.connecting) return;
        const unreached = () => fail(failure('ETIMEDOUT', 'the server cannot be reached'));
        const connecting = setTimeout(unreached, CONNECT_TIMEOUT_MS);
        // A kept connection must not keep its first request.
        const done = () => {
          clearTimeout(connecting);
          socket.off(this.#connected, done).off('close', done);
        };
        socket.once(this.#connected, done).once('close', done);
      });
      sent.once('timeout', () => fail(failure('ETIMEDOUT', 'the server is silent')));
      sent.once('response', (response) => {
        answer = response;
        // Who has answered before it has read the body gets no more of it: the memory may serve for another request then.
        response.once('end', () => sent.writableFinished || sent.destroy());
        resolve(response);
      });
      // Also what comes after the answer, which its reader is told as well.
      sent.on('error', reject);
      sent.end(body);
    });
  }

  /** The JSON of a whole answer; undefined where it is none. @throws as `ask` */
  async bodyOf(answer: IncomingMessage): Promise<unknown> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > this.#options.maxAnswerBytes) {
        throw failure('EMSGSIZE', `the answer has more than ${this.#options.maxAnswerBytes} bytes`);
      }
      chunks.push(chunk);
    }
    return jsonOf(Buffer.concat(chunks, bytes).toString());
  }

  /** Ends what is under way, and the connections; what comes later fails. */
  close(): void {
    this.#isClosed = true;
    for (const end of [...this.#ends]) end();
    (this.#server.agent as Agent).destroy();
  }
}

/** What a text of JSON says; undefined for any other. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function givenUp(): Error {
  return failure('ABORT_ERR', 'the request was given up');
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
