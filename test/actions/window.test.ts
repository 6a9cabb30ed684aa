import { describe, expect, test } from 'vitest';
import { before, closedBefore, everyOf, isoWindow, lengthOf, subdivided } from '../../actions/shared/window.ts';

const at = (text: string) => Date.parse(text);
const windowsOf = (from: string, to: string, every: string, zone = 'UTC') =>
  [...subdivided({ from: at(from), to: at(to) }, everyOf(every), zone)].map(isoWindow);
const lengths = (windows: Array<{ from: string; to: string }>) =>
  windows.map(({ from, to }) => (at(to) - at(from)) / 3_600_000);

describe('a window is cut by the clocks of the zone', () => {
  test.each<[string, string, string, string, string, number[]]>([
    ['days', '2024-03-09T00:00-05:00', '2024-03-12T00:00-04:00', 'day', 'America/New_York', [24, 23, 24]],
    ['days, clocks back', '2024-11-02T00:00-04:00', '2024-11-05T00:00-05:00', '1d', 'America/New_York', [24, 25, 24]],
    ['days at half past', '2024-01-01T00:00+05:30', '2024-01-03T00:00+05:30', 'P1D', 'Asia/Kolkata', [24, 24]],
    [
      'days without their midnight',
      '2018-11-03T00:00-03:00',
      '2018-11-05T00:00-02:00',
      'day',
      'America/Sao_Paulo',
      [24, 23],
    ],
    [
      'quarters of 25 hours',
      '2024-11-03T00:00-04:00',
      '2024-11-04T00:00-05:00',
      '6h',
      'America/New_York',
      [7, 6, 6, 6],
    ],
    [
      'quarters of 23 hours',
      '2024-03-10T00:00-05:00',
      '2024-03-11T00:00-04:00',
      'PT6H',
      'America/New_York',
      [5, 6, 6, 6],
    ],
    ['what does not fit a day ends with it', '2024-01-01T00:00Z', '2024-01-02T00:00Z', '7h', 'UTC', [7, 7, 7, 3]],
    ['cut off at the ends', '2024-01-01T10:30Z', '2024-01-01T12:15Z', 'hour', 'UTC', [0.5, 1, 0.25]],
    ['a week', '2024-03-04T00:00-05:00', '2024-03-18T00:00-04:00', 'week', 'America/New_York', [167, 168]],
  ])('%s', (_, from, to, every, zone, expected) => {
    const windows = windowsOf(from, to, every, zone);
    expect(lengths(windows)).toEqual(expected);
    expect(windows.slice(1).map((window) => window.from)).toEqual(windows.slice(0, -1).map((window) => window.to));
  });

  test.each([
    ['America/New_York', '2024-11-03T00:00-04:00', '2024-11-04T00:00-05:00', 50],
    ['America/New_York', '2024-03-10T00:00-05:00', '2024-03-11T00:00-04:00', 46],
    ['Australia/Lord_Howe', '2024-04-07T00:00+11:00', '2024-04-08T00:00+10:30', 49],
  ])('half hours in %s', (zone, from, to, count) => {
    const windows = windowsOf(from, to, '30m', zone);
    expect(new Set(lengths(windows))).toEqual(new Set([0.5]));
    expect(windows).toHaveLength(count);
  });
});

test.each([
  ['2024-05-02T03:00Z', 'day', 'UTC', '2024-05-01T00:00Z', '2024-05-02T00:00Z'],
  ['2024-05-02T00:00Z', 'day', 'UTC', '2024-05-01T00:00Z', '2024-05-02T00:00Z'],
  ['2024-03-11T07:00Z', 'day', 'America/New_York', '2024-03-10T05:00Z', '2024-03-11T04:00Z'],
  ['2024-05-02T10:00Z', '30m', 'UTC', '2024-05-02T09:30Z', '2024-05-02T10:00Z'],
  ['2024-05-02T10:07Z', '30m', 'UTC', '2024-05-02T09:30Z', '2024-05-02T10:00Z'],
  ['2024-05-02T00:07Z', '6h', 'UTC', '2024-05-01T18:00Z', '2024-05-02T00:00Z'],
])('before %s the last %s in %s', (instant, every, zone, from, to) => {
  expect(closedBefore(at(instant), everyOf(every), zone)).toEqual({ from: at(from), to: at(to) });
});

test.each([
  ['2024-03-10T05:00Z', '2024-03-11T04:00Z', 'America/New_York', { days: 1 }],
  ['2024-05-01T00:00Z', '2024-05-08T00:00Z', 'UTC', { days: 7 }],
  ['2024-05-01T09:30Z', '2024-05-01T10:00Z', 'UTC', { seconds: 1_800 }],
  ['2024-05-01T09:45Z', '2024-05-01T10:15Z', 'UTC', undefined],
  ['2024-05-01T12:00Z', '2024-05-02T12:00Z', 'UTC', undefined],
])('%s to %s in %s', (from, to, zone, every) => {
  expect(lengthOf({ from: at(from), to: at(to) }, zone)).toEqual(every);
});

test('so many windows before, over the change of the clocks', () => {
  const window = { from: at('2024-03-12T04:00Z'), to: at('2024-03-13T04:00Z') };
  expect(isoWindow(before(window, { days: 3 }, 1, 'America/New_York')).from).toBe('2024-03-09T05:00:00.000Z');
  expect(isoWindow(before(window, { seconds: 1_800 }, 4, 'America/New_York')).from).toBe('2024-03-12T02:00:00.000Z');
});
