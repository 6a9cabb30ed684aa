import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Keys that the provider gives away with a firing. They are made from the site's key, so none is stored
 * and all are good after a restart.
 */

/** The receipt token of one firing. */
export function receiptToken(siteKey: string, batchId: string): string {
  return sign(siteKey, `receipt:${batchId}`);
}

/** A token for the site's parameters, good until `expires` (epoch seconds). */
export function parameterToken(siteKey: string, expires: number): string {
  return `${expires}.${sign(siteKey, `parameters:${expires}`)}`;
}

/** Whether a parameter token is genuine and not expired at `now` (epoch seconds). */
export function isParameterToken(siteKey: string, token: string, now: number): boolean {
  const expires = Number.parseInt(token, 10);
  return expires >= now && isSameSecret(token, parameterToken(siteKey, expires));
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
