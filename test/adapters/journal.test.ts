import { appendFile, cp, mkdir, readdir, readFile, rmdir, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { FileJournal } from '../../src/adapters/journal/journal.ts';
import type { Event } from '../../src/core/event.ts';
import { digestOf } from '../../src/core/redeliveries.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { NewEvent } from '../../src/ports/journal.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { temporaryFolder } from '../support/temporary.ts';

const log = pino({ level: 'silent' });

function clockAt(start: bigint): Clock & { time: bigint } {
  return {
    time: start,
    now() {
      return this.time;
    },
    elapsed: () => 0,
    sleep: () => Promise.resolve(),
    random: () => 0.5,
  };
}

function openJournal(directory: string, clock: Clock = clockAt(1_000n), segmentBytes = 600) {
  return FileJournal.open({ directory, maxBytes: 1e9, segmentBytes, clock, log });
}

function message(n: number, registration = 'r') {
  return { registration, topic: `t/${n}`, qos: 1 as const, retain: false, body: Buffer.from(`body ${n}`) };
}

async function unsettled(journal: FileJournal): Promise<Event[]> {
  const places: number[] = [];
  for (let at = 0; ; ) {
    const next = await journal.unsettledFrom(at, ({ position }) => places.push(position));
    if (next === at) return journal.load(places);
    at = next;
  }
}

/** Appends events and gives them back as the journal has them. */
async function append(journal: FileJournal, ...messages: NewEvent[]): Promise<Event[]> {
  const places = messages.map((each) => journal.append(each));
  await journal.durable();
  return journal.load(places);
}

function messages(count: number): NewEvent[] {
  return Array.from({ length: count }, (_, n) => message(n));
}

describe('FileJournal', () => {
  it('hands out again after a restart what was not settled, as it was', async () => {
    const directory = await temporaryFolder();
    const first = await openJournal(directory);
    const events = await append(first, ...messages(50));
    first.settle(events.slice(0, 20), 'confirmed');
    await first.park([{ event: events[20]!, reason: { code: 'BAD', message: 'bad' } }]);
    await first.close();
    const second = await openJournal(directory);
    expect(
      (await unsettled(second)).map(({ id, receivedAt, topic, body, qos, retain }) => ({
        id,
        receivedAt,
        topic,
        body: body.toString(),
        qos,
        retain,
      })),
    ).toEqual(
      events.slice(21).map(({ id, receivedAt, topic, body, qos, retain }) => ({
        id,
        receivedAt,
        topic,
        body: body.toString(),
        qos,
        retain,
      })),
    );
    expect(second.books.get('r')).toEqual({
      received: 50,
      confirmed: 20,
      pending: 29,
      parked: 1,
      expired: 0,
      deduplicated: 0,
    });
    const parked = await second.parked.get(events[20]!.id);
    expect(parked).toMatchObject({ row: { reason: { code: 'BAD' }, topic: 't/20' }, body: Buffer.from('body 20') });
    await second.close();
  });

  it('gives strictly increasing receive times when the clock stands, steps back, and over a restart', async () => {
    const directory = await temporaryFolder();
    const clock = clockAt(5_000n);
    const first = await openJournal(directory, clock);
    for (const n of [1, 2]) first.append(message(n));
    clock.time = 1_000n;
    first.append(message(3));
    await first.close();
    const second = await openJournal(directory, clock);
    second.append(message(4));
    clock.time = 9_000n;
    await append(second, message(5));
    const times = (await unsettled(second)).map(({ receivedAt }) => receivedAt);
    expect(times).toEqual([5_000n, 5_001n, 5_002n, 5_003n, 9_000n]);
    await second.close();
  });

  it('removes segments whose events are all settled, in any order, and keeps the books', async () => {
    const directory = await temporaryFolder();
    const journal = await openJournal(directory);
    const events = await append(journal, ...messages(100));
    journal.settle(events.slice(1), 'confirmed');
    await journal.close();
    expect((await readdir(join(directory, 'events'))).filter((name) => name.endsWith('.log'))).toHaveLength(2);
    const again = await openJournal(directory);
    expect((await unsettled(again)).map(({ topic }) => topic)).toEqual(['t/0']);
    expect(again.books.get('r')).toEqual({
      received: 100,
      confirmed: 99,
      pending: 1,
      parked: 0,
      expired: 0,
      deduplicated: 0,
    });
    again.settle(await unsettled(again), 'confirmed');
    await again.close();
    const last = await openJournal(directory);
    expect(last.books.get('r')).toEqual({
      received: 100,
      confirmed: 100,
      pending: 0,
      parked: 0,
      expired: 0,
      deduplicated: 0,
    });
    expect((await append(last, message(101)))[0]!.sequence).toBe(101);
    await last.close();
  });

  it('holds back when it is full and goes on when there is room', async () => {
    const journal = await FileJournal.open({
      directory: await temporaryFolder(),
      maxBytes: 3_000,
      segmentBytes: 500,
      clock: clockAt(1n),
      log,
    });
    while (!journal.hasRoom()) journal.append(message(1));
    const room = journal.hasRoom()!;
    await journal.durable();
    journal.settle(await unsettled(journal), 'confirmed');
    await room;
    expect(journal.hasRoom()).toBeUndefined();
    await journal.close();
  });

  it('gives up the oldest segment for new events where it is told to', async () => {
    const journal = await FileJournal.open({
      directory: await temporaryFolder(),
      maxBytes: 3_000,
      segmentBytes: 500,
      whenFull: 'expireOldest',
      clock: clockAt(1n),
      log,
    });
    for (let n = 0; n < 200; n++) {
      journal.append(message(n));
      await journal.durable();
      await journal.hasRoom();
    }
    const { received, pending, expired } = journal.books.get('r')!;
    expect(received).toBe(200);
    expect(expired).toBeGreaterThan(100);
    expect(pending).toBe(200 - expired);
    expect((await unsettled(journal)).map(({ topic }) => topic)).toEqual(
      Array.from({ length: pending }, (_, n) => `t/${expired + n}`),
    );
    await journal.close();
  });

  it('keeps little more than what waits long, and that where it was', async () => {
    const directory = await temporaryFolder();
    const journal = await openJournal(directory, clockAt(1_000n), 1_000_000);
    const body = Buffer.alloc(10_000, 'x');
    const waiting: Event[] = [];
    for (let n = 0; n < 2_000; n++) {
      const [event] = await append(journal, { ...message(n), body: Buffer.concat([Buffer.from(`${n} `), body]) });
      if (n % 100 === 50) waiting.push(event!);
      else journal.settle([event!], 'confirmed');
    }
    // What is under way when the last segments close is over when the journal is closed.
    await journal.close();
    const sizes = (await readdir(join(directory, 'events'))).filter((name) => name.endsWith('.log'));
    expect(sizes.length).toBeGreaterThan(15);
    const reopened = await openJournal(directory, clockAt(1_000n), 1_000_000);
    expect(reopened.bytes).toBeLessThan(6_500_000);
    expect(reopened.damage).toEqual([]);
    expect(
      (await unsettled(reopened)).map(({ id, position, body }) => [
        id,
        position,
        Buffer.from(body).toString('utf8', 0, 8),
      ]),
    ).toEqual(waiting.map(({ id, position, body }) => [id, position, Buffer.from(body).toString('utf8', 0, 8)]));
    expect(await reopened.load(waiting.map(({ position }) => position))).toHaveLength(waiting.length);
    reopened.settle(await unsettled(reopened), 'confirmed');
    await reopened.close();
    const last = await openJournal(directory, clockAt(1_000n), 1_000_000);
    expect(last.books.get('r')).toMatchObject({ received: 2_000, confirmed: 2_000, pending: 0 });
    await last.close();
    expect((await readdir(join(directory, 'events'))).filter((name) => name.endsWith('.log')).length).toBeLessThan(3);
  });

  it('knows the last messages again although their segments are gone, or their list is', async () => {
    const directory = await temporaryFolder();
    const body = (n: number) => Buffer.from(`body ${n}`);
    const take = (journal: FileJournal, n: number, broker: string) => {
      const packet = { packetId: n, broker };
      journal.redeliveriesOf(broker).note(n, digestOf('t', body(n)));
      journal.append({ registration: 'r', topic: 't', qos: 1, retain: false, body: body(n), ...packet });
    };
    const isKnown = (journal: FileJournal, n: number, broker: string) =>
      journal.redeliveriesOf(broker).isRepeated(n, digestOf('t', body(n)));
    const first = await openJournal(directory);
    for (let n = 1; n <= 100; n++) take(first, n, n % 2 === 1 ? '' : 'mqtt://other');
    await first.durable();
    first.settle(await unsettled(first), 'confirmed');
    await first.close();
    for (let start = 0; start < 2; start++) {
      const journal = await openJournal(directory);
      for (const n of [1, 51, 99]) expect(isKnown(journal, n, '')).toBe(true);
      for (const n of [2, 100]) expect(isKnown(journal, n, 'mqtt://other')).toBe(true);
      expect(isKnown(journal, 2, '')).toBe(false);
      await journal.close();
    }
    const second = await openJournal(directory);
    for (let n = 101; n <= 150; n++) take(second, n, '');
    await second.durable();
    await second.close();
    await unlink(join(directory, 'packets'));
    const third = await openJournal(directory);
    for (const n of [101, 125, 150]) expect(isKnown(third, n, '')).toBe(true);
    await third.close();
  });

  it.skipIf(!SmallDisk.isPossible)('counts and knows after a crash what was on disk, and nothing else', async () => {
    const directory = await temporaryFolder();
    await mkdir(join(directory, 'events'));
    const disk = await SmallDisk.mount(256 * 1024, join(directory, 'events'));
    const body = (n: number) => Buffer.from(`${n} `.padEnd(200));
    const take = (journal: FileJournal, n: number) => {
      journal.redeliveriesOf('').note(n, digestOf('t', body(n)));
      return journal.append({ registration: 'r', topic: 't', qos: 1, retain: false, body: body(n), packetId: n });
    };
    const isKnown = (journal: FileJournal, n: number) =>
      journal.redeliveriesOf('').isRepeated(n, digestOf('t', body(n)));

    const journal = await openJournal(directory, clockAt(1_000n), 20_000);
    for (let n = 1; n <= 100; n++) take(journal, n);
    await journal.durable();
    const first = await unsettled(journal);
    disk.fill();
    for (let n = 101; n <= 600; n++) take(journal, n);
    await expect.poll(() => journal.stalledBy).toBeDefined();
    // The other folders have room: the first segment goes, and the packets are written down.
    journal.settle(first.slice(0, 90), 'confirmed');
    await expect.poll(() => readdir(join(directory, 'events'))).not.toContain('0000000001.fates');
    expect(await readdir(directory)).toContain('packets');

    const crashed = await temporaryFolder();
    await cp(directory, crashed, { recursive: true, filter: (file) => !file.endsWith('ballast') });
    const after = await openJournal(crashed, clockAt(1_000n), 20_000);
    const { received, pending, confirmed } = after.books.get('r')!;
    expect(pending).toBe((await unsettled(after)).length);
    expect([confirmed, received]).toEqual([90, 90 + pending]);
    expect(pending).toBeLessThan(300);
    expect(await after.selfCheck()).toEqual([]);
    expect(isKnown(after, 50)).toBe(true);
    expect(isKnown(after, 600)).toBe(false);
    await after.close();

    disk.makeRoom();
    await journal.durable();
    expect(await unsettled(journal)).toHaveLength(510);
    await journal.close();
  });

  it('keeps what is parked again while it is taken out', async () => {
    const journal = await openJournal(await temporaryFolder());
    const reason = { code: 'BAD', message: 'bad' };
    const events = await append(journal, ...messages(50));
    await journal.park(events.map((event) => ({ event, reason })));
    const changes = events.map(({ id }) => ({ id, registration: 'r' }));
    const twice = [journal.redrive(changes), journal.redrive(changes)];
    await expect.poll(() => journal.books.get('r')!.pending).toBeGreaterThan(0);
    await journal.park((await unsettled(journal)).map((event) => ({ event, reason })));
    expect((await Promise.all(twice)).reduce((sum, count) => sum + count)).toBe(50);
    await journal.park((await unsettled(journal)).map((event) => ({ event, reason })));
    expect(journal.books.get('r')).toMatchObject({ received: 50, pending: 0, parked: 50 });
    expect(journal.parked.count).toBe(50);
    await journal.close();
  });

  it('says where the books differ from the log', async () => {
    const directory = await temporaryFolder();
    const first = await openJournal(directory);
    for (let n = 0; n < 50; n++) first.append(message(n));
    await first.durable();
    expect(await first.selfCheck()).toEqual([]);
    await first.close();
    const file = join(directory, 'events', '0000000002.log');
    const data = await readFile(file);
    data[40] = data[40]! ^ 0xff;
    await writeFile(file, data);
    const second = await openJournal(directory);
    expect(await second.selfCheck()).toEqual([
      expect.stringMatching(/^r: \d+ pending in segment 2 by the books, \d+ in/),
    ]);
    expect(second.damage).toHaveLength(1);
    await second.close();
  });

  it('knows after a stop what was being parked meanwhile as parked, and nothing else', async () => {
    for (let round = 0; round < 20; round++) {
      const directory = await temporaryFolder();
      const journal = await openJournal(directory, clockAt(1_000n), 1_000_000);
      const [first, second] = await append(journal, ...messages(2));
      journal.settle([first!], 'confirmed');
      const parking = journal.park([{ event: second!, reason: { code: 'BAD', message: 'bad' } }]);
      await journal.close();
      await parking;
      const again = await openJournal(directory);
      expect(again.books.get('r')).toMatchObject({ received: 2, confirmed: 1, parked: 1, pending: 0 });
      expect(await unsettled(again)).toEqual([]);
      await again.close();
    }
  });

  it('counts a segment once whose files could not be removed before the stop', async () => {
    const directory = await temporaryFolder();
    const journal = await openJournal(directory);
    const events = await append(journal, ...messages(40));
    const obstacle = join(directory, 'events', '0000000001.log');
    const content = await readFile(obstacle);
    await unlink(obstacle);
    await mkdir(obstacle);
    journal.settle(events, 'confirmed');
    await journal.close();
    await rmdir(obstacle);
    await writeFile(obstacle, content);
    const again = await openJournal(directory);
    expect(again.books.get('r')).toMatchObject({ received: 40, confirmed: 40, pending: 0 });
    expect(await again.selfCheck()).toEqual([]);
    await again.close();
  });

  it('agrees with a model under appends, settlements, crashes at any byte and restarts', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant('append' as const), registration: fc.constantFrom('a', 'b') }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('settle' as const),
          nth: fc.nat(50),
          fate: fc.constantFrom('confirmed' as const, 'expired' as const),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), lost: fc.nat(40), fates: fc.nat(60) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const directory = await temporaryFolder();
        const clock = clockAt(1_000n);
        let journal = await openJournal(directory, clock, 300);
        // What the journal must know: durable events by topic, settled or not.
        let model: Array<{ topic: string; event: Event; settled: boolean }> = [];
        let n = 0;
        for (const each of steps) {
          if (each.do === 'append') {
            const [event] = await append(journal, message(n++, each.registration));
            model.push({ topic: event!.topic, event: event!, settled: false });
          } else if (each.do === 'settle') {
            const open = model.filter(({ settled }) => !settled);
            const chosen = open[each.nth % Math.max(1, open.length)];
            if (!chosen) continue;
            journal.settle([chosen.event], each.fate);
            chosen.settled = true;
          } else {
            await journal.close();
            if (each.do === 'crash') {
              // A crash leaves an unfinished commit behind the durable events, and may lose fates, which aren't synced.
              const names = (await readdir(join(directory, 'events'))).sort();
              const segment = names.filter((name) => name.endsWith('.log')).at(-1);
              if (segment) await appendFile(join(directory, 'events', segment), Buffer.alloc(each.lost, 0x5a));
              const fates = names.filter((name) => name.endsWith('.fates')).at(-1);
              if (fates) {
                const size = (await readFile(join(directory, 'events', fates))).length;
                await truncate(join(directory, 'events', fates), Math.max(0, size - each.fates));
              }
            }
            journal = await openJournal(directory, clock, 300);
            const open = new Map((await unsettled(journal)).map((event) => [event.topic, event]));
            for (const entry of model) {
              const event = open.get(entry.topic);
              if (!entry.settled) expect(event?.id).toBe(entry.event.id);
              if (event) {
                entry.event = event;
                entry.settled = false;
              }
            }
          }
        }
        await journal.close();
        journal = await openJournal(directory, clock, 300);
        const open = await unsettled(journal);
        expect(open.map(({ topic }) => topic)).toEqual(
          model.filter(({ settled }) => !settled).map(({ topic }) => topic),
        );
        let received = 0;
        for (const books of journal.books.values()) {
          received += books.received;
          expect(books.received).toBe(books.confirmed + books.pending + books.parked + books.expired);
        }
        expect(received).toBe(n);
        expect(await journal.selfCheck()).toEqual([]);
        model = [];
        await journal.close();
      }),
      { numRuns: 150 },
    );
  }, 120_000);
});
