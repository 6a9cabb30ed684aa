import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { FileJournal } from '../../src/adapters/journal/journal.ts';
import { systemClock } from '../../src/adapters/system/clock.ts';
import { receiptSchema } from '../../src/core/firing.ts';
import { mqttRegistrationSchema, mqttRegistrations, type Registration, SINGLE } from '../../src/core/registration.ts';
import { Fire, type Obstacle } from '../../src/flows/fire.ts';
import { Ingest } from '../../src/flows/ingest.ts';
import { ReceiptInbox } from '../../src/http/receipt-inbox.ts';
import type { FireAnswer, Platform } from '../../src/ports/platform.ts';
import { FakeBroker } from '../support/fake-broker.ts';
import { temporaryFolder } from '../support/temporary.ts';

const log = pino({ level: 'silent' });

interface Fired {
  readonly trigger: string;
  readonly auth: string | undefined;
  readonly payload: Record<string, unknown> & { batchId: string };
}

/** What a test's actions answer to a firing; undefined: no receipt. */
type Answer = (fired: Fired) => Record<string, unknown> | undefined;

async function site(directory: string, registrations: readonly Registration[], answer: Answer) {
  const journal = await FileJournal.open({ directory, maxBytes: 1e9, segmentBytes: 1e6, clock: systemClock, log });
  const brokers = new Map<string, FakeBroker>();
  const inbox = new ReceiptInbox();
  const fired: Fired[] = [];
  const obstacles: Array<Obstacle | undefined> = [];
  const arrived: Array<() => void> = [];
  const platform: Platform = {
    fire(trigger, text, _signal, auth): Promise<FireAnswer> {
      const firing = { trigger, auth, payload: JSON.parse(text.toString()) as Fired['payload'] };
      fired.push(firing);
      const receipt = answer(firing);
      if (receipt) {
        setImmediate(() => inbox.accept(receiptSchema.parse({ batchId: firing.payload.batchId, ...receipt })));
      }
      for (const notify of arrived.splice(0)) notify();
      return Promise.resolve({ kind: 'accepted', activationId: 'x' });
    },
    limits: () => Promise.resolve(undefined),
    outcome: () => Promise.resolve(undefined),
  };
  const callback = { url: 'http://127.0.0.1/', token: 'x' };
  const ingest = new Ingest(registrations, {
    broker: (url) => {
      const broker = new FakeBroker();
      brokers.set(url, broker);
      return broker;
    },
    journal,
    fire: new Fire({
      platform,
      receipts: inbox,
      clock: systemClock,
      site: 'a',
      callbacks: () => ({ receipt: callback, parameters: callback }),
      injected: () => ({}),
      confirmBy: 'receipt',
      receiptTimeoutMs: 60_000,
      onObstacle: (_registration, obstacle) => obstacles.push(obstacle),
    }),
    clock: systemClock,
    log,
    dedupeWindowMs: 0,
  });
  await ingest.start();
  const until = async (wanted: () => boolean) => {
    while (!wanted()) {
      await new Promise<void>((resolve) => {
        arrived.push(resolve);
        setTimeout(resolve, 20);
      });
    }
  };
  const settled = () => until(() => [...journal.books.values()].every(({ pending }) => pending === 0));
  const stop = async () => {
    await ingest.stop(0);
    await journal.close();
  };
  return { ingest, journal, inbox, brokers, fired, obstacles, until, settled, stop };
}

function alarm(name: string, trigger = 'aggregatesTrigger', more: Partial<Registration> = {}): Registration {
  const schedule = { kind: 'interval', minutes: 1 } as const;
  return { kind: 'alarm', name, trigger, batch: SINGLE, ordered: false, alarm: { schedule }, ...more } as Registration;
}

function mqtt(topics: string[], more: Partial<Registration> = {}): Registration {
  const [row] = mqttRegistrations([mqttRegistrationSchema.parse({ topic: topics[0]! })], 'trigger');
  return { ...row!, topics, ...more } as Registration;
}

function window(hour: number) {
  const iso = (h: number) => new Date(Date.UTC(2026, 0, 1, h)).toISOString();
  return { from: iso(hour), to: iso(hour + 1) };
}

