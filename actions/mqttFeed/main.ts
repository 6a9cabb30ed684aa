import { feedCallOf, send } from '../shared/feed.ts';
import type { Params } from '../shared/payload.ts';
import { ActionError } from '../shared/result.ts';

/**
 * The feed of MQTT topics: has the provider subscribe to a topic for a trigger, or no longer. What it takes and answers is
 * what the feed action of `openwhisk_mqtt_feed` does, which knows CREATE and DELETE only.
 */
export async function main(params: Params): Promise<Record<string, unknown>> {
  try {
    const call = feedCallOf(params);
    const { url, topic } = call.parameters;
    if (call.lifecycleEvent === 'CREATE' && !(url && topic)) {
      return { done: true, error: 'Missing mandatory feed properties, must include url and topic.' };
    }
    const { status, body } = await send(call, call.parameters);
    if (status === 200) return { done: true, ...(call.lifecycleEvent === 'READ' && body) };
    return { done: true, error: `mqtt feed: Error invoking provider: ${status}\n${JSON.stringify(body)}` };
  } catch (error) {
    return { done: true, error: error instanceof ActionError ? error.message : String(error) };
  }
}
