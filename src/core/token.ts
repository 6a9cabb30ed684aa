import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Keys that the provider gives away with a firing. They are made from the site's key, so none is stored
 * and all are good after a restart.
 */

/** The receipt token of one firing. */
export function receiptToken(siteKey: string, batchId: string): string {
  return sign(siteKey, `receipt:${batchId}`);
}

/** Whose action may ask: one that the site's own key fires, or one of somebody else's, who is not told the site's secrets. */
export type ParameterScope = 'own' | 'guest';

/** A token for the site's parameters, good until `expires` (epoch seconds). */
export function parameterToken(siteKey: string, expires: number, scope: ParameterScope): string {
  return `${expires}.${sign(siteKey, `parameters:${scope}:${expires}`)}`;
}

/** What a parameter token is good for; undefined if it is not genuine, or expired at `now` (epoch seconds). */
export function parameterScope(siteKey: string, token: string, now: number): ParameterScope | undefined {
  const expires = Number.parseInt(token, 10);
  if (!(expires >= now)) return undefined;
  return (['own', 'guest'] as const).find((scope) => isSameSecret(token, parameterToken(siteKey, expires, scope)));
}

/** The token of a webhook; another name has another one. */
export function hookToken(siteKey: string, hook: string): string {
  return sign(siteKey, `hook:${hook}`);
}

/** Compares two secrets without telling by its duration how much of them is equal. */
export function isSameSecret(a: string, b: string): boolean {
  const left = createHmac('sha256', 'compare').update(a).digest();
  const right = createHmac('sha256', 'compare').update(b).digest();
  return timingSafeEqual(left, right);
}

function sign(siteKey: string, text: string): string {
  return createHmac('sha256', siteKey).update(text).digest('base64url');
}
