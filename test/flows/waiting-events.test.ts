import { describe, expect, it } from 'vitest';
import type { Event } from '../../src/core/event.ts';
import { mqttRegistrationSchema, mqttRegistrations } from '../../src/core/registration.ts';
import { type KeptPlaces, WaitingEvents } from '../../src/flows/waiting-events.ts';

function event(position: number): Event {
  const receivedAt = BigInt(position);
  const body = Buffer.from('x');
  const flags = { qos: 1, retain: false, keyed: false } as const;
  const names = { id: String(position), registration: 'a', topic: 'a' };
  return { ...names, ...flags, receivedAt, body, bodyBytes: 1, sequence: position, position };
}

function waitingFor(kept: KeptPlaces, maxMessages = 1_000): WaitingEvents {
  const row = mqttRegistrationSchema.parse({ topic: 'a', batch: { maxMessages } });
  const [registration] = mqttRegistrations([row], 'trigger');
  return new WaitingEvents(registration!, kept, false);
}

describe('waiting events', () => {
  it('stay in order whatever firings give back, and in whatever order they do', () => {
    const kept = { count: 0 };
    const waiting = waitingFor(kept, 3);
    for (let n = 1; n <= 9; n++) waiting.add(event(n));
    const [first, second] = [waiting.takeBatch(1e6), waiting.takeBatch(1e6)];
    expect([first, second]).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    waiting.giveBack(first.slice(1).map(event));
    waiting.giveBack(second.slice(1).map(event));
    expect(kept.count).toBe(7);
    expect([1, 2, 3].flatMap(() => waiting.takeBatch(1e6))).toEqual([2, 3, 5, 6, 7, 8, 9]);
    expect(kept.count).toBe(0);
  });

  it('of all registrations together are kept up to a bound, and some of each in any case', () => {
    const kept = { count: 0 };
    const [first, second] = [waitingFor(kept), waitingFor(kept)];
    for (let n = 0; n < 250_000; n++) first.add(event(n));
    for (let n = 0; n < 50_000; n++) second.add(event(n));
    expect([first.count, second.count]).toEqual([200_000, 20_000]);
    first.clear();
    expect(kept.count).toBe(20_000);
  });
});
