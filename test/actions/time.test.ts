import { describe, expect, test } from 'vitest';
import { now, parseTime } from '../../actions/shared/time.ts';

const RECEIVED = 1_795_000_000_000_000_000n; // 2026-11-18T11:06:40Z
const parse = (written: string) => parseTime(written, RECEIVED);

describe('epoch times are told apart by their size', () => {
  test.each([
    ['1700000000', 1_700_000_000_000_000_000n],
    ['1700000000123', 1_700_000_000_123_000_000n],
    ['1700000000123456', 1_700_000_000_123_456_000n],
    ['1700000000123456789', 1_700_000_000_123_456_789n],
    ['1700000000.123456789', 1_700_000_000_123_456_789n],
    ['1700000000123.456789', 1_700_000_000_123_456_789n],
    ['1700000000.9999999999', 1_700_000_000_999_999_999n],
    ['1.700000000123456789e9', 1_700_000_000_123_456_789n],
    ['1.7E+9', 1_700_000_000_000_000_000n],
    [' 1700000000 ', 1_700_000_000_000_000_000n],
  ])('%s', (written, expected) => expect(parse(written)).toBe(expected));
});

describe('ISO 8601', () => {
  test.each([
    ['2023-11-14T22:13:20Z', 1_700_000_000_000_000_000n],
    ['2023-11-14T22:13:20.1Z', 1_700_000_000_100_000_000n],
    ['2023-11-14T22:13:20,123456789Z', 1_700_000_000_123_456_789n],
    ['2023-11-14T22:13:20.1234567899999Z', 1_700_000_000_123_456_789n],
    ['2023-11-14T23:43:20+01:30', 1_700_000_000_000_000_000n],
    ['2023-11-14T12:13:20-1000', 1_700_000_000_000_000_000n],
    ['2023-11-15T00:13:20+02', 1_700_000_000_000_000_000n],
    ['2023-11-14 22:13:20', 1_700_000_000_000_000_000n],
    ['2023-11-14T22:13', 1_699_999_980_000_000_000n],
    ['2023-11-14', 1_699_920_000_000_000_000n],
    ['2024-02-29T00:00:00Z', 1_709_164_800_000_000_000n],
    ['2016-12-31T23:59:60Z', 1_483_228_800_000_000_000n],
  ])('%s', (written, expected) => expect(parse(written)).toBe(expected));
});

test.each([
  '',
  ' ',
  'now',
  '12',
  '-1700000000',
  '0x17',
  '1e99',
  '99999999999999999999999',
  'Infinity',
  '1700000000Z',
  '2023-02-29T00:00:00Z',
  '2023-13-01T00:00:00Z',
  '2023-00-10T00:00:00Z',
  '2023-01-32',
  '2023-11-14T24:00:00Z',
  '2023-11-14T22:60:00Z',
  '20231114T221320Z',
  '2023-11-14T22:13:20+1',
  `1700000000.${'0'.repeat(1000)}`,
])('%s is no time', (written) => expect(parse(written)).toBeUndefined());

test('the window is from 2000-01-01 to one day after the message arrived, both included', () => {
  expect(parse('1999-12-31T23:59:59.999999999Z')).toBeUndefined();
  expect(parse('2000-01-01T00:00:00Z')).toBe(946_684_800_000_000_000n);
  expect(parse(String(RECEIVED + 86_400_000_000_000n))).toBe(RECEIVED + 86_400_000_000_000n);
  expect(parse(String(RECEIVED + 86_400_000_000_001n))).toBeUndefined();
});

test('the present is strictly increasing and within a millisecond of the clock', () => {
  const times = Array.from({ length: 10_000 }, now);
  expect(times.every((time, index) => index === 0 || time > times[index - 1]!)).toBe(true);
  expect(Math.abs(Number(now() / 1_000_000n) - Date.now())).toBeLessThan(50);
});
