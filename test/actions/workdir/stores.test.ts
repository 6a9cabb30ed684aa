import { execFile } from 'node:child_process';
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { openStore } from '../../../actions/shared/workdir/open-store.ts';
import { describeWith } from '../../support/programs.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { alterInGit } from './alter-in-git.ts';
import { keyFor, put, storeContract } from './store-contract.ts';

const run = promisify(execFile);

describe('fs: a folder', () => {
  storeContract(async () => {
    const folder = await temporaryFolder();
    return { url: `fs:${folder}/workdirs`, alter: (key, bytes) => writeFile(join(folder, 'workdirs', key), bytes) };
  });

  it('lies as FLARE names it, with what sha256sum checks beside', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(`fs:${folder}`);
    await put(store, keyFor('process-noaa'), Buffer.from('archive'));
    const name = 'fcre_20200522_process-noaa_workingdirectory.tar.gz';
    const container = join(folder, 'fcre', 'process-noaa');
    expect((await readdir(container)).sort()).toEqual([name, `${name}.sha256`]);
    const { stdout } = await run('sha256sum', ['-c', `${name}.sha256`], { cwd: container });
    expect(stdout).toBe(`${name}: OK\n`);
  });

  it('takes an archive that somebody put there without a digest', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(`fs:${folder}`);
    await put(store, keyFor('a', '20200521'), Buffer.from('x'));
    await writeFile(join(folder, keyFor('a')), 'by hand');
    const { content, size } = await store.get(keyFor('a'));
    expect([size, String(await content.toArray())]).toEqual([7, 'by hand']);
  });

  it('finds what a put that was killed has left, once it is old', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(`fs:${folder}`);
    await put(store, keyFor('a'), Buffer.from('whole'));
    const left = join(folder, 'fcre', 'a', '.fcre_x.tar.gz.0011.part');
    await writeFile(left, 'to');
    await utimes(left, 1_000, 1_000);
    expect(await store.list('fcre/')).toHaveLength(1);
    expect(await store.remains(999_000)).toEqual([]);
    const [remain] = await store.remains(1_001_000);
    expect(remain).toMatchObject({ size: 2 });
    await remain!.remove();
    expect((await readdir(join(folder, 'fcre', 'a'))).sort()).toEqual([
      'fcre_20200522_a_workingdirectory.tar.gz',
      'fcre_20200522_a_workingdirectory.tar.gz.sha256',
    ]);
  });

  it('tells why a folder can not be used', async () => {
    const file = join(await temporaryFolder(), 'file');
    await writeFile(file, '');
    const store = await openStore(`fs:${file}`);
    await expect(put(store, keyFor('a'), Buffer.from('x'))).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining(file),
    });
  });
});

describeWith(['git'], 'git+file: repositories on this machine', () => {
  storeContract(async () => {
    const folder = await temporaryFolder();
    return {
      url: `git+file:${folder}/{lake}-working-files.git`,
      alter: alterInGit(`${folder}/{lake}-working-files.git`),
    };
  });

  it('has a branch per cycle, which git clone gives with all its archives', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(`git+file:${folder}/{lake}.git`);
    await put(store, keyFor('process-noaa'), Buffer.from('noaa'));
    await put(store, keyFor('download-noaa'), Buffer.from('download'));
    await put(store, keyFor('download-noaa', '20200522T0600Z'), Buffer.from('six'));
    const { stdout } = await run('git', ['-C', `${folder}/fcre.git`, 'branch', '--format=%(refname:short)']);
    expect(stdout).toBe('2020-05-22T0000Z\n2020-05-22T0600Z\n');
    await run('git', ['clone', '-q', '-b', '2020-05-22T0000Z', `${folder}/fcre.git`, `${folder}/clone`]);
    const names = (await readdir(`${folder}/clone`)).filter((name) => name.endsWith('.gz'));
    expect(names.sort()).toEqual([
      'fcre_20200522_download-noaa_workingdirectory.tar.gz',
      'fcre_20200522_process-noaa_workingdirectory.tar.gz',
    ]);
    expect(await readFile(`${folder}/clone/${names[1]}`, 'utf8')).toBe('noaa');
    for (const name of names) await run('sha256sum', ['-c', `${name}.sha256`], { cwd: `${folder}/clone` });
  });

  it('frees what was removed or replaced with the next git gc', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(`git+file:${folder}/{lake}.git`);
    const size = async () => {
      await run('git', ['-C', `${folder}/fcre.git`, 'gc', '--quiet', '--prune=now']);
      const { stdout } = await run('du', ['-sk', `${folder}/fcre.git`]);
      return Number.parseInt(stdout, 10);
    };
    const random = () => import('node:crypto').then(({ randomBytes }) => randomBytes(3_000_000));
    await put(store, keyFor('a'), await random());
    await put(store, keyFor('b'), await random());
    await put(store, keyFor('b'), await random());
    expect(await size()).toBeLessThan(7_000);
    await store.remove(keyFor('a'));
    expect(await size()).toBeLessThan(4_000);
  });
});

describe('an address', () => {
  it.each([
    'ftp://host/x',
    '',
    'fs:',
    'git+file:/srv/git/lake.git',
    'git+ssh://git@host/lake.git',
    'git+ssh://git:planted@host/{lake}.git',
    'git+ssh://-oProxyCommand=planted/{lake}.git',
    's3:https://host',
    's3:https://planted:planted@host/bucket',
    's3:ftp://host/bucket',
  ])('%j is refused with what is allowed, and repeated nowhere', async (url) => {
    const error = await openStore(url, { s3AccessKeyId: 'a', s3SecretAccessKey: 'b' }).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'STORE_INVALID' });
    expect(JSON.stringify(error) + String(error)).not.toContain('planted');
  });
});
