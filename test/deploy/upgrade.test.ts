import { cp, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FileJournal } from '../../src/adapters/journal/journal.ts';
import { systemClock } from '../../src/adapters/system/clock.ts';
import type { Event } from '../../src/core/event.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { ROOT } from './support/images.ts';

const FIXTURES = join(ROOT, 'test/fixtures/journal');

/** A copy of the journal that a version left (fixtures/journal/make.ts). */
async function left(version: string): Promise<string> {
  const directory = await temporaryFolder();
  await cp(join(FIXTURES, version), directory, { recursive: true });
  return directory;
}

async function opened(directory: string): Promise<FileJournal> {
  const log = pino({ level: 'silent' });
  const journal = await FileJournal.open({ directory, maxBytes: 1e9, segmentBytes: 400, clock: systemClock, log });
  onTestFinished(() => journal.close());
  return journal;
}

async function unsettled(journal: FileJournal): Promise<Event[]> {
  const places: number[] = [];
  for (let at = 0; ; ) {
    const next = await journal.unsettledFrom(at, ({ position }) => places.push(position));
    if (next === at) return journal.load(places);
    at = next;
  }
}

describe.each(['without-keys', 'with-keys'])('the journal of the version %s', (version) => {
  it('goes on: what was not settled, as it was', async () => {
    const journal = await opened(await left(version));
    const events = await unsettled(journal);
    const numbers = [10, ...Array.from({ length: 11 }, (_, n) => 13 + n)];
    expect(events.map(({ topic }) => topic)).toEqual(numbers.map((n) => `lake/${n}`));
    expect(events.map(({ body }) => body.toString())).toEqual(numbers.map((n) => `{"temperature":${n}}`));
    expect(events[0]).toMatchObject({ id: '1700000011000000000', registration: 'even', qos: 1, retain: false });
  });

  it('with its books and what is parked', async () => {
    const journal = await opened(await left(version));
    const settled = { pending: 6, confirmed: 5 };
    expect(journal.books.get('even')).toEqual({ ...settled, received: 13, parked: 0, expired: 1, deduplicated: 1 });
    expect(journal.books.get('odd')).toEqual({ ...settled, received: 12, parked: 1, expired: 0, deduplicated: 0 });
    expect(journal.parked.list()).toMatchObject([
      { topic: 'lake/11', registration: 'odd', batchId: 'b1', reason: { code: 'NOT_JSON', message: 'is no JSON' } },
    ]);
  });

  it('takes new events after the old ones', async () => {
    const journal = await opened(await left(version));
    const place = journal.append({
      registration: 'odd',
      topic: 'lake/24',
      qos: 1,
      retain: false,
      body: Buffer.from('{}'),
    });
    await journal.durable();
    const last = (await unsettled(journal)).at(-1)!;
    expect(last.position).toBe(place);
    expect(last.sequence).toBe(25);
  });
});

describe("a newer version's journal is refused", () => {
  const refusal = /was written by a newer fogwhisk \(format 2, this one knows 1\); start that version, or set dataDir/;

  it('by its segments', async () => {
    const directory = await left('with-keys');
    const last = (await readdir(join(directory, 'events')))
      .filter((name) => name.endsWith('.log'))
      .sort()
      .at(-1)!;
    const file = await open(join(directory, 'events', last), 'r+');
    await file.write(Buffer.of(2), 0, 1, 4);
    await file.close();
    await expect(opened(directory)).rejects.toThrow(refusal);
  });

  it('by its books', async () => {
    const directory = await left('with-keys');
    const file = join(directory, 'closed.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"version":1', '"version":2'));
    await expect(opened(directory)).rejects.toThrow(refusal);
  });
});
