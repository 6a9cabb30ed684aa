import { causeOf, parseUrl } from './http.ts';
import { isRecord, type Params } from './payload.ts';
import { ActionError } from './result.ts';

/** What the feed actions share: the protocol of `wsk trigger create --feed` on one side, the provider on the other. */

const TIMEOUT_MS = 30_000;

export interface FeedCall {
  readonly lifecycleEvent: 'CREATE' | 'READ' | 'UPDATE' | 'DELETE';
  /** `/NAMESPACE/NAME`; the namespace is `_` where the user named none. */
  readonly trigger: string;
  /** The user's OpenWhisk key, UUID:KEY. */
  readonly authKey: string;
  /** Where the provider takes this feed's requests. */
  readonly endpoint: string;
  /** What else the user gave. */
  readonly parameters: Params;
}

/**
 * Reads what OpenWhisk tells a feed action.
 * @throws ActionError `PARAMETER_MISSING`, `PARAMETER_INVALID`
 */
export function feedCallOf(params: Params): FeedCall {
  const { lifecycleEvent = 'CREATE', triggerName, authKey, provider_endpoint: endpoint, ...rest } = params;
  if (!isLifecycleEvent(lifecycleEvent)) throw new ActionError('PARAMETER_INVALID', 'unsupported lifecycleEvent');
  if (typeof triggerName !== 'string' || triggerName === '') {
    throw new ActionError('PARAMETER_MISSING', 'no trigger name parameter was provided');
  }
  if (typeof authKey !== 'string' || authKey === '') throw new ActionError('PARAMETER_MISSING', 'authKey is not given');
  if (typeof endpoint !== 'string' || endpoint === '') {
    throw new ActionError(
      'PARAMETER_MISSING',
      'provider_endpoint is not given: it is bound to the package of the feed',
    );
  }
  const trigger = triggerName.startsWith('/') ? triggerName : `/_/${triggerName}`;
  const parameters = Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith('__ow_')));
  return { lifecycleEvent, trigger, authKey, endpoint: endpoint.replace(/\/+$/, ''), parameters };
}

function isLifecycleEvent(value: unknown): value is FeedCall['lifecycleEvent'] {
  return value === 'CREATE' || value === 'READ' || value === 'UPDATE' || value === 'DELETE';
}

/** What the provider answered. */
export interface ProviderAnswer {
  readonly status: number;
  /** Absent where there is none, or no JSON object. */
  readonly body: Record<string, unknown> | undefined;
}

/**
 * Passes a call on to the provider, with the user's key.
 * @throws ActionError `PROVIDER_UNREACHABLE`, `PARAMETER_INVALID`
 */
export async function send(call: FeedCall, parameters: Params): Promise<ProviderAnswer> {
  const [method, isNamed, content] = requestOf(call, parameters);
  const path = isNamed ? call.trigger.split('/').map(encodeURIComponent).join('/') : '';
  const url = parseUrl(call.endpoint + path, 'provider_endpoint', 'PARAMETER_INVALID');
  const headers = {
    authorization: `Basic ${Buffer.from(call.authKey).toString('base64')}`,
    ...(content && { 'content-type': 'application/json' }),
  };
  try {
    const response = await fetch(url, {
      method,
      headers,
      ...(content && { body: JSON.stringify(content) }),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const body = jsonOf(await response.text());
    return { status: response.status, body: isRecord(body) ? body : undefined };
  } catch (error) {
    throw new ActionError('PROVIDER_UNREACHABLE', `${url.origin}${url.pathname} can't be reached (${causeOf(error)}).`);
  }
}

/** The method, whether the path names the trigger, and the body. */
function requestOf({ lifecycleEvent, trigger }: FeedCall, parameters: Params): [string, boolean, Params?] {
  switch (lifecycleEvent) {
    case 'CREATE':
      return ['POST', false, { ...parameters, trigger }];
    case 'READ':
      return ['GET', true];
    case 'UPDATE':
      return ['PUT', true, parameters];
    case 'DELETE':
      return ['DELETE', true];
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
