import type { SecureContext } from 'node:tls';
import { Pool } from 'undici';

const ANSWER_TIMEOUT_MS = 30_000;

export interface TriggerAccess {
  /** `http(s)://HOST[:PORT][/PATH]`, without `/api/v1` */
  readonly url: string;
  /** `UUID:KEY` of the trigger's namespace. */
  readonly auth: string;
  readonly secureContext?: SecureContext | undefined;
}

/**
 * Removes a trigger (`NAME`, or `/NAMESPACE/NAME`), and with it the rules that it has; what is gone already is as good.
 * @throws Error if the platform refuses or does not answer
 */
export async function removeTrigger(
  { url, auth, secureContext }: TriggerAccess,
  trigger: string,
  { withRules }: { readonly withRules: boolean },
): Promise<void> {
  const { origin, pathname } = new URL(url);
  const pool = new Pool(origin, {
    headersTimeout: ANSWER_TIMEOUT_MS,
    ...(secureContext && { connect: { secureContext } }),
  });
  const ask = async (method: 'GET' | 'DELETE', path: string): Promise<unknown> => {
    const { statusCode, body } = await pool.request({
      method,
      path: `${pathname.replace(/\/+$/, '')}/api/v1/namespaces/${path}`,
      headers: { authorization: `Basic ${Buffer.from(auth).toString('base64')}` },
    });
    const answer = await body.json().catch(() => undefined);
    if (statusCode === 404) return undefined;
    if (statusCode >= 300) throw new Error(`OpenWhisk answers HTTP ${statusCode} to ${method} ${path}`);
    return answer;
  };
  const [namespace, name] = trigger.startsWith('/') ? trigger.slice(1).split('/') : ['_', trigger];
  const path = `${encodeURIComponent(namespace!)}/triggers/${encodeURIComponent(name!)}`;
  try {
    if (withRules) {
      const { rules = {} } = ((await ask('GET', path)) ?? {}) as { rules?: Record<string, unknown> };
      for (const rule of Object.keys(rules)) {
        const [ruleNamespace, ruleName] = rule.replace(/^\//, '').split('/');
        await ask('DELETE', `${encodeURIComponent(ruleNamespace!)}/rules/${encodeURIComponent(ruleName!)}`);
      }
    }
    await ask('DELETE', path);
  } finally {
    await pool.destroy();
  }
}
