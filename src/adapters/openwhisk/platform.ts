import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContext } from 'node:tls';
import { certificateProblem } from '../../core/certificate-problem.ts';
import type { FireAnswer, Platform, PlatformLimits } from '../../ports/platform.ts';
import { type HttpAnswer, HttpEndpoint, jsonOf } from '../http-endpoint.ts';

const CONNECTIONS = 8;
const ANSWER_TIMEOUT_MS = 30_000;
/** A site with few readings need not connect for each firing. */
const KEEP_ALIVE_MS = 30_000;
/** An activation record holds its trigger's payload. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** The platform has this built in and tells it nowhere (openwhisk: 1 MB per activation payload). */
const PAYLOAD_BYTES = 1_048_576;

/**
 * Fires triggers over OpenWhisk's REST API through a small pool of kept connections: a firing costs a fraction of what
 * it does through the `openwhisk` client, which is for management.
 */
export class OpenwhiskPlatform implements Platform {
  readonly #endpoint: HttpEndpoint;

  /**
   * @param apiUrl `http(s)://HOST[:PORT][/PATH]`, without `/api/v1`
   * @param auth `UUID:KEY`
   * @param secureContext what is trusted, where that is not what Node.js trusts by itself
   */
  constructor(apiUrl: string, auth: string, secureContext?: SecureContext) {
    this.#endpoint = new HttpEndpoint({
      url: apiUrl,
      auth,
      secureContext,
      connections: CONNECTIONS,
      keepAliveMs: KEEP_ALIVE_MS,
      answerTimeoutMs: ANSWER_TIMEOUT_MS,
      maxAnswerBytes: MAX_ANSWER_BYTES,
    });
  }

  async fire(trigger: string, payload: Buffer, signal: AbortSignal, auth?: string): Promise<FireAnswer> {
    try {
      return outcomeOf(await this.#endpoint.ask('POST', triggerPath(trigger), { body: payload, signal, auth }));
    } catch (error) {
      return { kind: 'unavailable', reason: reasonOf(error) };
    }
  }

  async limits(signal: AbortSignal): Promise<PlatformLimits | undefined> {
    const limits = (await this.#get('/', signal))?.limits as Record<string, unknown> | undefined;
    if (!limits) return undefined;
    const perMinute = (value: unknown) => (typeof value === 'number' ? value : Number.POSITIVE_INFINITY);
    return {
      firesPerMinute: perMinute(limits.triggers_per_minute),
      invocationsPerMinute: perMinute(limits.actions_per_minute),
      payloadBytes: PAYLOAD_BYTES,
    };
  }

  async outcome(
    activationId: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<'succeeded' | 'failed' | undefined> {
    const until = performance.now() + timeoutMs;
    const trigger = await this.#activation(activationId, until, signal);
    // Each line tells of one rule; without any the platform could not keep its books, which says nothing.
    const rules = trigger?.logs.map((line) => asObject(jsonOf(line)) ?? {}) ?? [];
    if (rules.length === 0) return undefined;
    for (const rule of rules) {
      if (rule.success !== true || typeof rule.activationId !== 'string') return 'failed';
      const action = await this.#activation(rule.activationId, until, signal);
      if (!action) return undefined;
      if (!action.success) return 'failed';
    }
    return 'succeeded';
  }

  /** A record, asked for until it is there. */
  async #activation(id: string, until: number, signal: AbortSignal) {
    for (let waitMs = 50; performance.now() < until && !signal.aborted; waitMs = Math.min(waitMs * 2, 2_000)) {
      const record = await this.#get(`/api/v1/namespaces/_/activations/${encodeURIComponent(id)}`, signal);
      if (record) {
        const { success } = (record.response ?? {}) as { success?: unknown };
        return { logs: Array.isArray(record.logs) ? record.logs.map(String) : [], success: success === true };
      }
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
    return undefined;
  }

  /** A JSON object; undefined for any other answer. */
  async #get(path: string, signal: AbortSignal): Promise<Record<string, unknown> | undefined> {
    try {
      const { status, body } = await this.#endpoint.ask('GET', path, { signal });
      return status === 200 ? asObject(body) : undefined;
    } catch {
      return undefined;
    }
  }

  close(): void {
    this.#endpoint.close();
  }
}

function triggerPath(trigger: string): string {
  const [namespace, name] = trigger.startsWith('/') ? trigger.slice(1).split('/') : ['_', trigger];
  return `/api/v1/namespaces/${encodeURIComponent(namespace!)}/triggers/${encodeURIComponent(name!)}`;
}

function outcomeOf({ status, headers, body }: HttpAnswer): FireAnswer {
  if (status === 204) return { kind: 'noActiveRule' };
  if (status >= 200 && status < 300)
    return { kind: 'accepted', activationId: stringMember(body, 'activationId') ?? '' };
  if (status === 413) return { kind: 'tooLarge' };
  if (status === 429) {
    const seconds = Number(headers['retry-after']);
    return { kind: 'throttled', ...(seconds > 0 && { retryAfterMs: seconds * 1_000 }) };
  }
  if (status === 408 || status >= 500) return { kind: 'unavailable', reason: `HTTP ${status}` };
  return { kind: 'refused', status, reason: stringMember(body, 'error') ?? `HTTP ${status}` };
}

function stringMember(body: unknown, name: string): string | undefined {
  const value = asObject(body)?.[name];
  return typeof value === 'string' ? value : undefined;
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return certificateProblem(error) ?? code ?? message ?? String(error);
}
