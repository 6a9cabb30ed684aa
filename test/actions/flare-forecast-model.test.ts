import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Climatology } from '../../actions/flareForecast/climatology.ts';
import { type DailyMean, DailySeries } from '../../actions/flareForecast/daily-series.ts';
import { calibrate, HORIZON } from '../../actions/flareForecast/damped-anomaly.ts';
import { type Forecast, forecast, MEMBERS } from '../../actions/flareForecast/ensemble.ts';
import { dayOf, hindcast, readRecord } from '../../bench/forecast.ts';

const YEAR = 365.2425;

/** A lake that follows the season exactly, warmer by a weather of its own that fades from day to day. */
function lake(days: number, { from = 17_000, depths = [0, 4, 9], weather = 1 } = {}): DailyMean[] {
  let anomaly = 0;
  return Array.from({ length: days }, (_, at) => {
    anomaly = 0.8 * anomaly + weather * Math.sin(at * at * 0.7);
    return depths.map((depth) => ({
      day: from + at,
      depth,
      value: 12 + (10 - depth) * Math.sin((2 * Math.PI * (from + at)) / YEAR) + anomaly / (1 + depth / 3),
    }));
  }).flat();
}

function forecastFrom(means: DailyMean[], seed = 'lake', after = 1): Forecast {
  const series = DailySeries.of(means)!;
  return forecast(calibrate(series), series, series.lastDay + after, seed);
}

function memberMean({ members }: Forecast['depths'][number], horizon: number): number {
  return members.reduce((sum, member) => sum + member[horizon - 1]!, 0) / members.length;
}

/** Standard deviation of the members. */
function spread(depth: Forecast['depths'][number], horizon: number): number {
  const mean = memberMean(depth, horizon);
  return Math.sqrt(depth.members.reduce((sum, member) => sum + (member[horizon - 1]! - mean) ** 2, 0) / MEMBERS);
}

function expectSound(made: Forecast): void {
  for (const { members, persistence, persistenceDeviations } of made.depths) {
    expect(members).toHaveLength(MEMBERS);
    const numbers = [persistence, ...persistenceDeviations, ...members.flat()];
    expect(numbers).toHaveLength(1 + HORIZON + HORIZON * MEMBERS);
    expect(numbers.filter((number) => !(number >= -2 && number <= 45))).toEqual([]);
  }
}

