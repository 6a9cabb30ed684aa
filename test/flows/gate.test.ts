import { setMaxListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Gate, type Visit } from '../../src/flows/gate.ts';
import { ManualClock } from '../support/manual-clock.ts';

const never = new AbortController().signal;
setMaxListeners(0, never);

/** Sends visitors of these registrations to the gate at once and notes the order in which they get in. */
function visitors(gate: Gate, registrations: string[], visit: (nth: number) => Visit = () => 'answered') {
  const entered: string[] = [];
  for (const registration of registrations) {
    void gate.enter(registration, never).then((admitted) => {
      if (!admitted) return;
      entered.push(registration);
      gate.leave(visit(entered.length - 1));
    });
  }
  return entered;
}

describe('Gate', () => {
  it('lets everybody in where no limit is known', async () => {
    const clock = new ManualClock();
    const entered = visitors(
      new Gate(clock),
      Array.from({ length: 500 }, () => 'a'),
    );
    await clock.advance(0);
    expect(entered).toHaveLength(500);
  });

  it('keeps to the announced firings per minute, after a burst', async () => {
    const clock = new ManualClock();
    const gate = new Gate(clock);
    gate.announce(60);
    const entered = visitors(
      gate,
      Array.from({ length: 200 }, () => 'a'),
    );
    await clock.advance(60_000);
    expect(entered.length).toBeGreaterThanOrEqual(60);
    expect(entered.length).toBeLessThanOrEqual(71);
  });

  it('serves registrations in turn, however many visitors one of them sends', async () => {
    const clock = new ManualClock();
    const gate = new Gate(clock);
    gate.announce(60);
    const entered = visitors(gate, [...Array.from({ length: 100 }, () => 'busy'), 'quiet', 'shy']);
    await clock.advance(5_000);
    expect(entered.slice(0, 8)).toEqual(expect.arrayContaining(['quiet', 'shy']));
  });

  it('admits one at a time, ever more rarely, while nothing answers, and all when one is answered', async () => {
    const clock = new ManualClock();
    const gate = new Gate(clock);
    let answering = false;
    let visits = 0;
    let confirmed = 0;
    const visit = async () => {
      for (;;) {
        await gate.enter('a', never);
        visits += 1;
        if (answering) {
          confirmed += 1;
          gate.leave('answered');
          return;
        }
        gate.leave('unavailable');
      }
    };
    for (let n = 0; n < 20; n++) void visit();
    await clock.advance(60_000);
    // All twenty before it is known, then a handful of probes in a minute.
    expect(visits).toBeGreaterThan(23);
    expect(visits).toBeLessThan(35);
    answering = true;
    await clock.advance(31_000);
    expect(confirmed).toBe(20);
  });

  it('learns from a refusal, waits for the next minute, and then keeps below what got through', async () => {
    const clock = new ManualClock();
    const gate = new Gate(clock);
    const throttled = visitors(
      gate,
      Array.from({ length: 300 }, () => 'a'),
      (nth) => (nth === 100 ? {} : 'answered'),
    );
    await clock.advance(0);
    const before = throttled.length;
    expect(before).toBeLessThan(140);
    expect(gate.perMinute).toBeLessThan(before);
    await clock.advance(1_000);
    expect(throttled.length).toBe(before);
    await clock.advance(120_000);
    expect(throttled.length).toBeGreaterThan(before);
  });

  it('turns away at once who gives up', async () => {
    const clock = new ManualClock();
    const gate = new Gate(clock);
    gate.announce(1);
    const impatient = new AbortController();
    await gate.enter('a', never);
    const entered = gate.enter('a', impatient.signal);
    impatient.abort();
    expect(await entered).toBe(false);
  });
});
