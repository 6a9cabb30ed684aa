import { ActionError } from './result.ts';

/** Options of actions, as parameters or payloads give them. */

const MAX_PATTERNS = 1_000;

/**
 * Names of measurements, `*` standing for any characters: a list, or a text with commas; all where absent.
 * @throws ActionError `PARAMETER_INVALID`
 */
export function patternsOf(value: unknown): string[] {
  if (value === undefined || value === null) return ['*'];
  const names: unknown[] = typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : [];
  const patterns = names.map((name) => (typeof name === 'string' ? name.trim() : ''));
  if (patterns.length === 0 || patterns.length > MAX_PATTERNS || patterns.includes('')) {
    throw new ActionError(
      'PARAMETER_INVALID',
      `measurements must be a list of 1 to ${MAX_PATTERNS} names or patterns.`,
    );
  }
  return patterns;
}

/**
 * A whole number from 0 to `max`, 0 where absent.
 * @throws ActionError `PARAMETER_INVALID`
 */
export function wholeNumberOf(value: unknown, name: string, max: number): number {
  const number = value === undefined || value === null ? 0 : Number(value);
  if (!Number.isInteger(number) || number < 0 || number > max) {
    throw new ActionError('PARAMETER_INVALID', `${name} must be a whole number from 0 to ${max}.`);
  }
  return number;
}
