import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { FileJournal } from '../../src/adapters/journal/journal.ts';
import { systemClock } from '../../src/adapters/system/clock.ts';
import { mqttRegistrationSchema, mqttRegistrations } from '../../src/core/registration.ts';
import { Fire } from '../../src/flows/fire.ts';
import { Ingest } from '../../src/flows/ingest.ts';
import type { FireAnswer, Platform } from '../../src/ports/platform.ts';
import { FakeBroker } from '../support/fake-broker.ts';
import { temporaryFolder } from '../support/temporary.ts';

const log = pino({ level: 'silent' });

class FakePlatform implements Platform {
  answer: FireAnswer = { kind: 'accepted', activationId: 'x' };
  /** What every answer waits for. */
  answered: Promise<unknown> = Promise.resolve();
  readonly bodies: string[] = [];
  readonly triggers: string[] = [];

  async fire(trigger: string, payload: Buffer): Promise<FireAnswer> {
    if (this.answer.kind === 'accepted') {
      const { messages } = JSON.parse(payload.toString()) as { messages: Array<{ body: string }> };
      this.bodies.push(...messages.map(({ body }) => body));
      this.triggers.push(trigger);
    }
    await this.answered;
    return this.answer;
  }

  limits(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  outcome(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

function registrationsOf(rows: object[]) {
  return mqttRegistrations(
    rows.map((row) => mqttRegistrationSchema.parse(row)),
    'trigger',
  );
}

async function site(directory: string, rows: object[], platform = new FakePlatform()) {
  const journal = await FileJournal.open({ directory, maxBytes: 1e9, segmentBytes: 1e6, clock: systemClock, log });
  const broker = new FakeBroker();
  const callback = { url: 'http://127.0.0.1/', token: 'x' };
  const fire = new Fire({
    platform,
    receipts: {
      expect: () => ({ arrived: (ms, signal) => systemClock.sleep(ms, signal).then(() => undefined), close: () => {} }),
    },
    clock: systemClock,
    site: '1',
    callbacks: () => ({ receipt: callback, parameters: callback }),
    injected: () => ({}),
    confirmBy: 'accepted',
    receiptTimeoutMs: 1_000,
    onObstacle: () => {},
  });
  const ingest = new Ingest(registrationsOf(rows), {
    broker: () => broker,
    journal,
    fire,
    clock: systemClock,
    log,
    dedupeWindowMs: 0,
  });
  await ingest.start();
  return { journal, broker, platform, ingest };
}

describe('Ingest', () => {
  it('fires a backlog far beyond what it keeps in memory, each event once and in order', async () => {
    const directory = await temporaryFolder();
    const rows = [{ topic: 'ordered', ordered: true }, { topic: 'other' }];
    const { journal, broker, platform, ingest } = await site(directory, rows);
    platform.answer = { kind: 'unavailable', reason: 'down' };
    const count = 60_000;
    for (let n = 0; n < count; n++) {
      await broker.send('ordered', String(n), n & 0xffff);
      if (n % 10 === 0) await broker.send('other', `other ${n}`, n & 0xffff);
    }
    await journal.durable();
    platform.answer = { kind: 'accepted', activationId: 'x' };
    await ingest.stop(30_000);
    expect(platform.bodies.filter((body) => !body.startsWith('other'))).toEqual(
      Array.from({ length: count }, (_, n) => String(n)),
    );
    expect(new Set(platform.bodies.filter((body) => body.startsWith('other'))).size).toBe(count / 10);
    expect(platform.bodies.length).toBe(count + count / 10);
    await journal.close();
  }, 60_000);

  it('starts with such a backlog from disk', async () => {
    const directory = await temporaryFolder();
    const first = await site(directory, [{ topic: 'a' }, { topic: 'gone' }]);
    first.platform.answer = { kind: 'unavailable', reason: 'down' };
    for (let n = 0; n < 50_000; n++) await first.broker.send(n % 100 === 0 ? 'gone' : 'a', String(n), n & 0xffff);
    await first.ingest.stop(0);
    await first.journal.close();
    const second = await site(directory, [{ topic: 'a' }]);
    await second.ingest.stop(30_000);
    expect(new Set(second.platform.bodies).size).toBe(49_500);
    expect(second.platform.bodies.length).toBe(49_500);
    expect(second.journal.parked.list({ code: 'REGISTRATION_GONE' })).toHaveLength(500);
    await second.journal.close();
  }, 60_000);

  it('fires nothing twice that was under way when its registration changed, twice in a row', async () => {
    const rows = (trigger: string) => [{ topic: 'a', trigger }, { topic: 'b' }];
    const { journal, broker, platform, ingest } = await site(await temporaryFolder(), rows('first'));
    let answer = () => {};
    platform.answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const bodies = Array.from({ length: 200 }, (_, n) => String(n));
    for (const [n, body] of bodies.slice(0, 100).entries()) await broker.send('a', body, n + 1);
    await expect.poll(() => platform.bodies.length).toBe(100);
    ingest.apply(registrationsOf(rows('second')));
    ingest.apply(registrationsOf(rows('third')));
    for (const [n, body] of bodies.slice(100).entries()) await broker.send('a', body, n + 101);
    // What came later to another registration is fired, so these could be.
    await broker.send('b', 'other', 300);
    await expect.poll(() => platform.bodies).toContain('other');
    answer();
    await expect.poll(() => journal.books.get('a')?.confirmed).toBe(200);
    expect(platform.bodies.toSorted()).toEqual([...bodies, 'other'].toSorted());
    expect(new Set(platform.triggers)).toEqual(new Set(['first', 'trigger', 'third']));
    await ingest.stop(1_000);
    await journal.close();
  });

  it('fires all, once, from a disk that can not be read at times', async () => {
    const { journal, broker, platform, ingest } = await site(await temporaryFolder(), [{ topic: 'a' }]);
    const failing = <A extends unknown[], T>(read: (...from: A) => Promise<T>, failures: number) => {
      let left = failures;
      return (...from: A): Promise<T> =>
        left-- > 0 ? Promise.reject(Object.assign(new Error('read'), { code: 'EIO' })) : read(...from);
    };
    journal.load = failing(journal.load.bind(journal), 1);
    journal.unsettledFrom = failing(journal.unsettledFrom.bind(journal), 1);
    const bodies = Array.from({ length: 3_000 }, (_, n) => String(n));
    for (const [n, body] of bodies.entries()) await broker.send('a', body, n + 1);
    await expect.poll(() => journal.books.get('a')?.confirmed).toBe(3_000);
    expect(platform.bodies.toSorted()).toEqual(bodies.toSorted());
    await ingest.stop(1_000);
    await journal.close();
  });

  it('acknowledges again, and counts once, what the broker sends again', async () => {
    const directory = await temporaryFolder();
    const { journal, broker, platform, ingest } = await site(directory, [{ topic: 'a' }]);
    for (const [body, packetId] of [
      ['x', 1],
      ['y', 2],
      ['z', 3],
    ] as const)
      await broker.send('a', body, packetId);
    await journal.durable();
    await ingest.stop(5_000);
    await journal.close();
    const second = await site(directory, [{ topic: 'a' }], platform);
    await second.broker.send('a', 'y', 2, { dup: true }); // acknowledgement lost
    await second.broker.send('a', 'z', 3, { dup: true });
    await second.broker.send('a', 'lost on its way', 4, { dup: true }); // never came before
    await second.broker.send('a', 'y', 2); // the id used again, equal content
    await second.ingest.stop(5_000);
    expect(platform.bodies.sort()).toEqual(['lost on its way', 'x', 'y', 'y', 'z']);
    expect(second.broker.acknowledged).toEqual([2, 3, 4, 2]);
    await second.journal.close();
  });

  it('goes on with what comes after a commit that brought nothing new', async () => {
    const { journal, broker, platform, ingest } = await site(await temporaryFolder(), [{ topic: 'a' }]);
    const confirmed = async (count: number) => {
      while (journal.books.get('a')?.confirmed !== count) await systemClock.sleep(5);
    };
    await broker.send('a', 'x', 1);
    await confirmed(1);
    await broker.send('a', 'x', 1, { dup: true });
    await systemClock.sleep(20); // longer than its commit takes
    await broker.send('a', 'y', 2);
    await confirmed(2);
    expect(platform.bodies).toEqual(['x', 'y']);
    await ingest.stop(1_000);
    await journal.close();
  });
});
