import type { SecureContext } from 'node:tls';
import type { ResolvedTrigger, TriggerKeys } from '../../ports/trigger-keys.ts';
import { type HttpAnswer, HttpEndpoint } from '../http-endpoint.ts';

const ANSWER_TIMEOUT_MS = 10_000;
/** A trigger has 1 MB of parameters at most, and as much of annotations. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** Asks OpenWhisk about keys by using them. */
export class OpenwhiskTriggerKeys implements TriggerKeys {
  readonly #endpoint: HttpEndpoint;

  /** @param apiUrl `http(s)://HOST[:PORT][/PATH]`, without `/api/v1` */
  constructor(apiUrl: string, secureContext?: SecureContext) {
    this.#endpoint = new HttpEndpoint({
      url: apiUrl,
      secureContext,
      answerTimeoutMs: ANSWER_TIMEOUT_MS,
      maxAnswerBytes: MAX_ANSWER_BYTES,
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

  close(): void {
    this.#endpoint.close();
  }

  #get(path: string, key: string): Promise<HttpAnswer> {
    return this.#endpoint.ask('GET', `/api/v1/namespaces${path}`, { auth: key });
  }
}
