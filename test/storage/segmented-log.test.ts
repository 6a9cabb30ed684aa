import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LogProblem, SegmentedLog } from '../../src/storage/segmented-log.ts';
import { temporaryFolder } from '../support/temporary.ts';

async function openLog(directory: string, segmentBytes = 1024) {
  const records: string[] = [];
  const problems: LogProblem[] = [];
  const log = await SegmentedLog.open(
    { directory, segmentBytes, lingerMs: 0 },
    (payload) => records.push(payload.toString()),
    (problem) => problems.push(problem),
  );
  return { log, records, problems };
}

async function written(directory: string, payloads: string[], segmentBytes?: number): Promise<void> {
  const { log } = await openLog(directory, segmentBytes);
  for (const payload of payloads) log.append(Buffer.from(payload));
  await log.close();
}

describe('SegmentedLog', () => {
  it('gives back what was appended, in order, over segments and restarts', async () => {
    const directory = await temporaryFolder();
    const payloads = Array.from({ length: 200 }, (_, n) => `record ${n} ${'x'.repeat(n % 50)}`);
    await written(directory, payloads.slice(0, 100));
    await written(directory, payloads.slice(100));
    const { log, records, problems } = await openLog(directory);
    expect(records).toEqual(payloads);
    expect(problems).toEqual([]);
    expect(log.segmentNumbers.length).toBeGreaterThan(3);
    await log.close();
  });

  it('reads a record by its position, and on from a position', async () => {
    const { log } = await openLog(await temporaryFolder());
    const positions = ['one', 'two', 'x'.repeat(2_000), 'four'].map((payload) => log.append(Buffer.from(payload)));
    await log.durable();
    expect((await log.read(positions[1]!)).toString()).toBe('two');
    const seen: string[] = [];
    for (let at = positions[1]!; ; ) {
      const next = await log.readFrom(at, (_, data, from, to) => seen.push(data.toString('utf8', from, to)), 16);
      if (next === at) break;
      at = next;
    }
    expect(seen).toEqual(['two', 'x'.repeat(2_000), 'four']);
    await log.close();
  });

  it.each([
    ['from memory', 1_000_000],
    ['partly from memory', 4_096],
    ['from disk', 0],
  ])('collects records far and near by their positions, %s, and recalls what it keeps', async (_, keepBytes) => {
    const directory = await temporaryFolder();
    const options = { directory, segmentBytes: 300_000, lingerMs: 0, keepBytes };
    const log = await SegmentedLog.open(
      options,
      () => {},
      () => {},
    );
    // Beyond a chunk's and a collected range's size, and more than a chunk alone.
    const payloads = Array.from({ length: 3_000 }, (_, n) => `${n} ${'x'.repeat(n === 1_500 ? 100_000 : n % 400)}`);
    const positions: number[] = [];
    for (const [n, payload] of payloads.entries()) {
      positions.push(log.append(Buffer.from(payload)));
      if (n % 500 === 499) await log.durable();
    }
    await log.durable();

    for (const every of [1, 7, 400]) {
      const wanted = positions.filter((_, n) => n % every === 0);
      const found: string[] = [];
      const views: Buffer[] = [];
      await log.collect(wanted, (position, data, from, to) => {
        found.push(payloads[positions.indexOf(position)]!);
        views.push(data.subarray(from, to));
      });
      for (let n = 0; n < 200; n++) log.append(Buffer.alloc(1_000)); // fills chunks that were let go of
      await log.durable();
      expect(views.map(String)).toEqual(payloads.filter((_, n) => n % every === 0));
      expect(found.length).toBe(wanted.length);
    }

    const [first] = log.segmentNumbers;
    await log.removeSegment(first!);
    const left: number[] = [];
    await log.collect([positions[0]!, positions[2_999]!], (position) => left.push(position));
    expect(left).toEqual([positions[2_999]]);
    await log.close();
  });

  it('recalls what is durable and kept, as it would be read', async () => {
    const log = await SegmentedLog.open(
      { directory: await temporaryFolder(), segmentBytes: 5_000, lingerMs: 0, keepBytes: 1_000_000 },
      () => {},
      () => {},
    );
    const nothing = () => expect.unreachable();
    expect(log.recallFrom(0, nothing)).toBeUndefined();
    const first = log.append(Buffer.from('first'));
    expect(log.recallFrom(first, nothing)).toBeUndefined(); // not durable
    for (let n = 0; n < 1_000; n++) log.append(Buffer.from(`record ${n}`));
    await log.durable();
    let at = first;
    for (let read = 0; read <= 1_000; ) {
      const recalled: unknown[] = [];
      const records: unknown[] = [];
      const noteIn = (seen: unknown[]) => (position: number, data: Buffer, from: number, to: number) =>
        seen.push([position, data.toString('utf8', from, to)]);
      const next = log.recallFrom(at, noteIn(recalled))!;
      await log.readFrom(at, noteIn(records));
      expect(recalled).toEqual(records.slice(0, recalled.length));
      read += recalled.length;
      at = next;
    }
    expect(log.recallFrom(at, nothing)).toBeUndefined();
    await log.close();
  });

  it.each([1_000, 100_000])('reads on from what was let go of, in holes of records of %i bytes', async (bytes) => {
    const { log, problems } = await openLog(await temporaryFolder(), 16 * 1024 * 1024);
    const positions = Array.from({ length: 60 }, (_, n) => log.append(Buffer.alloc(bytes, `${n} `)));
    const [segment] = log.segmentNumbers;
    log.startSegment();
    await log.durable();
    const kept = new Set([0, 20, 40].map((n) => `${n} `));
    await log.compact(segment!, (payload) => kept.has(payload.toString('utf8', 0, payload.indexOf(' ') + 1)));
    const from = async (position: number) => {
      const found: number[] = [];
      for (let at = position; ; ) {
        const next = await log.readFrom(at, (each) => found.push(each));
        if (next === at) return found;
        at = next;
      }
    };
    const left = [0, 20, 40].map((n) => positions[n]!);
    for (const position of positions) expect(await from(position)).toEqual(left.filter((each) => each >= position));
    expect(problems).toEqual([]);
    await log.close();
  });

  it('has nothing to read, and no damage, while it is empty', async () => {
    const { log, problems } = await openLog(await temporaryFolder());
    expect(await log.readFrom(0, () => expect.unreachable())).toBe(0);
    log.startSegment();
    log.append(Buffer.from('first'));
    expect(await log.readFrom(0, () => expect.unreachable())).toBe(0);
    await log.durable();
    const read: string[] = [];
    await log.readFrom(0, (_, data, from, to) => read.push(data.toString('utf8', from, to)));
    expect(read).toEqual(['first']);
    expect(problems).toEqual([]);
    await log.close();
  });

  it('cuts a torn tail wherever the crash struck and keeps every whole record before it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 8 }),
        fc.nat(),
        async (payloads, cut) => {
          const directory = await temporaryFolder();
          await written(directory, payloads, 2 ** 20);
          const file = join(directory, '0000000001.log');
          const size = (await stat(file)).size;
          const kept = cut % (size + 1);
          await truncate(file, kept);
          const { log, records, problems } = await openLog(directory);
          expect(records).toEqual(payloads.slice(0, records.length));
          let whole = 0;
          for (let end = 8; whole < payloads.length; whole++) {
            end += 8 + Buffer.byteLength(payloads[whole]!);
            if (end > kept) break;
          }
          expect(records.length).toBe(whole);
          expect(problems.every(({ kind }) => kind === 'torn')).toBe(true);
          log.append(Buffer.from('after'));
          await log.close();
          const again = await openLog(directory);
          expect(again.records).toEqual([...payloads.slice(0, whole), 'after']);
          await again.log.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('reports damage in the middle, sets the segment aside and reads on behind it', async () => {
    const directory = await temporaryFolder();
    await written(directory, ['first', 'second', 'third']);
    const file = join(directory, '0000000001.log');
    const data = await readFile(file);
    data[data.indexOf('second')]! ^= 0xff;
    await writeFile(file, data);
    const { log, records, problems } = await openLog(directory);
    expect(records).toEqual(['first', 'third']);
    expect(problems).toMatchObject([{ kind: 'damaged', file, from: 8 + 8 + 5 }]);
    expect(await readFile(problems[0]!.setAside!)).toEqual(data);
    await log.close();
  });

  it('refuses a segment of a newer format, and leaves it alone', async () => {
    const directory = await temporaryFolder();
    await written(directory, ['kept']);
    const file = join(directory, '0000000001.log');
    const data = await readFile(file);
    data.writeUInt32LE(99, 4);
    await writeFile(file, data);
    await expect(openLog(directory)).rejects.toMatchObject({ code: 'LOG_VERSION_UNKNOWN' });
    expect(await readFile(file)).toEqual(data);
  });

  it('never throws on a file of garbage', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (garbage) => {
        const directory = await temporaryFolder();
        await writeFile(
          join(directory, '0000000001.log'),
          Buffer.concat([Buffer.from('FWLG\x01\0\0\0', 'latin1'), garbage]),
        );
        const { log } = await openLog(directory);
        log.append(Buffer.from('after'));
        await log.close();
        const again = await openLog(directory);
        expect(again.records.at(-1)).toBe('after');
        await again.log.close();
      }),
      { numRuns: 100 },
    );
  });

  it('commits together what is appended while a commit is in flight', async () => {
    const { log } = await openLog(await temporaryFolder(), 2 ** 20);
    log.append(Buffer.from('first'));
    for (let n = 0; n < 1_000; n++) log.append(Buffer.from(`record ${n}`));
    await log.durable();
    expect(log.commits).toBeLessThanOrEqual(2);
    await log.close();
  });

  it('removes segments but the current one', async () => {
    const directory = await temporaryFolder();
    const { log } = await openLog(directory);
    for (let n = 0; n < 50; n++) log.append(Buffer.from('x'.repeat(100)));
    await log.durable();
    for (const segment of log.segmentNumbers) await log.removeSegment(segment);
    expect(await readdir(directory)).toHaveLength(1);
    expect(log.segmentNumbers).toEqual([log.currentSegment]);
    await log.close();
  });
});
