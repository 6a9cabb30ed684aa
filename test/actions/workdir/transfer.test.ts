import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { cycleAt, cycleOf, earlier } from '../../../actions/shared/workdir/cycle.ts';
import { archiveKey, archiveNameOf } from '../../../actions/shared/workdir/key.ts';
import { openStore } from '../../../actions/shared/workdir/open-store.ts';
import { pull } from '../../../actions/shared/workdir/pull.ts';
import { push } from '../../../actions/shared/workdir/push.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const day = (date: string) => cycleOf({ lake: 'fcre', date, timezone: 'America/New_York' });

async function lab() {
  const folder = await temporaryFolder();
  const store = await openStore(`fs:${folder}/store`);
  const into = join(folder, 'shared');
  /** Publishes a directory with one file, the container's output of a day. */
  const publish = async (container: string, date: string) => {
    const from = join(folder, 'from', container);
    await rm(from, { recursive: true, force: true });
    await mkdir(from, { recursive: true });
    await writeFile(join(from, 'output'), `${container} of ${date}`);
    return push({ store, cycle: day(date), container, from });
  };
  const pullAs = (container: string, dependencies: string[], lookBack: number, date = '2020-05-22') =>
    pull({ store, cycle: day(date), container, dependencies, lookBack, into });
  const output = (container: string) => readFile(join(into, container, 'output'), 'utf8');
  return { folder, store, into, publish, pullAs, output };
}

describe('cycles', () => {
  it('are days of the calendar in their time zone, whatever the clocks do', () => {
    const cycle = cycleAt('fcre', '2020-03-09T03:30:00Z', 'America/New_York');
    expect(cycle).toMatchObject({ lake: 'fcre', date: '2020-03-08', period: 'P1D' });
    expect([1, 8, 9].map((days) => earlier(cycle, days).date)).toEqual(['2020-03-07', '2020-02-29', '2020-02-28']);
    expect(archiveKey(cycle, 'process-noaa')).toBe(
      'fcre/process-noaa/fcre_20200308_process-noaa_workingdirectory.tar.gz',
    );
  });

  it('of other periods go by their ISO time', () => {
    const cycle = cycleAt('fcre', '2020-03-08T08:00:00+02:00', 'America/New_York', 'PT6H');
    expect(cycle.date).toBe('2020-03-08T06:00:00Z');
    expect(archiveKey(earlier(cycle, 2), 'a')).toBe('fcre/a/fcre_20200307T1800Z_a_workingdirectory.tar.gz');
    expect(cycleOf(JSON.parse(JSON.stringify(cycle)))).toEqual(cycle);
  });

  it.each([
    [{ lake: 'fcre' }],
    [{ lake: '../x', date: '2020-05-22' }],
    [{ lake: 'a_b', date: '2020-05-22' }],
    [{ lake: 'fcre', date: '2020-02-30' }],
    [{ lake: 'fcre', date: '20200522' }],
    [{ lake: 'fcre', date: '2020-05-22', timezone: 'Mars/Base' }],
    [{ lake: 'fcre', date: '2020-05-22', period: 'PT0S' }],
    [{ lake: 'fcre', date: '2020-05-22T06:00:01Z', period: 'PT6H' }],
    ['2020-05-22'],
  ])('%j is none', (value) => {
    expect(() => cycleOf(value)).toThrow(expect.objectContaining({ code: 'PAYLOAD_INVALID' }));
  });

  it('stand in keys, which are read again', () => {
    const key = archiveKey(day('2020-05-22'), 'process-noaa');
    expect(archiveNameOf(key)).toEqual({ lake: 'fcre', container: 'process-noaa', stamp: '20200522' });
    expect(archiveNameOf('fcre/process-noaa/sunp_20200522_process-noaa_workingdirectory.tar.gz')).toBeUndefined();
    expect(archiveNameOf('fcre/running/fcre_20200522_running_1.json')).toBeUndefined();
  });
});

