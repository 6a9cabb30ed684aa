import { feedCallOf, send } from '../shared/feed.ts';
import type { Params } from '../shared/payload.ts';
import { ActionError } from '../shared/result.ts';

/**
 * The feeds `alarm`, `interval` and `once` (bound as `feed_type`) of OpenWhisk's alarms package: has the provider create,
 * read, update or delete the alarm of a trigger. The result is the provider's answer; an error is its text, as there.
 */
export async function main(params: Params): Promise<Record<string, unknown>> {
  try {
    const call = feedCallOf(params);
    const { feed_type: feed, ...parameters } = call.parameters;
    const { status, body } = await send(call, { ...parameters, feed });
    if (status === 200 && body) return body;
    return { error: typeof body?.error === 'string' ? body.error : `the provider answered ${status}` };
  } catch (error) {
    return { error: error instanceof ActionError ? error.message : String(error) };
  }
}
