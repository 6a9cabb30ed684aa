import type { SecureContext } from 'node:tls';
import { Pool } from 'undici';

const ANSWER_TIMEOUT_MS = 60_000;

/** OpenWhisk's answer to a request that it did not fulfil. */
export class OpenwhiskRefusal extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.name = 'OpenwhiskRefusal';
    this.statusCode = statusCode;
  }
}

/**
 * The entities of one namespace, through OpenWhisk's REST API. Not by the `openwhisk` client: it loses the kind of a network
 * error, sends what is meant for loopback to the `HTTP_PROXY` of the environment, and can be told there
 * (`__OW_IGNORE_CERTS`) to verify no certificate.
 */
export class Entities implements AsyncDisposable {
  readonly #pool: Pool;
  readonly #basePath: string;
  readonly #headers: Record<string, string>;

  /**
   * @param apiUrl `http(s)://HOST[:PORT][/PATH]`, without `/api/v1`
   * @param auth `UUID:KEY` of the namespace
   * @param secureContext what is trusted, where that is not what Node.js trusts by itself
   */
  constructor(apiUrl: string, auth: string, secureContext?: SecureContext) {
    const url = new URL(apiUrl);
    this.#basePath = `${url.pathname.replace(/\/+$/, '')}/api/v1/namespaces`;
    this.#headers = {
      authorization: `Basic ${Buffer.from(auth).toString('base64')}`,
      'content-type': 'application/json',
      'user-agent': 'fogwhisk',
    };
    this.#pool = new Pool(url.origin, {
      connections: 1,
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
      ...(secureContext && { connect: { secureContext } }),
    });
  }

  /**
   * @param path `actions/[PACKAGE/]NAME` and the like, or `/NAMESPACE/actions/…`
   * @returns undefined if there is none
   * @throws OpenwhiskRefusal
   */
  async get<T>(path: string): Promise<T | undefined> {
    try {
      return (await this.#ask('GET', path)) as T;
    } catch (error) {
      if (error instanceof OpenwhiskRefusal && error.statusCode === 404) return undefined;
      throw error;
    }
  }

  /** Creates an entity or updates it. @throws OpenwhiskRefusal */
  async put(path: string, document: object): Promise<void> {
    await this.#ask('PUT', `${path}?overwrite=true`, JSON.stringify(document));
  }

  /** Removes an entity; what is gone already is as good. @throws OpenwhiskRefusal */
  async remove(path: string): Promise<void> {
    try {
      await this.#ask('DELETE', path);
    } catch (error) {
      if (!(error instanceof OpenwhiskRefusal) || error.statusCode !== 404) throw error;
    }
  }

  /** Runs an action, e.g. a feed's, and waits for its result. @throws OpenwhiskRefusal, also for a result that is an error */
  async invoke(path: string, parameters: object): Promise<unknown> {
    return this.#ask('POST', `${path}?blocking=true&result=true`, JSON.stringify(parameters));
  }

  async #ask(method: 'GET' | 'PUT' | 'POST' | 'DELETE', path: string, content?: string): Promise<unknown> {
    const { statusCode, body } = await this.#pool.request({
      method,
      path: `${this.#basePath}/${path.startsWith('/') ? path.slice(1) : `_/${path}`}`,
      headers: this.#headers,
      ...(content !== undefined && { body: content }),
    });
    const answer: unknown = await body.json().catch(() => undefined);
    if (statusCode === 200) return answer;
    const { error } = (answer ?? {}) as { error?: unknown };
    throw new OpenwhiskRefusal(
      statusCode,
      `${method} ${path}: ${typeof error === 'string' ? error : `HTTP ${statusCode}`}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}
