import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { cleanUp } from '../../../actions/shared/workdir/clean-up.ts';
import { cycleOf } from '../../../actions/shared/workdir/cycle.ts';
import { archiveKey } from '../../../actions/shared/workdir/key.ts';
import { openStore } from '../../../actions/shared/workdir/open-store.ts';
import { pull } from '../../../actions/shared/workdir/pull.ts';
import { push } from '../../../actions/shared/workdir/push.ts';
import type { StoreSecrets, WorkdirStore } from '../../../actions/shared/workdir/store.ts';

import { temporaryFolder } from '../../support/temporary.ts';

/** A store to test, and how a vandal gets at what it holds. */
export interface Subject {
  readonly url: string;
  readonly secrets?: StoreSecrets;
  /** Replaces the bytes of an archive behind the store's back, and nothing else. */
  alter(key: string, bytes: Buffer): Promise<void>;
  /** False where the store has to be told its lakes. */
  readonly tellsLakes?: false;
}

export const keyFor = (container: string, stamp = '20200522', lake = 'fcre') =>
  `${lake}/${container}/${lake}_${stamp}_${container}_workingdirectory.tar.gz`;

export function put(store: WorkdirStore, key: string, content: Buffer): Promise<void> {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return store.put(key, Readable.from([content]), { size: content.length, sha256 });
}

export async function read(store: WorkdirStore, key: string): Promise<Buffer> {
  return buffer((await store.get(key)).content);
}

/** What every store of working directories promises. @param prepare a fresh, empty store */
export function storeContract(prepare: () => Promise<Subject>): void {
  workflowContract(prepare);
  const open = async () => {
    const subject = await prepare();
    return { subject, store: await openStore(subject.url, subject.secrets) };
  };

  it('gives back what was put, and its size and digest', async () => {
    const { store } = await open();
    const content = randomBytes(3_000_000);
    await put(store, keyFor('a'), content);
    const { content: stream, size } = await store.get(keyFor('a'));
    expect(size).toBe(content.length);
    expect((await buffer(stream)).equals(content)).toBe(true);
    expect(stream.sha256).toBe(createHash('sha256').update(content).digest('hex'));
  });

  it('lists keys, sizes and times by prefix, and nothing of its own', async () => {
    const { store, subject } = await open();
    const before = Date.now() - 2_000; // S3 and git tell whole seconds
    for (const [container, stamp] of [
      ['b', '20200523'],
      ['a', '20200522'],
      ['a', '20200523T0600Z'],
      ['ab', '20200522'],
    ]) {
      await put(store, keyFor(container!, stamp), Buffer.from(`${container}${stamp}`));
    }
    await put(store, keyFor('a', '20200522', 'sunp'), Buffer.from('x'));
    if (subject.tellsLakes === false) await expect(store.lakes()).rejects.toMatchObject({ code: 'STORE_INVALID' });
    else expect(await store.lakes()).toEqual(['fcre', 'sunp']);
    const all = await store.list('fcre/');
    expect(all.map(({ key, size }) => [key, size])).toEqual([
      [keyFor('a'), 9],
      [keyFor('a', '20200523T0600Z'), 15],
      [keyFor('ab'), 10],
      [keyFor('b', '20200523'), 9],
    ]);
    for (const { publishedAt } of all) expect(publishedAt).toBeGreaterThan(before);
    expect((await store.list('fcre/a/')).map(({ key }) => key)).toEqual([keyFor('a'), keyFor('a', '20200523T0600Z')]);
    expect(await store.list('none/')).toEqual([]);
  });

  it('replaces, removes, and says what is not there by its key', async () => {
    const { store } = await open();
    const missing = expect.objectContaining({ code: 'NoSuchKey', meta: { key: keyFor('a') } });
    await expect(store.get(keyFor('a'))).rejects.toEqual(missing);
    expect(await store.exists(keyFor('a'))).toBe(false);
    await put(store, keyFor('a'), Buffer.from('first'));
    await put(store, keyFor('b'), Buffer.from('other'));
    await put(store, keyFor('a'), Buffer.from('second'));
    expect(String(await read(store, keyFor('a')))).toBe('second');
    expect(await store.exists(keyFor('a'))).toBe(true);
    await store.remove(keyFor('a'));
    await store.remove(keyFor('a'));
    await expect(store.get(keyFor('a'))).rejects.toEqual(missing);
    expect(String(await read(store, keyFor('b')))).toBe('other');
    await store.remove(keyFor('b'));
    expect(await store.list('fcre/')).toEqual([]);
  });

  it('publishes nothing of content that is not what it should be, or breaks off', async () => {
    const { store } = await open();
    await put(store, keyFor('a'), Buffer.from('whole'));
    const facts = { size: 7, sha256: createHash('sha256').update('content').digest('hex') };
    for (const wrong of ['CONTENT', 'conten', 'content!']) {
      await expect(store.put(keyFor('a'), Readable.from([Buffer.from(wrong)]), facts)).rejects.toMatchObject({
        code: 'ARCHIVE_ALTERED',
        message: expect.stringContaining(keyFor('a')),
      });
    }
    const breaking = async function* () {
      yield randomBytes(10_000_000);
      throw new Error('the sender died');
    };
    const large = { size: 20_000_000, sha256: 'a'.repeat(64) };
    await expect(store.put(keyFor('b'), Readable.from(breaking()), large)).rejects.toThrow('the sender died');
    expect(String(await read(store, keyFor('a')))).toBe('whole');
    expect(await store.exists(keyFor('b'))).toBe(false);
    expect((await store.list('fcre/')).map(({ key }) => key)).toEqual([keyFor('a')]);
    expect(await store.remains(Date.now() + 60_000)).toEqual([]);
  });

  it.each([
    ['altered', (content: Buffer) => Buffer.from(content).fill(7, 10, 20)],
    ['torn', (content: Buffer) => content.subarray(0, 50_000)],
    ['empty', () => Buffer.alloc(0)],
  ])('refuses an archive that is %s, by name', async (_, damage) => {
    const { store, subject } = await open();
    const content = randomBytes(100_000);
    await put(store, keyFor('a'), content);
    await subject.alter(keyFor('a'), damage(content));
    await expect(read(store, keyFor('a'))).rejects.toMatchObject({
      code: 'ARCHIVE_ALTERED',
      message: expect.stringContaining(keyFor('a')),
      meta: { key: keyFor('a') },
    });
  });

  it('keeps every one of many puts at the same time, and one of those to the same key', {
    timeout: 120_000,
  }, async () => {
    const { store } = await open();
    const containers = ['a', 'b', 'c'];
    const attempts = ['1', '2'].map((n) => Buffer.from(`attempt ${n}`));
    await Promise.all([
      ...containers.map((name) => put(store, keyFor(name), Buffer.from(name))),
      ...attempts.map((content) => put(store, keyFor('same'), content)),
    ]);
    for (const name of containers) expect(String(await read(store, keyFor(name)))).toBe(name);
    expect(String(await read(store, keyFor('same')))).toMatch(/^attempt \d$/);
  });

  it('lets a reader finish what is replaced or removed meanwhile', async () => {
    const { store } = await open();
    const contents = [randomBytes(5_000_000), randomBytes(5_000_000)] as const;
    await put(store, keyFor('a'), contents[0]);
    const first = await store.get(keyFor('a'));
    await put(store, keyFor('a'), contents[1]);
    const second = await store.get(keyFor('a'));
    await store.remove(keyFor('a'));
    expect((await buffer(first.content)).equals(contents[0])).toBe(true);
    expect((await buffer(second.content)).equals(contents[1])).toBe(true);
  });

  it.each(['../x/y', 'fcre/../../x', '/etc/passwd', 'fcre//x', 'fcre/a/.hidden', 'x', 'a/b\n'])(
    'takes %j for no key',
    async (key) => {
      const { store } = await open();
      await expect(put(store, key, Buffer.from('x'))).rejects.toMatchObject({ code: 'STORE_INVALID' });
      await expect(store.get(key)).rejects.toMatchObject({ code: 'STORE_INVALID' });
      await expect(store.remove(key)).rejects.toMatchObject({ code: 'STORE_INVALID' });
    },
  );
}

