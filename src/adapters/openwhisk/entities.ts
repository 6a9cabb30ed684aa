import type { SecureContext } from 'node:tls';
import { HttpEndpoint } from '../http-endpoint.ts';

const ANSWER_TIMEOUT_MS = 60_000;
/** An action's code is up to 48 MB, in base64. */
const MAX_ANSWER_BYTES = 128 * 1024 * 1024;

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
export class Entities implements Disposable {
  readonly #endpoint: HttpEndpoint;

  /**
   * @param apiUrl `http(s)://HOST[:PORT][/PATH]`, without `/api/v1`
   * @param auth `UUID:KEY` of the namespace
   * @param secureContext what is trusted, where that is not what Node.js trusts by itself
   */
  constructor(apiUrl: string, auth: string, secureContext?: SecureContext) {
    this.#endpoint = new HttpEndpoint({
      url: apiUrl,
      auth,
      secureContext,
      connections: 1,
      answerTimeoutMs: ANSWER_TIMEOUT_MS,
      maxAnswerBytes: MAX_ANSWER_BYTES,
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
    const { status, body } = await this.#endpoint.ask(
      method,
      `/api/v1/namespaces/${path.startsWith('/') ? path.slice(1) : `_/${path}`}`,
      content === undefined ? {} : { body: content },
    );
    if (status === 200) return body;
    const { error } = (body ?? {}) as { error?: unknown };
    throw new OpenwhiskRefusal(status, `${method} ${path}: ${typeof error === 'string' ? error : `HTTP ${status}`}`);
  }

  [Symbol.dispose](): void {
    this.#endpoint.close();
  }
}
