import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  crpsOfEnsemble,
  crpsOfNormal,
  crpsOfQuantiles,
  QUANTILES,
  quantile,
} from '../../actions/flareForecast/scores.ts';

describe('scores', () => {
  it('CRPS of an ensemble, computed by hand', () => {
    // mean |member - observation| = (2 + 1 + 1) / 3; half the mean |member - member| = (1 + 3 + 2) * 2 / 9 / 2
    expect(crpsOfEnsemble([0, 1, 3], 2)).toBeCloseTo(4 / 3 - 2 / 3, 12);
    expect(crpsOfEnsemble([5], 3.5)).toBe(1.5);
    expect(crpsOfEnsemble([1, 1, 1, 1], 1)).toBe(0);
  });

  it('CRPS of a normal distribution, in closed form', () => {
    // at the mean: (sqrt 2 - 1) / sqrt pi standard deviations
    expect(crpsOfNormal(10, 2, 10)).toBeCloseTo((2 * (Math.SQRT2 - 1)) / Math.sqrt(Math.PI), 6);
    // z = 1: 2 * 0.8413447 - 1 + 2 * 0.2419707 - 0.5641896
    expect(crpsOfNormal(0, 1, 1)).toBeCloseTo(0.6826894 + 0.4839414 - 0.5641896, 6);
    expect(crpsOfNormal(0, 1, -1)).toBeCloseTo(crpsOfNormal(0, 1, 1), 9);
    expect(crpsOfNormal(3, 0, 5)).toBe(2);
  });

  it('CRPS from quantiles is that of the ensemble they come from, within 3 %', () => {
    const members = Array.from({ length: 1_000 }, (_, at) => 15 + 3 * Math.tan(((at + 0.5) / 1_000 - 0.5) * 2)).sort(
      (a, b) => a - b,
    );
    const values = QUANTILES.map((probability) => quantile(members, probability));
    for (const seen of [9, 12, 14, 15, 15.5, 18, 24]) {
      const whole = crpsOfEnsemble(members, seen);
      expect(Math.abs(crpsOfQuantiles(values, seen) - whole)).toBeLessThan(0.03 * whole);
    }
  });

  it('no score is below 0, and the ensemble at the observation is the best', () => {
    const values = fc.array(fc.double({ min: -2, max: 45, noNaN: true }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(values, fc.double({ min: -2, max: 45, noNaN: true }), (members, seen) => {
        const sorted = members.toSorted((a, b) => a - b);
        expect(crpsOfEnsemble(sorted, seen)).toBeGreaterThanOrEqual(-1e-9);
        expect(
          crpsOfEnsemble(
            sorted.map(() => seen),
            seen,
          ),
        ).toBeCloseTo(0, 9);
        expect(
          crpsOfQuantiles(
            QUANTILES.map((each) => quantile(sorted, each)),
            seen,
          ),
        ).toBeGreaterThanOrEqual(-1e-9);
      }),
    );
  });
});