/** Pulls, marks and the clean-up on a store, whatever it is. */
function workflowContract(prepare: () => Promise<Subject>): void {
  it('serves a lake through pushes, pulls and the clean-up', { timeout: 120_000 }, async () => {
    const subject = await prepare();
    const store = await openStore(subject.url, subject.secrets);
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'output'), 'of a step');
    const cycles = ['2020-05-20', '2020-05-21', '2020-05-22'].map((date) => cycleOf({ lake: 'fcre', date }));
    for (const cycle of cycles) await push({ store, cycle, container: 'first', from: folder });
    const into = await temporaryFolder();
    await pull({ store, cycle: cycles[1]!, container: 'second', dependencies: ['first'], lookBack: 0, into });
    expect(await readFile(join(into, 'first', 'output'), 'utf8')).toBe('of a step');

    const request = { store, lakes: ['fcre'], retention: { days: 14, keep: 1 }, now: Date.now(), isDryRun: false };
    const [oldest, used, newest] = cycles.map((cycle) => archiveKey(cycle, 'first')) as [string, string, string];
    const dry = await cleanUp({ ...request, isDryRun: true });
    expect(dry).toMatchObject({ removed: [{ key: oldest, size: expect.any(Number) }], inUse: [used], kept: 2 });
    expect(dry.freed).toBeGreaterThan(100);
    expect(await cleanUp(request)).toEqual(dry);
    const left = async () => (await store.list('fcre/first/')).map(({ key }) => key);
    expect(await left()).toEqual([used, newest]);
    // Two days later the mark no longer counts, and goes too.
    await cleanUp({ ...request, now: Date.now() + 2 * 86_400_000 });
    expect(await left()).toEqual([newest]);
    expect(await store.list('fcre/running/')).toEqual([]);
  });
}
