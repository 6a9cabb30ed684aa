import type { SecureContext } from 'node:tls';
import { Pool } from 'undici';
import type { ResolvedTrigger, TriggerKeys } from '../../ports/trigger-keys.ts';

const ANSWER_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 1024 * 1024;

/** Asks OpenWhisk about keys by using them. */
export class OpenwhiskTriggerKeys implements TriggerKeys {
  readonly #pool: Pool;
  readonly #basePath: string;

  /** @param apiUrl `http(s)://HOST[:PORT][/PATH]`, without `/api/v1` */
  constructor(apiUrl: string, secureContext?: SecureContext) {
    const { origin, pathname } = new URL(apiUrl);
    this.#basePath = `${pathname.replace(/\/+$/, '')}/api/v1/namespaces`;
    this.#pool = new Pool(origin, {
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
      maxResponseSize: MAX_ANSWER_BYTES,
      ...(secureContext && { connect: { secureContext } }),
    });
  }

  async resolve(trigger: string, key: string): Promise<ResolvedTrigger> {
    const [namespace, name] = trigger.slice(1).split('/') as [string, string];
    try {
      const found = await this.#get(`/${encodeURIComponent(namespace)}/triggers/${encodeURIComponent(name)}`, key);
      if (found.status === 401 || found.status === 403) return { kind: 'refused' };
      if (found.status !== 200 && found.status !== 404) return { kind: 'unavailable' };
      if (namespace !== '_') return { kind: 'allowed', trigger };
      // A key has one namespace.
      const { status, body } = await this.#get('', key);
      const own = Array.isArray(body) ? body[0] : undefined;
      return status === 200 && typeof own === 'string'
        ? { kind: 'allowed', trigger: `/${own}/${name}` }
        : { kind: 'unavailable' };
    } catch {
      return { kind: 'unavailable' };
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #get(path: string, key: string): Promise<{ status: number; body: unknown }> {
    const authorization = `Basic ${Buffer.from(key).toString('base64')}`;
    const { statusCode, body } = await this.#pool.request({
      method: 'GET',
      path: `${this.#basePath}${path}`,
      headers: { authorization },
    });
    return { status: statusCode, body: await body.json().catch(() => undefined) };
  }
}
