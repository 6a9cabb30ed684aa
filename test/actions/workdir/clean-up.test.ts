import { execFile } from 'node:child_process';
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { type CleanUpReport, cleanUp } from '../../../actions/shared/workdir/clean-up.ts';
import { cycleOf, earlier } from '../../../actions/shared/workdir/cycle.ts';
import { archiveKey } from '../../../actions/shared/workdir/key.ts';
import { openStore } from '../../../actions/shared/workdir/open-store.ts';
import { pull } from '../../../actions/shared/workdir/pull.ts';
import { push } from '../../../actions/shared/workdir/push.ts';
import { markEnded, markRunning } from '../../../actions/shared/workdir/running.ts';
import type { WorkdirStore } from '../../../actions/shared/workdir/store.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { put, read } from './store-contract.ts';

const run = promisify(execFile);
const TODAY = cycleOf({ lake: 'fcre', date: '2020-05-22' });
const NOW = Date.parse('2020-05-22T04:30:00Z');
const DAY_MS = 86_400_000;

/** A store whose archives are as old as their cycles. */
async function storeOfDays(containers: readonly string[], days: readonly number[], lake = 'fcre') {
  const folder = await temporaryFolder();
  const store = await openStore(`fs:${folder}`);
  const publish = async (container: string, day: number) => {
    const key = archiveKey({ ...earlier(TODAY, day), lake }, container);
    await put(store, key, Buffer.alloc(1_000, container));
    await age(key, day);
    return key;
  };
  const age = async (key: string, day: number) => {
    const time = new Date(NOW - day * DAY_MS - 3_600_000);
    await utimes(join(folder, key), time, time);
  };
  for (const container of containers) for (const day of days) await publish(container, day);
  const ages = async () =>
    (await store.list(`${lake}/`))
      .filter(({ key }) => key.endsWith('.gz'))
      .map(({ key }) => `${key.split('/')[1]} ${days.find((day) => key === keyOf(key.split('/')[1]!, day))}`);
  const keyOf = (container: string, day: number) => archiveKey({ ...earlier(TODAY, day), lake }, container);
  return { folder, store, publish, age, ages, keyOf };
}

const request = (store: WorkdirStore, more: object = {}) => ({
  store,
  retention: { days: 14, keep: 100 },
  now: NOW,
  isDryRun: false,
  ...more,
});

describe('the clean-up', () => {
  it('removes what is too old, and tells what it removed and freed', async () => {
    const { store, ages, keyOf } = await storeOfDays(['a', 'b'], [0, 13, 14, 20]);
    const report = await cleanUp(request(store));
    expect(report).toEqual({
      store: store.name,
      removed: [keyOf('a', 20), keyOf('b', 20), keyOf('a', 14), keyOf('b', 14)].map((key) => ({ key, size: 1_000 })),
      freed: 4_000,
      kept: 4,
      inUse: [],
      remains: [],
    });
    expect(await ages()).toEqual(['a 13', 'a 0', 'b 13', 'b 0']);
  });

  it('removes what is too many, each container counted alone', async () => {
    const { store, publish, ages } = await storeOfDays(['a', 'b'], [0, 1, 2, 3]);
    await publish('c', 3);
    await cleanUp(request(store, { retention: { days: 14, keep: 2 } }));
    expect(await ages()).toEqual(['a 1', 'a 0', 'b 1', 'b 0', 'c 3']);
  });

  it('never removes the newest of a container', async () => {
    const { store, ages } = await storeOfDays(['a', 'b'], [100, 200]);
    await cleanUp(request(store, { retention: { days: 1, keep: 1 } }));
    expect(await ages()).toEqual(['a 100', 'b 100']);
  });

  it('tells in a dry run the same and removes nothing', async () => {
    const { store, folder } = await storeOfDays(['a'], [0, 20]);
    const left = join(folder, 'fcre', 'a', '.x.part');
    await writeFile(left, 'left');
    await utimes(left, 1_000, 1_000);
    const listing = () => run('ls', ['-lRA', '--full-time', folder]).then(({ stdout }) => stdout);
    const before = await listing();
    const dry = await cleanUp(request(store, { isDryRun: true }));
    expect(await listing()).toBe(before);
    expect(await cleanUp(request(store))).toEqual(dry);
    expect(dry).toMatchObject({ freed: 1_004, remains: [{ name: 'fcre/a/.x.part', size: 4 }] });
    expect(await listing()).not.toContain('.part');
  });

  it('counts the age from when an archive was published: a cycle computed late is safe', async () => {
    const { store, age, keyOf, ages } = await storeOfDays(['a'], [0, 20]);
    await age(keyOf('a', 20), 1);
    await cleanUp(request(store));
    expect(await ages()).toEqual(['a 20', 'a 0']);
  });

  it('leaves what a running cycle may look back to, for a day or until it ends', async () => {
    const { store, ages, keyOf, folder } = await storeOfDays(['a'], [0, 29, 30, 31, 32]);
    const cycle = earlier(TODAY, 30);
    await markRunning(store, cycle, 1);
    const mark = join(folder, 'fcre', 'running', 'fcre_20200422_running_1.json');
    const age = async (ms: number) => utimes(mark, new Date(NOW - ms), new Date(NOW - ms));

    await age(DAY_MS - 60_000);
    expect(await cleanUp(request(store))).toMatchObject({ inUse: [keyOf('a', 31), keyOf('a', 30)], kept: 3 });
    expect(await ages()).toEqual(['a 31', 'a 30', 'a 0']);
    await age(DAY_MS + 60_000);
    await cleanUp(request(store));
    expect(await ages()).toEqual(['a 0']);
    expect(await store.list('fcre/running/')).toEqual([]);

    await markRunning(store, cycle, 1);
    await markEnded(store, cycle);
    expect(await store.list('fcre/running/')).toEqual([]);
  });

  it('leaves whole archives when it ends in the middle, and the next one goes on', async () => {
    const { store, ages } = await storeOfDays(['a', 'b'], [0, 20, 21, 22]);
    let removals = 0;
    const remove = store.remove.bind(store);
    store.remove = async (key) => {
      if (++removals === 3) throw new Error('the disk is gone');
      await remove(key);
    };
    await expect(cleanUp(request(store))).rejects.toThrow('the disk is gone');
    const left = (await store.list('fcre/')).map(({ key }) => key);
    expect(left).toHaveLength(6);
    for (const key of left) expect(await read(store, key)).toHaveLength(1_000);
    await cleanUp(request(store));
    expect(await ages()).toEqual(['a 0', 'b 0']);
  });

  it('never collides with pulls and pushes at the same time', async () => {
    const { store, folder } = await storeOfDays([], []);
    const from = join(folder, 'from');
    await mkdir(from);
    await writeFile(join(from, 'output'), Buffer.alloc(300_000, 'x'));
    const cycles = [40, 30, 20, 10, 0].map((days) => earlier(TODAY, days));
    // Every clean-up finds all but the newest old and too many.
    const sweep = () => cleanUp(request(store, { now: Date.now() + 60_000, retention: { days: 1, keep: 1 } }));
    let isDone = false;
    const sweeping = (async () => {
      const reports: CleanUpReport[] = [];
      while (!isDone) reports.push(await sweep());
      return reports;
    })();
    await Promise.all(
      cycles.map(async (cycle, n) => {
        const into = join(folder, `into-${n}`);
        for (let round = 0; round < 5; round++) {
          await pull({ store, cycle, container: 'first', dependencies: [], lookBack: 1, into });
          await push({ store, cycle, container: 'first', from });
          const [pulled] = await pull({
            store,
            cycle,
            container: 'second',
            dependencies: ['first'],
            lookBack: 1,
            into,
          });
          expect(pulled!.key).toBe(archiveKey(cycle, 'first'));
          expect((await readFile(join(into, 'first', 'output'))).length).toBe(300_000);
        }
        await markEnded(store, cycle);
      }),
    ).finally(() => {
      isDone = true;
    });
    expect((await sweeping).length).toBeGreaterThan(1);
    await sweep();
    expect((await store.list('fcre/')).map(({ key }) => key)).toEqual([archiveKey(TODAY, 'first')]);
  });
});

