import type { SecureContext } from 'node:tls';
import { HttpEndpoint } from '../http-endpoint.ts';

const ANSWER_TIMEOUT_MS = 70_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

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
  const endpoint = new HttpEndpoint({
    ...access,
    answerTimeoutMs: ANSWER_TIMEOUT_MS,
    maxAnswerBytes: MAX_ANSWER_BYTES,
  });
  const [namespace, ...action] = feed.slice(1).split('/');
  try {
    const { status, body } = await endpoint.ask(
      'POST',
      `/api/v1/namespaces/${namespace}/actions/${action.join('/')}?blocking=true&result=true`,
      { body: JSON.stringify({ ...event, triggerName: `/_/${event.triggerName}`, authKey: access.auth }) },
    );
    const answer = (body ?? {}) as { error?: unknown };
    if (status === 200) return answer;
    // 502 without a code of the platform's is the action's own error.
    if (status === 502 && event.lifecycleEvent === 'READ') return undefined;
    // A package that is not there, or not to be seen, is 403.
    if (status === 404 || status === 403) throw new FeedAbsent(`there is no feed ${feed}`);
    throw new Error(`the feed ${feed} answers ${event.lifecycleEvent} with HTTP ${status}: ${textOf(answer.error)}`);
  } finally {
    endpoint.close();
  }
}

function textOf(error: unknown): string {
  return (typeof error === 'string' ? error : JSON.stringify(error ?? 'no reason')).slice(0, 500);
}