describe('the damped anomaly', () => {
  it('follows the season where an earlier year tells it, and lets the deviation fade', () => {
    const means = lake(3 * 365, { weather: 0.3 });
    const last = means.at(-1)!.day;
    const warmer = means.map((mean) => (mean.day > last - 2 ? { ...mean, value: mean.value + 3 } : mean));
    const [surface] = forecastFrom(warmer).depths;
    const season = (day: number) => 12 + 10 * Math.sin((2 * Math.PI * day) / YEAR);
    const anomaly = (horizon: number) => memberMean(surface!, horizon) - season(last + horizon);
    expect(surface!.knowsSeason).toBe(true);
    expect(anomaly(1)).toBeGreaterThan(1.5);
    expect(anomaly(16)).toBeLessThan(anomaly(1) / 2);
    expect(Math.abs(anomaly(16))).toBeLessThan(1.2);
  });

  it('is persistence, and wider, while no earlier year is known', () => {
    const young = forecastFrom(lake(28)).depths[0]!;
    const old = forecastFrom(lake(3 * 365)).depths[0]!;
    expect(young.knowsSeason).toBe(false);
    expect(memberMean(young, 1)).toBeCloseTo(young.persistence, 0);
    expect(spread(young, 16)).toBeGreaterThan(spread(old, 16));
    const newborn = forecastFrom(lake(2));
    expectSound(newborn);
    expect(newborn.independentErrors).toBe(0);
    expect(spread(newborn.depths[0]!, 16)).toBeGreaterThan(3);
  });

  it('makes the same members from the same readings, and others for another lake', () => {
    const means = lake(400);
    expect(forecastFrom(means)).toEqual(forecastFrom(means));
    expect(forecastFrom(means, 'other').depths[0]!.members).not.toEqual(forecastFrom(means).depths[0]!.members);
  });

  it('does not look ahead: what is measured from the reference day on changes nothing', () => {
    const means = lake(800);
    const series = DailySeries.of(means)!;
    const day = series.firstDay + 700;
    const known = series.until(day - 1)!;
    const unknown = means.map((mean) => (mean.day >= day ? { ...mean, value: 30 } : mean));
    const later = DailySeries.of(unknown)!.until(day - 1)!;
    expect(forecast(calibrate(known), known, day, 's')).toEqual(forecast(calibrate(later), later, day, 's'));
  });

  it('says which depths are silent, and forecasts from a value up to three days old', () => {
    const means = lake(500).filter(({ day, depth }) => depth !== 4 || day < 17_490);
    const made = forecastFrom(means, 'lake', 3);
    expect(made.depths.map(({ depth }) => depth)).toEqual([0, 9]);
    expect(made.silentDepths).toEqual([4]);
    expectSound(made);
    expect(forecastFrom(means, 'lake', 4).depths).toEqual([]);
  });

  it('keeps depths and days together: members that are warm above are warm below, today and tomorrow', () => {
    const [surface, middle] = forecastFrom(lake(3 * 365)).depths;
    const correlation = (one: number[], other: number[]) => {
      const [a, b] = [one, other].map((values) => {
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        return values.map((value) => value - mean);
      }) as [number[], number[]];
      const dot = (x: number[], y: number[]) => x.reduce((sum, value, at) => sum + value * y[at]!, 0);
      return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    };
    const on = (depth: Forecast['depths'][number], horizon: number) => depth.members.map((each) => each[horizon - 1]!);
    expect(correlation(on(surface!, 5), on(middle!, 5))).toBeGreaterThan(0.9);
    expect(correlation(on(surface!, 5), on(surface!, 6))).toBeGreaterThan(0.5);
  });

  it('is bounded whatever the sensors say', () => {
    const value = fc.oneof(
      fc.double({ min: -2, max: 45, noNaN: true }),
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -999, 7999, 0, -2, 45),
    );
    const mean = fc.record({
      day: fc.integer({ min: 17_000, max: 17_900 }),
      depth: fc.constantFrom(0, 1, 1.5, 9),
      value,
    });
    fc.assert(
      fc.property(fc.array(mean, { maxLength: 400 }), fc.integer({ min: 1, max: 4 }), (means, after) => {
        const series = DailySeries.of(means);
        if (series) expectSound(forecast(calibrate(series), series, series.lastDay + after, 'any'));
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ['a constant sensor', () => lake(800).map((mean) => ({ ...mean, value: 4 }))],
    ['ice', () => lake(800).map((mean) => ({ ...mean, value: Math.max(0, mean.value - 14) }))],
    ['every third day only', () => lake(800).filter(({ day }) => day % 3 === 0)],
    ['a winter without sensors', () => lake(1_200).filter(({ day }) => day < 17_300 || day > 17_450)],
    ['a depth of yesterday', () => [...lake(800), { day: 17_799, depth: 2, value: 9 }]],
    ['spikes', () => lake(800).map((mean) => (mean.day % 50 === 0 ? { ...mean, value: 44 } : mean))],
  ])('takes %s', (_, means) => {
    const made = forecastFrom(means());
    expect(made.depths.length).toBeGreaterThan(0);
    expectSound(made);
  });

  it('leaves a spike out and keeps a turnover of the lake', () => {
    const values = [20, 20, 44, 20, 20, 10, 10];
    const series = DailySeries.of(values.map((value, day) => ({ day, depth: 1, value })))!;
    expect(values.map((_, day) => series.at(0, day))).toEqual([20, 20, Number.NaN, 20, 20, 10, 10]);
  });

  it('fits the season although days are spoilt', () => {
    const spoilt = lake(730, { weather: 0 }).map((mean) => (mean.day % 20 < 2 ? { ...mean, value: 40 } : mean));
    const climatology = new Climatology(DailySeries.of(spoilt)!, 0);
    for (const day of [17_900, 18_000, 18_100]) {
      expect(climatology.on(day)).toBeCloseTo(12 + 10 * Math.sin((2 * Math.PI * day) / YEAR), 0);
    }
  });
});

const record = readRecord();
if (!record) console.warn('skipped: the skill on a real lake: its record is not beside the repository');

describe.skipIf(!record)(
  'the skill on a real lake, calibrated until 2019 and scored on every eighth day of 2020',
  () => {
    it('beats persistence and climatology, and its 90 % interval is one', () => {
      const from = dayOf('2020-01-01');
      const { all, byHorizon } = hindcast(record!, {
        calibratedUntil: from - 1,
        from,
        to: dayOf('2020-12-31'),
        every: 8,
      });
      expect(all.model.count).toBeGreaterThan(7_000);
      expect(all.model.crps).toBeLessThan(0.8 * all.persistence.crps);
      expect(all.model.crps).toBeLessThan(0.7 * all.lastValue.crps);
      expect(all.model.crps).toBeLessThan(0.7 * all.climatology.crps);
      expect(all.model.coverage).toBeGreaterThan(0.85);
      expect(all.model.coverage).toBeLessThan(0.95);
      for (const { model } of byHorizon) expect(model.coverage).toBeGreaterThan(0.75);
    });
  },
);
