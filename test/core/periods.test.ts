import { expect, test } from 'vitest';
import { inParts, parseInstant, startOfDay } from '../../src/core/periods.ts';

test.each([
  ['2018-08-29', 'UTC', '2018-08-29T00:00:00Z'],
  ['2018-08-29', 'America/New_York', '2018-08-29T04:00:00Z'],
  ['2018-08-29T10:00', 'Asia/Kolkata', '2018-08-29T04:30:00Z'],
  ['2018-08-29T10:00:00Z', 'Asia/Kolkata', '2018-08-29T10:00:00Z'],
  ['yesterday', 'UTC', undefined],
  ['2018-13-01', 'UTC', undefined],
])('%s in %s', (text, zone, expected) => {
  expect(parseInstant(text, zone)).toBe(expected === undefined ? undefined : Date.parse(expected));
});

test.each([
  ['2024-03-09', '2024-03-12', 50, 3],
  ['2024-01-01', '2024-12-31', 50, 46],
  ['2024-01-01', '2024-01-02', 50, 1],
])('%s to %s in at most %i parts at midnights', (from, to, most, count) => {
  const zone = 'America/New_York';
  const period = { from: parseInstant(from, zone)!, to: parseInstant(to, zone)! };
  const parts = inParts(period, most, zone);
  expect(parts).toHaveLength(count);
  expect([parts[0]!.from, parts.at(-1)!.to]).toEqual([period.from, period.to]);
  expect(parts.slice(1).map((part) => part.from)).toEqual(parts.slice(0, -1).map((part) => part.to));
  expect(parts.map((part) => part.from)).toEqual(parts.map((part) => startOfDay(part.from, zone)));
});
