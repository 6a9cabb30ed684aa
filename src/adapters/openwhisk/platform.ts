import { Pool } from 'undici';
import type { FireAnswer, Platform } from '../../ports/platform.ts';

const CONNECTIONS = 8;
const ANSWER_TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * Fires triggers over OpenWhisk's REST API through a small pool of kept connections: a firing costs a fraction of what
 * it does through the `openwhisk` client, which is for management.
 */
export class OpenwhiskPlatform implements Platform {
  readonly #pool: Pool;
  readonly #basePath: string;
  readonly #headers: Record<string, string>;

  /**
   * @param apiUrl `http(s)://HOST[:PORT][/PATH]`, without `/api/v1`
   * @param auth `UUID:KEY`
   */
  constructor(apiUrl: string, auth: string) {
    const url = new URL(apiUrl);
    this.#basePath = url.pathname.replace(/\/+$/, '');
    this.#headers = {
      authorization: `Basic ${Buffer.from(auth).toString('base64')}`,
      'content-type': 'application/json',
      'user-agent': 'fogwhisk',
    };
    this.#pool = new Pool(url.origin, {
      connections: CONNECTIONS,
      pipelining: 1,
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
      maxResponseSize: MAX_ANSWER_BYTES,
    });
  }

  async fire(trigger: string, payload: string, signal: AbortSignal): Promise<FireAnswer> {
    try {
      const { statusCode, headers, body } = await this.#pool.request({
        method: 'POST',
        path: `${this.#basePath}${triggerPath(trigger)}`,
        headers: this.#headers,
        body: payload,
        signal,
      });
      const text = await body.text();
      return answerOf(statusCode, text, headers['retry-after']);
    } catch (error) {
      return { kind: 'unavailable', reason: reasonOf(error) };
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function triggerPath(trigger: string): string {
  const [namespace, name] = trigger.startsWith('/') ? trigger.slice(1).split('/') : ['_', trigger];
  return `/api/v1/namespaces/${encodeURIComponent(namespace!)}/triggers/${encodeURIComponent(name!)}`;
}

function answerOf(status: number, text: string, retryAfter: string | string[] | undefined): FireAnswer {
  if (status === 204) return { kind: 'noActiveRule' };
  if (status >= 200 && status < 300)
    return { kind: 'accepted', activationId: stringMember(text, 'activationId') ?? '' };
  if (status === 413) return { kind: 'tooLarge' };
  if (status === 429) {
    const seconds = Number(retryAfter);
    return { kind: 'throttled', ...(seconds > 0 && { retryAfterMs: seconds * 1_000 }) };
  }
  if (status === 408 || status >= 500) return { kind: 'unavailable', reason: `HTTP ${status}` };
  return { kind: 'refused', status, reason: stringMember(text, 'error') ?? `HTTP ${status}` };
}

function stringMember(text: string, name: string): string | undefined {
  try {
    const value: unknown = (JSON.parse(text) as Record<string, unknown> | null)?.[name];
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}
