import { describe, expect, it } from 'vitest';
import { REMEMBERED_PACKETS, Redeliveries } from '../../src/core/redeliveries.ts';

const ROUND = 65_535;

/** Notes messages of equal content, whose packet ids go round. */
function noted(count: number): Redeliveries {
  const redeliveries = new Redeliveries();
  for (let n = 0; n < count; n++) redeliveries.note((n % ROUND) + 1, 7);
  redeliveries.reconnected();
  return redeliveries;
}

describe('what a broker sends again', () => {
  it('is known, as much as it may have under way and much more, in order', () => {
    const redeliveries = noted(100_000);
    for (let n = 100_000 - REMEMBERED_PACKETS; n < 100_000; n++) {
      expect(redeliveries.isRepeated((n % ROUND) + 1, 7)).toBe(true);
    }
  });

  it('is not known by an id that has come round, whatever its content', () => {
    const redeliveries = noted(100_000);
    // Ids that the broker gave to messages that were lost on their way, as many as we let it have under way.
    for (let n = 100_000; n < 108_000; n++) expect(redeliveries.isRepeated((n % ROUND) + 1, 7)).toBe(false);
  });

  it('is not known by another content, nor twice', () => {
    const redeliveries = noted(100);
    expect(redeliveries.isRepeated(50, 8)).toBe(false);
    expect(redeliveries.isRepeated(50, 7)).toBe(true);
    expect(redeliveries.isRepeated(50, 7)).toBe(false);
  });
});