describe('the action workdirCleanup', () => {
  async function load() {
    const bundle = await build({
      entryPoints: ['actions/workdirCleanup/main.ts'],
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'cjs',
      write: false,
    });
    const code = `${bundle.outputFiles[0]!.text}\nreturn main`;
    return new Function('require', 'module', 'exports', code)(createRequire(import.meta.url), { exports: {} }, {}) as (
      params: Record<string, unknown>,
    ) => Promise<Record<string, unknown>>;
  }
  const parameters = { workdir_retention_days: '14', workdir_keep: '100', scheduledFor: '2020-05-22T04:30:00.000Z' };

  it('goes by the instant of its alarm, store by store', async () => {
    const main = await load();
    const [one, two] = [await storeOfDays(['a'], [0, 20]), await storeOfDays(['b'], [0, 20], 'sunp')];
    const stores = [`fs:${one.folder}`, `fs:${two.folder}`];
    const dry = await main({ ...parameters, stores, dryRun: true });
    expect(dry).toMatchObject({
      ok: true,
      dryRun: true,
      stores: [
        { store: stores[0], removed: [{ key: one.keyOf('a', 20), size: 1_000 }], removedCount: 1, freed: 1_000 },
        { store: stores[1], removed: [{ key: two.keyOf('b', 20), size: 1_000 }] },
      ],
    });
    expect(await main({ ...parameters, workdir_store: stores[0] })).toMatchObject({ ok: true, dryRun: false });
    expect(await one.ages()).toEqual(['a 0']);
    expect(await two.ages()).toEqual(['b 20', 'b 0']);
  });

  it('cleans up the other stores when one fails, and says which did', async () => {
    const main = await load();
    const good = await storeOfDays(['a'], [0, 20]);
    const file = join(good.folder, 'file');
    await writeFile(file, '');
    const result = await main({ ...parameters, stores: [`fs:${file}`, `fs:${good.folder}`] });
    expect(result).toMatchObject({
      error: {
        code: 'CLEANUP_INCOMPLETE',
        message: expect.stringContaining(file),
        meta: { stores: [{ code: 'STORE_FAILED' }, { removedCount: 1 }] },
      },
    });
    expect(await good.ages()).toEqual(['a 0']);
  });

  it.each([
    [{ scheduledFor: undefined }, 'PAYLOAD_INVALID'],
    [{ scheduledFor: 'yesterday' }, 'PAYLOAD_INVALID'],
    [{ dryRun: 'yes' }, 'PAYLOAD_INVALID'],
    [{ stores: 'fs:x' }, 'PAYLOAD_INVALID'],
    [{ lakes: ['../x'], stores: [] }, 'PAYLOAD_INVALID'],
    [{ workdir_keep: '0', stores: [] }, 'PARAMETER_INVALID'],
    [{}, 'CLEANUP_INCOMPLETE'],
  ])('refuses %j', async (wrong, code) => {
    expect(await (await load())({ ...parameters, ...wrong })).toMatchObject({ error: { code } });
  });
});
