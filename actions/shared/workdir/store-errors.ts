import { ActionError } from '../result.ts';

/** How stores fail, alike for all of them. */

/** Nothing is published under this key. */
export function noSuchKey(store: string, key: string): ActionError {
  return new ActionError('NoSuchKey', `${key} is not in ${store}.`, { key });
}

/** The store can't be used now; `reason` is for people and holds no secret. */
export function storeFailed(store: string, reason: string): ActionError {
  return new ActionError('STORE_FAILED', `the store of working directories ${store} failed: ${reason}.`, { store });
}

/** The address of the store, or how to log in, can't be right. */
export function storeInvalid(problem: string): ActionError {
  return new ActionError('STORE_INVALID', `${problem}.`);
}

const SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$/;

/**
 * The parts of a key between its slashes; none of them leaves its folder.
 * @throws ActionError `STORE_INVALID`
 */
export function segmentsOf(key: string): string[] {
  const segments = key.split('/');
  if (segments.length < 2 || !segments.every((segment) => SEGMENT.test(segment))) {
    throw storeInvalid(`${JSON.stringify(key)} is no key: LAKE/FOLDER/FILE of letters, digits, . _ and -`);
  }
  return segments;
}
