import { expect, test } from 'vitest';
import { isDeeperThan, numberAsWritten } from '../../actions/shared/json-text.ts';

test.each([
  ['{"time":1700000000123456789}', '1700000000123456789'],
  ['{"time" :\n\t 1700000000123456789 }', '1700000000123456789'],
  ['{"a":{"time":1},"time":2,"b":[{"time":3}]}', '2'],
  ['{"time":1,"time":2}', '2'],
  ['{"x":"\\"time\\":5,","time":-1.50e+7}', '-1.50e+7'],
  ['{"t\\u0069me":12}', '12'],
  ['{"x":"\\\\","time":7}', '7'],
  ['{"x":"time","time":8}', '8'],
  ['{"time":"1"}', undefined],
  ['{"other":1}', undefined],
])('the number of time in %s', (text, expected) => expect(numberAsWritten(text, 'time')).toBe(expected));

test('a number of any length is found whole', () => {
  const digits = '9'.repeat(5_000);
  expect(numberAsWritten(`{"time":${' '.repeat(5_000)}${digits}}`, 'time')).toBe(digits);
});

test('nesting is counted outside of strings', () => {
  expect(isDeeperThan('{"a":[[1]]}', 3)).toBe(false);
  expect(isDeeperThan('{"a":[[1]]}', 2)).toBe(true);
  expect(isDeeperThan('{"a":"[[[[[[{{{{","b\\"[[[":1}', 1)).toBe(false);
  expect(isDeeperThan('[],[],[],{}', 1)).toBe(false);
  expect(isDeeperThan('"never closed [[[[', 1)).toBe(false);
  expect(isDeeperThan('['.repeat(5_000_000), 100)).toBe(true);
});