describe('pull', () => {
  it('brings the directory of the cycle, in place of what was there', async () => {
    const { publish, pullAs, output, into } = await lab();
    await publish('download-noaa', '2020-05-21');
    const pushed = await publish('download-noaa', '2020-05-22');
    await mkdir(join(into, 'download-noaa'), { recursive: true });
    await writeFile(join(into, 'download-noaa', 'stale'), '');
    const pulled = await pullAs('process-noaa', ['download-noaa'], 1);
    expect(pulled).toEqual([{ container: 'download-noaa', ...pushed }]);
    expect(await output('download-noaa')).toBe('download-noaa of 2020-05-22');
    expect(await readdir(into)).toEqual(['download-noaa']);
    expect(await readdir(join(into, 'download-noaa'))).toEqual(['output']);
  });

  it.each([1, 3])('looks back: an archive of %i days ago is found', async (days) => {
    const { publish, pullAs, output } = await lab();
    const date = earlier(day('2020-05-22'), days).date;
    await publish('download-noaa', date);
    const [pulled] = await pullAs('process-noaa', ['download-noaa'], days);
    expect(pulled!.key).toContain(date.replaceAll('-', ''));
    expect(await output('download-noaa')).toBe(`download-noaa of ${date}`);
  });

  it('says which keys it tried where none is there, and touches nothing', async () => {
    const { publish, pullAs, into } = await lab();
    await publish('process-noaa', '2020-05-22');
    await publish('download-noaa', '2020-05-20');
    await publish('download-noaa', '2020-05-23');
    const name = (date: string, ending: string) =>
      `fcre/download-noaa/fcre_${date}_download-noaa_workingdirectory.${ending}`;
    await expect(pullAs('generate-forecast', ['process-noaa', 'download-noaa'], 1)).rejects.toMatchObject({
      code: 'NoSuchKey',
      meta: {
        key: name('20200522', 'tar.gz'),
        tried: ['20200522', '20200521'].flatMap((date) => [name(date, 'tar.gz'), name(date, 'tgz')]),
      },
    });
    expect(await readdir(into)).toEqual([]);
  });

  it('lets a container that depends on itself begin without', async () => {
    const { publish, pullAs, output } = await lab();
    await publish('download-noaa', '2020-05-22');
    expect(await pullAs('process-noaa', ['download-noaa', 'process-noaa'], 1)).toHaveLength(1);
    await publish('process-noaa', '2020-05-21');
    expect(await pullAs('process-noaa', ['download-noaa', 'process-noaa'], 1)).toHaveLength(2);
    expect(await output('process-noaa')).toBe('process-noaa of 2020-05-21');
  });

  it('reads .tgz, and archives without a folder in them', async () => {
    const { folder, publish, pullAs, into } = await lab();
    const { key } = await publish('a', '2020-05-22');
    const { execFileSync } = await import('node:child_process');
    await writeFile(join(folder, 'config.yml'), 'lake: fcre');
    const tgz = join(folder, 'store', key.replace('.tar.gz', '.tgz'));
    await rm(join(folder, 'store', 'fcre'), { recursive: true });
    await mkdir(join(folder, 'store', 'fcre', 'a'), { recursive: true });
    execFileSync('tar', ['-czf', tgz, '-C', folder, 'config.yml']);
    const [pulled] = await pullAs('b', ['a'], 0);
    expect(pulled!.key).toMatch(/\.tgz$/);
    expect(await readdir(join(into, 'a'))).toEqual(['config.yml']);
  });

  it.each([
    ['altered', (bytes: Buffer) => Buffer.from(bytes).fill(1, 30, 40), /ARCHIVE_(ALTERED|REFUSED)/],
    ['torn', (bytes: Buffer) => bytes.subarray(0, bytes.length - 5), /ARCHIVE_(ALTERED|REFUSED)/],
    ['another whole one', () => gzipSync(Buffer.alloc(1_024)), /ARCHIVE_ALTERED/],
  ])('refuses an archive that is %s, and keeps what was there', async (_, damage, code) => {
    const { folder, publish, pullAs, output } = await lab();
    await publish('a', '2020-05-21');
    await pullAs('b', ['a'], 0, '2020-05-21');
    const { key } = await publish('a', '2020-05-22');
    const path = join(folder, 'store', key);
    await writeFile(path, damage(await readFile(path)));
    const error = await pullAs('b', ['a'], 1).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: expect.stringMatching(code), message: expect.stringContaining(key) });
    expect(await output('a')).toBe('a of 2020-05-21');
  });
});

describe('push', () => {
  it('publishes nothing of a directory that can not be packed', async () => {
    const { folder, store } = await lab();
    await expect(
      push({ store, cycle: day('2020-05-22'), container: 'a', from: join(folder, 'nowhere') }),
    ).rejects.toMatchObject({ code: 'WORKDIR_UNPACKABLE' });
    expect(await store.list('fcre/')).toEqual([]);
  });
});
