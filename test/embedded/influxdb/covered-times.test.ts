import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CoveredTimes } from '../../../src/embedded/influxdb/covered-times.ts';

describe('covered times', () => {
  it('never take a time for new that was there, whatever the order', () => {
    const write = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 12 });
    fc.assert(
      fc.property(fc.array(write, { maxLength: 40 }), fc.option(fc.integer({ min: 0, max: 300 })), (writes, latest) => {
        const times = latest === null ? new CoveredTimes() : new CoveredTimes(BigInt(latest));
        const there = new Set(latest === null ? [] : Array.from({ length: latest + 1 }, (_, time) => time));
        for (const [number, own] of writes.entries()) {
          for (const time of own) {
            if (there.has(time)) expect(times.add(BigInt(time), number)).toBe(true);
            else times.add(BigInt(time), number);
            there.add(time);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('tell writes apart that came beside each other', () => {
    const times = new CoveredTimes();
    const order = [0, 2, 1, 4, 3, 6, 5, 8, 7, 9, 11, 10, 13, 12, 14];
    const write = (number: number) =>
      Array.from({ length: 50 }, (_, n) => times.add(BigInt(number * 1_000 + n * 20), number));
    expect(order.flatMap(write).filter(Boolean)).toEqual([]);
    expect(write(14).filter(Boolean)).toHaveLength(50);
  });
});