describe('an alarm instant', () => {
  it('is journalled once for its key, before and after a restart, and when its segment is gone', async () => {
    const directory = await temporaryFolder();
    const instant = { registration: 'daily', key: 'alarm daily 2026-01-01T03:00:00Z', payload: '{"lake":"fcre"}' };
    const first = await site(directory, [alarm('daily')], () => ({ stored: 'all' }));
    expect(await Promise.all([first.ingest.accept(instant), first.ingest.accept(instant)])).toEqual([true, false]);
    await first.settled();
    await first.stop();
    for (let start = 0; start < 3; start++) {
      const again = await site(directory, [alarm('daily')], () => ({ stored: 'all' }));
      expect(await again.ingest.accept(instant)).toBe(false);
      expect(again.fired).toEqual([]);
      await again.stop();
    }
    expect(first.fired).toHaveLength(1);
    expect(first.fired[0]!.payload).toMatchObject({ type: 'alarm', lake: 'fcre', site: 'a', registration: 'daily' });
  });

  it('is fired under the same batch id after a kill, and not as something that its payload says', async () => {
    const directory = await temporaryFolder();
    const payload = JSON.stringify({ type: 'x', batchId: 'x', receipt: 'x' });
    const first = await site(directory, [alarm('daily')], () => undefined);
    await first.ingest.accept({ registration: 'daily', key: 'k', payload });
    await first.until(() => first.fired.length === 1);
    await first.stop();
    const second = await site(directory, [alarm('daily')], () => ({ stored: 'all' }));
    await second.settled();
    expect(second.fired[0]!.payload).toEqual(first.fired[0]!.payload);
    expect(second.fired[0]!.payload).toMatchObject({
      type: 'alarm',
      batchId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    await second.stop();
  });
});

describe('a receipt', () => {
  it('that says failed leaves the firing to be repeated, and tells why', async () => {
    const directory = await temporaryFolder();
    let failures = 0;
    const { ingest, fired, obstacles, settled, stop, journal } = await site(directory, [alarm('daily')], () =>
      ++failures < 3 ? { failed: { code: 'INFLUX_UNREACHABLE', message: 'no answer' } } : { stored: 'all' },
    );
    await ingest.accept({ registration: 'daily', key: 'k', payload: '{}' });
    await settled();
    expect(fired).toHaveLength(3);
    expect(new Set(fired.map(({ payload }) => payload.batchId)).size).toBe(1);
    expect(obstacles[0]).toEqual({ code: 'INFLUX_UNREACHABLE', reason: 'no answer' });
    expect(obstacles.at(-1)).toBeUndefined();
    expect(journal.books.get('daily')).toMatchObject({ received: 1, confirmed: 1 });
    await stop();
  }, 20_000);

  it('starts next steps once for each key, although its firing is repeated', async () => {
    const directory = await temporaryFolder();
    const next = [{ trigger: 'forwardTrigger', key: 'w1', payload: { kind: 'aggregates', window: window(1) } }];
    const first = await site(directory, [alarm('daily')], ({ trigger }) =>
      trigger === 'aggregatesTrigger' ? { stored: 'all', next } : { stored: 'all' },
    );
    // As if the site had been killed just before.
    const settle = first.journal.settle.bind(first.journal);
    first.journal.settle = (events, fate) => events[0]!.registration !== 'daily' && settle(events, fate);
    await first.ingest.accept({ registration: 'daily', key: 'k', payload: '{}' });
    await first.until(() => first.fired.filter(({ trigger }) => trigger === 'forwardTrigger').length === 1);
    await first.stop();
    const second = await site(directory, [alarm('daily')], ({ trigger }) =>
      trigger === 'aggregatesTrigger' ? { stored: 'all', next } : { stored: 'all' },
    );
    await second.settled();
    expect(second.fired.map(({ trigger }) => trigger)).toEqual(['aggregatesTrigger']);
    const forwarded = first.fired.find(({ trigger }) => trigger === 'forwardTrigger')!;
    expect(forwarded.payload).toMatchObject({ type: 'next', kind: 'aggregates', registration: 'next: forwardTrigger' });
    await second.stop();
  });

  it('of a further action on the trigger, which comes when the firing is settled, starts its next steps too', async () => {
    const directory = await temporaryFolder();
    const step = (key: string) => [{ trigger: 'forwardTrigger', key, payload: {} }];
    const { ingest, inbox, fired, settled, until, stop } = await site(directory, [alarm('daily')], ({ trigger }) =>
      trigger === 'aggregatesTrigger' ? { stored: 'all', next: step('first') } : { stored: 'all' },
    );
    await ingest.accept({ registration: 'daily', key: 'k', payload: '{}' });
    await settled();
    const late = { batchId: fired[0]!.payload.batchId, stored: 'all', next: [...step('first'), ...step('second')] };
    inbox.accept(receiptSchema.parse(late));
    await until(() => fired.length === 3);
    await settled();
    expect(fired.map(({ trigger }) => trigger)).toEqual(['aggregatesTrigger', 'forwardTrigger', 'forwardTrigger']);
    await stop();
  });

  it('that refuses what is no message, by the id of its batch, has it parked', async () => {
    const directory = await temporaryFolder();
    const { ingest, journal, settled, stop } = await site(directory, [alarm('daily')], ({ payload: { batchId } }) => ({
      stored: [],
      refused: [{ id: batchId, code: 'TYPE_CONFLICT', message: 'of another type in the center' }],
    }));
    await ingest.accept({ registration: 'daily', key: 'k', payload: '{}' });
    await settled();
    expect(journal.parked.list()).toMatchObject([{ topic: 'k', keyed: true, reason: { code: 'TYPE_CONFLICT' } }]);
    await stop();
  });

  it('of a parent with a key of its own starts them with that key', async () => {
    const directory = await temporaryFolder();
    const parent = alarm('daily', '/other/daily', { auth: 'other:key' });
    const { ingest, fired, settled, stop } = await site(directory, [parent], ({ trigger }) => ({
      stored: 'all',
      ...(trigger === '/other/daily' && { next: [{ trigger: 'step', key: '1', payload: {} }] }),
    }));
    await ingest.accept({ registration: 'daily', key: 'k', payload: '{}' });
    await settled();
    expect(fired.map(({ trigger, auth }) => [trigger, auth])).toEqual([
      ['/other/daily', 'other:key'],
      ['step', 'other:key'],
    ]);
    await stop();
  });

  it('merges the neighbouring windows that have waited into one firing', async () => {
    const directory = await temporaryFolder();
    let away = true;
    const payloadOf = (hour: number) => ({ kind: hour === 20 ? 'forecast' : 'aggregates', window: window(hour) });
    const hours = [...Array.from({ length: 12 }, (_, hour) => hour), 15, 16, 20, 21];
    const { ingest, fired, settled, until, stop } = await site(directory, [alarm('hourly')], ({ trigger, payload }) => {
      if (trigger !== 'forwardTrigger') {
        const { hour } = payload as unknown as { hour: number };
        return { stored: 'all', next: [{ trigger: 'forwardTrigger', key: String(hour), payload: payloadOf(hour) }] };
      }
      return away ? { failed: { code: 'CENTER_AWAY', message: 'no answer' } } : { stored: 'all' };
    });
    for (const hour of hours) {
      await ingest.accept({ registration: 'hourly', key: String(hour), payload: JSON.stringify({ hour }) });
      await until(() => ingest.pending('hourly') === 0);
    }
    expect(ingest.pending('next: forwardTrigger')).toBe(hours.length);
    expect(ingest.oldestPending('next: forwardTrigger')).toBeTypeOf('bigint');
    const before = fired.length;
    away = false;
    await settled();
    const windows = fired.slice(before).map(({ payload }) => [payload.kind, payload.window] as const);
    const covered = new Set(
      windows.flatMap(([kind, w]) => hoursOf(w as never).map((hour) => `${String(kind)} ${hour}`)),
    );
    expect(covered).toEqual(new Set(hours.map((hour) => `${payloadOf(hour).kind} ${hour}`)));
    expect(windows.length).toBeLessThan(hours.length);
    await stop();
  }, 60_000);
});

function hoursOf({ from, to }: { from: string; to: string }): number[] {
  const first = new Date(from).getUTCHours();
  const length = (Date.parse(to) - Date.parse(from)) / 3_600_000;
  return Array.from({ length }, (_, n) => first + n);
}

describe('registrations that change while the site runs', () => {
  const send = (broker: FakeBroker, topic: string, body: string, subscriptions?: number[]) =>
    broker.send(topic, body, 0, { subscriptions });
  const bodies = (fired: readonly Fired[], trigger: string) =>
    fired
      .filter((each) => each.trigger === trigger)
      .flatMap(({ payload }) => (payload.messages as Array<{ body: string }>).map(({ body }) => body));

  it('fires what waited for a registration as the changed one says, and parks what one left that is gone', async () => {
    const directory = await temporaryFolder();
    const { ingest, journal, brokers, fired, until, settled, stop } = await site(
      directory,
      [mqtt(['a'], { trigger: 'old' }), mqtt(['b'], { name: 'b', trigger: 'old' })],
      ({ trigger }) => (trigger === 'new' ? { stored: 'all' } : undefined),
    );
    const broker = brokers.get('')!;
    await send(broker, 'a', '1');
    await send(broker, 'b', '2');
    await until(() => fired.length === 2);
    ingest.apply([mqtt(['a', 'c/#'], { trigger: 'new' })]);
    await send(broker, 'c/1', '3');
    await settled();
    expect(bodies(fired, 'new').sort()).toEqual(['1', '3']);
    expect(journal.parked.list().map(({ registration, reason }) => [registration, reason.code])).toEqual([
      ['b', 'REGISTRATION_GONE'],
    ]);
    expect(broker.subscriptions.map(({ filter }) => filter)).toEqual(['a', 'c/#']);
    await stop();
  });

  it('keeps the events of a held registration, and fires them when it is enabled again', async () => {
    const directory = await temporaryFolder();
    const { ingest, brokers, fired, settled, stop } = await site(
      directory,
      [mqtt(['a'], { held: 'HTTP 404' })],
      () => ({
        stored: 'all',
      }),
    );
    for (let n = 0; n < 50; n++) await send(brokers.get('')!, 'a', String(n));
    await ingest.accept({ registration: 'none', key: 'k', payload: '{}' }); // all before it is followed by now
    expect(ingest.pending('a')).toBe(50);
    expect(fired).toEqual([]);
    ingest.apply([mqtt(['a'])]);
    await settled();
    expect(bodies(fired, 'trigger')).toEqual(Array.from({ length: 50 }, (_, n) => String(n)));
    await stop();
  });

  it('counts a message once for a registration with overlapping topics, however the broker sends it', async () => {
    const directory = await temporaryFolder();
    const { journal, brokers, settled, stop } = await site(directory, [mqtt(['a/#', 'a/+', 'a/b'])], () => ({
      stored: 'all',
    }));
    const broker = brokers.get('')!;
    const identifiers = broker.subscriptions.map(({ identifier }) => identifier);
    await send(broker, 'a/b', 'one copy', identifiers);
    for (const identifier of identifiers) await send(broker, 'a/b', 'a copy for each filter', [identifier]);
    await send(broker, 'a/b', 'from an old session', [1]);
    await settled();
    expect(journal.books.get('a/#')).toMatchObject({ received: 3, confirmed: 3 });
    expect(journal.parked.count).toBe(0);
    await stop();
  });

  it('fires what tells of the connection alone and in its place, and waits for no receipt', async () => {
    const directory = await temporaryFolder();
    const { ingest, brokers, fired, settled, stop } = await site(directory, [mqtt(['a'], { ordered: true })], (each) =>
      each.payload.type === 'status' ? undefined : { stored: 'all' },
    );
    await send(brokers.get('')!, 'a', '1');
    await ingest.accept({ registration: 'a', key: 'status 1', payload: '{"type":"status","body":"connected"}' });
    await send(brokers.get('')!, 'a', '2');
    await settled();
    expect(fired.map(({ payload }) => payload.type)).toEqual(['messages', 'status', 'messages']);
    expect(fired[1]!.payload.body).toBe('connected');
    await stop();
  });

  it('takes messages of several brokers, and leaves one that nothing is wanted from', async () => {
    const directory = await temporaryFolder();
    const other = 'mqtt://other:1883';
    const { ingest, brokers, fired, settled, stop, journal } = await site(
      directory,
      [mqtt(['a']), mqtt(['a'], { name: 'a there', broker: other, trigger: 'there' })],
      () => ({ stored: 'all' }),
    );
    await send(brokers.get('')!, 'a', 'here');
    await send(brokers.get(other)!, 'a', 'there');
    await settled();
    expect([bodies(fired, 'trigger'), bodies(fired, 'there')]).toEqual([['here'], ['there']]);
    ingest.apply([mqtt(['a'])]);
    expect(brokers.get(other)!.subscriptions).toEqual([]);
    expect(journal.parked.count).toBe(0);
    await stop();
  });
});
