import type { SecureContext } from 'node:tls';
import { Pool } from 'undici';

const ANSWER_TIMEOUT_MS = 70_000;

export interface FeedAccess {
  /** `http(s)://HOST[:PORT][/PATH]`, without `/api/v1` */
  readonly url: string;
  /** `UUID:KEY` of the trigger's namespace. */
  readonly auth: string;
  readonly secureContext?: SecureContext | undefined;
}

/** What a feed action is told, as `wsk trigger create --feed` does it. */
export interface FeedEvent {
  readonly lifecycleEvent: 'CREATE' | 'READ' | 'UPDATE' | 'DELETE';
  /** Its name in the namespace of the key. */
  readonly triggerName: string;
  readonly [parameter: string]: unknown;
}

/** This OpenWhisk has no such feed. */
export class FeedAbsent extends Error {}

/**
 * Calls a feed action and waits for its answer.
 * @param feed `/NAMESPACE/PACKAGE/ACTION`
 * @returns its result; undefined if there is none, because the feed does not know the trigger that it is to READ
 * @throws FeedAbsent, or Error if OpenWhisk can't be asked or the feed refuses
 */
export async function callFeed(feed: string, access: FeedAccess, event: FeedEvent): Promise<unknown> {
  const { origin, pathname } = new URL(access.url);
  const { secureContext } = access;
  const pool = new Pool(origin, {
    headersTimeout: ANSWER_TIMEOUT_MS,
    ...(secureContext && { connect: { secureContext } }),
  });
  const [namespace, ...action] = feed.slice(1).split('/');
  try {
    const { statusCode, body } = await pool.request({
      method: 'POST',
      path: `${pathname.replace(/\/+$/, '')}/api/v1/namespaces/${namespace}/actions/${action.join('/')}?blocking=true&result=true`,
      headers: {
        authorization: `Basic ${Buffer.from(access.auth).toString('base64')}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ ...event, triggerName: `/_/${event.triggerName}`, authKey: access.auth }),
    });
    const answer = (await body.json().catch(() => ({}))) as { error?: unknown };
    if (statusCode === 200) return answer;
    // 502 without a code of the platform's is the action's own error.
    if (statusCode === 502 && event.lifecycleEvent === 'READ') return undefined;
    // A package that is not there, or not to be seen, is 403.
    if (statusCode === 404 || statusCode === 403) throw new FeedAbsent(`there is no feed ${feed}`);
    throw new Error(
      `the feed ${feed} answers ${event.lifecycleEvent} with HTTP ${statusCode}: ${textOf(answer.error)}`,
    );
  } finally {
    await pool.destroy();
  }
}

function textOf(error: unknown): string {
  return (typeof error === 'string' ? error : JSON.stringify(error ?? 'no reason')).slice(0, 500);
}
