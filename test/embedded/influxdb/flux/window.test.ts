import { describe, expect, it } from 'vitest';
import { Duration, formatTime, parseTime } from '../../../../src/embedded/influxdb/flux/time.ts';
import { Windows } from '../../../../src/embedded/influxdb/flux/window.ts';
import { loadZone } from '../../../../src/embedded/influxdb/flux/zone.ts';

const HOUR = 3_600_000_000_000n;
const hours = (count: number) => new Duration(0, BigInt(Math.round(count * 4)) * (HOUR / 4n));
const months = (count: number) => new Duration(count, 0n);
const none = new Duration(0, 0n);
const at = (text: string) => parseTime(text)!;

function windows(every: Duration, zone: string, { offset = none, shift = none, period = every } = {}): Windows {
  return new Windows({ every, period, offset, location: { zone, offset: shift } });
}

/** Start and length in hours of the windows of a range. */
function listed(made: Windows, start: string, stop: string): string[] {
  const range = { start: at(start), stop: at(stop) };
  return made
    .overlapping(range, range)
    .map((window) => `${formatTime(window.start)} ${Number(window.stop - window.start) / Number(HOUR)}h`);
}

describe('windows', () => {
  it('have 23 hours on the day the clock goes forward', () => {
    expect(listed(windows(hours(24), 'America/New_York'), '2024-03-09T05:00:00Z', '2024-03-12T04:00:00Z')).toEqual([
      '2024-03-09T05:00:00Z 24h',
      '2024-03-10T05:00:00Z 23h',
      '2024-03-11T04:00:00Z 24h',
    ]);
  });

  it('have 25 hours on the day it goes back', () => {
    expect(listed(windows(hours(24), 'America/New_York'), '2024-11-02T04:00:00Z', '2024-11-05T05:00:00Z')).toEqual([
      '2024-11-02T04:00:00Z 24h',
      '2024-11-03T04:00:00Z 25h',
      '2024-11-04T05:00:00Z 24h',
    ]);
  });

  it('put an hour that occurs twice into one, as InfluxDB does', () => {
    expect(listed(windows(hours(1), 'America/New_York'), '2024-11-03T04:00:00Z', '2024-11-03T08:00:00Z')).toEqual([
      '2024-11-03T04:00:00Z 1h',
      '2024-11-03T05:00:00Z 2h',
      '2024-11-03T07:00:00Z 1h',
    ]);
  });

  it('make of an hour that is jumped over one without length, where the range begins, as InfluxDB does', () => {
    expect(listed(windows(hours(1), 'America/New_York'), '2024-03-10T06:00:00Z', '2024-03-10T08:00:00Z')).toEqual([
      '2024-03-10T06:00:00Z 1h',
      '2024-03-10T06:00:00Z 0h',
      '2024-03-10T07:00:00Z 1h',
    ]);
  });

  it('follow zones of half hours', () => {
    const days = ['2024-07-01T18:30:00Z 24h', '2024-07-02T18:30:00Z 24h'];
    expect(listed(windows(hours(24), 'Asia/Kolkata'), '2024-07-01T18:30:00Z', '2024-07-03T18:30:00Z')).toEqual(days);
    const fixed = windows(hours(24), 'UTC', { shift: hours(5.5) });
    expect(listed(fixed, '2024-07-01T18:30:00Z', '2024-07-03T18:30:00Z')).toEqual(days);
  });

  it('follow the calendar', () => {
    expect(listed(windows(months(1), 'America/New_York'), '2024-02-01T05:00:00Z', '2024-04-01T04:00:00Z')).toEqual([
      '2024-02-01T05:00:00Z 696h',
      '2024-03-01T05:00:00Z 743h',
    ]);
    expect(listed(windows(months(12), 'UTC'), '2023-01-01', '2025-01-01')).toEqual([
      '2023-01-01T00:00:00Z 8760h',
      '2024-01-01T00:00:00Z 8784h',
    ]);
  });

  it('are clipped to the range, and may overlap or leave gaps', () => {
    expect(listed(windows(hours(24), 'UTC'), '2024-01-01T12:00:00Z', '2024-01-02T06:00:00Z')).toEqual([
      '2024-01-01T12:00:00Z 12h',
      '2024-01-02T00:00:00Z 6h',
    ]);
    expect(listed(windows(hours(24), 'UTC', { period: hours(48) }), '2024-01-02', '2024-01-03')).toEqual([
      '2024-01-02T00:00:00Z 24h',
      '2024-01-02T00:00:00Z 24h',
    ]);
    expect(
      listed(windows(hours(24), 'UTC', { period: hours(1), offset: hours(2) }), '2024-01-02', '2024-01-03'),
    ).toEqual(['2024-01-02T02:00:00Z 1h']);
  });

  it('lie on the same grid before 1970', () => {
    expect(listed(windows(hours(24), 'UTC'), '1969-12-30T01:00:00Z', '1969-12-31T01:00:00Z')).toEqual([
      '1969-12-30T01:00:00Z 23h',
      '1969-12-31T00:00:00Z 1h',
    ]);
  });

  it('refuse what is no length', () => {
    for (const every of [none, hours(-1), new Duration(1, 1n)])
      expect(() => windows(every, 'UTC')).toThrow('duration used as an interval');
    expect(() => windows(hours(1), 'Nowhere/Land')).toThrow('unknown time zone');
  });
});

describe('zones', () => {
  it.each([
    'America/New_York',
    'Europe/London',
    'Australia/Lord_Howe',
    'Asia/Kolkata',
    'Africa/Casablanca',
    'America/Sao_Paulo',
  ])('of %s show the clock that Intl shows, and find the moment back', (name) => {
    const zone = loadZone(name)!;
    const format = new Intl.DateTimeFormat('sv-SE', { timeZone: name, dateStyle: 'short', timeStyle: 'medium' });
    for (let t = at('2015-01-01'); t < at('2030-01-01'); t += 1009n * HOUR) {
      const wall = zone.wallClock(t);
      expect(formatTime(wall)).toBe(`${format.format(Number(t / 1_000_000n)).replace(' ', 'T')}Z`);
      const back = zone.instant(wall);
      expect(zone.wallClock(back)).toBe(wall);
      expect(back <= t).toBe(true);
    }
  });
});
