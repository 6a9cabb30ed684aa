import { causeOf, parseUrl } from '../http.ts';
import { type Params, referenceOf } from '../payload.ts';
import { type NextStep, sendReceipt } from '../receipt.ts';
import { ActionError, shorten } from '../result.ts';

/** How a step's end reaches who waits for it. */

const TIMEOUT_MS = 20_000;

/**
 * Tells the site's provider, by the receipt, that a firing's work is done and what comes next: the provider journals that
 * before it settles the firing. For callers who ask for no receipt (FLARE's own containers, `wsk`) the next trigger is fired
 * from here; that the platform took it is checked.
 * @throws ActionError `RECEIPT_FAILED`, or `TRIGGER_FAILED`: nobody may count on the next step having begun
 */
export async function handOn(params: Params, next: readonly NextStep[]): Promise<void> {
  const receipt = referenceOf(params, 'receipt');
  if (receipt)
    return sendReceipt(receipt, { batchId: params.batchId, stored: 'all', ...(next.length > 0 && { next }) });
  for (const firing of next) await fire(params, firing);
}

/** Tells the provider that a firing's work could not be done now, and why; it fires again `afterMs` later. */
export async function askAgain(params: Params, error: ActionError, afterMs: number): Promise<void> {
  const receipt = referenceOf(params, 'receipt');
  if (!receipt) return;
  const failed = { code: error.code, message: shorten(error.message, 2_000), afterMs };
  await sendReceipt(receipt, { batchId: params.batchId, stored: [], failed });
}

/** Tells the provider that a firing's work failed for good: it keeps the firing aside, where a person may fire it again. */
export async function giveUp(params: Params, { code, message }: ActionError): Promise<void> {
  const receipt = referenceOf(params, 'receipt');
  if (!receipt) return;
  const refused = [{ id: String(params.batchId), code, message: shorten(message, 2_000) }];
  await sendReceipt(receipt, { batchId: params.batchId, stored: [], refused });
}

/**
 * Fires a trigger over OpenWhisk's API: with the key that the platform gave this activation (annotation `provide-api-key`),
 * or FLARE's `openwhisk_apihost` and `openwhisk_auth`.
 */
async function fire(params: Params, { trigger, payload }: NextStep): Promise<void> {
  const host = text(params.openwhisk_apihost) ?? text(params.__ow_api_host) ?? process.env.__OW_API_HOST;
  const key = text(params.openwhisk_auth) ?? text(params.__ow_api_key) ?? process.env.__OW_API_KEY;
  if (!host || !key) {
    const problem = `the trigger ${trigger} can't be fired: no receipt is asked for, and neither openwhisk_apihost and openwhisk_auth nor the annotation provide-api-key give access to OpenWhisk.`;
    throw new ActionError('TRIGGER_FAILED', problem, { trigger });
  }
  const { origin } = parseUrl(
    /^https?:\/\//.test(host) ? host : `https://${host}`,
    'openwhisk_apihost',
    'PARAMETER_INVALID',
  );
  const [namespace, name] = trigger.startsWith('/') ? trigger.slice(1).split('/') : ['_', trigger];
  const url = `${origin}/api/v1/namespaces/${encodeURIComponent(namespace!)}/triggers/${encodeURIComponent(name!)}`;
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(key).toString('base64')}`, 'content-type': 'application/json' },
      body: JSON.stringify(payload),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new ActionError('TRIGGER_FAILED', `OpenWhisk at ${origin} can't be reached (${causeOf(error)}).`, {
      trigger,
    });
  }
  await response.body?.cancel();
  if (response.status === 202) return;
  const reason =
    response.status === 204 ? 'no active rule binds it to an action' : `OpenWhisk answered ${response.status}`;
  throw new ActionError('TRIGGER_FAILED', `the trigger ${trigger} did not start anything: ${reason}.`, { trigger });
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
