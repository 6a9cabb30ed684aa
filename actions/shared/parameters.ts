import { ask } from './http.ts';
import { isRecord, type Params, referenceOf } from './payload.ts';
import { ActionError } from './result.ts';

/** How long fetched parameters are used again in a warm process: a change in the center is seen within seconds. */
const CACHE_MS = 5_000;
let cached: { readonly url: string; readonly until: number; readonly values: Params } | undefined;

/**
 * The parameters that an action works with. Those of the site, fetched by reference, win over those in `params`:
 * the platform has merged action defaults and payload there, and a payload that names values names no reference.
 * @throws ActionError `PAYLOAD_INVALID`, `PARAMETERS_UNREACHABLE` or `PARAMETERS_INVALID`
 */
export async function parametersOf(params: Params): Promise<Params> {
  const reference = referenceOf(params, 'parameters');
  if (!reference) return params;
  if (cached?.url !== reference.url || cached.until < Date.now()) {
    const response = await ask(reference, {}, 'PARAMETERS_UNREACHABLE');
    const values: unknown = await response.json().catch(() => undefined);
    if (!isRecord(values))
      throw new ActionError('PARAMETERS_INVALID', 'the site answered no JSON object of parameters.');
    cached = { url: reference.url, until: Date.now() + CACHE_MS, values };
  }
  return { ...params, ...cached.values };
}
