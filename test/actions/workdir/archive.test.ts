import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, link, lstat, mkdir, readdir, readFile, readlink, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { Header, type HeaderData } from 'tar';
import { describe, expect, it } from 'vitest';
import { extract } from '../../../actions/shared/workdir/extract.ts';
import { pack } from '../../../actions/shared/workdir/pack.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const run = promisify(execFile);

interface Member extends HeaderData {
  readonly body?: Buffer;
}

/** A tar of exactly these headers and bodies, however evil. */
function tarOf(members: readonly Member[]): Buffer {
  const blocks = members.flatMap(({ body = Buffer.alloc(0), ...data }) => {
    const header = Buffer.alloc(512);
    new Header({ mode: 0o644, size: body.length, mtime: new Date(0), type: 'File', ...data }).encode(header);
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1_024)]);
}

const file = (path: string, text = 'planted'): Member => ({ path, body: Buffer.from(text) });
const folder = (path: string): Member => ({ path, type: 'Directory', mode: 0o755 });
const softLink = (path: string, linkpath: string): Member => ({ path, linkpath, type: 'SymbolicLink' });
const hardLink = (path: string, linkpath: string): Member => ({ path, linkpath, type: 'Link' });

/** Extracts into a folder beside which nothing may appear. @returns the error, and what is in the folder and beside it */
async function extracted(archive: Buffer, limits?: { entries: number; bytes: number }) {
  const around = await temporaryFolder();
  const into = join(around, 'into');
  await mkdir(into);
  await writeFile(join(around, 'secret'), 'untouched');
  const error = await extract(Readable.from([archive]), 'fcre/a/x.tar.gz', into, limits).catch((each: Error) => each);
  expect(await readdir(around)).toEqual(['into', 'secret']);
  expect(await readFile(join(around, 'secret'), 'utf8')).toBe('untouched');
  return { error, into };
}

const whole = gzipSync(tarOf([folder('a/'), file('a/config.yml', 'x'.repeat(100_000))]));

describe('an archive is refused, by its name and that of the entry, if', () => {
  it.each<[string, Buffer, string | RegExp]>([
    ['a path climbs out', gzipSync(tarOf([file('../evil')])), '"../evil"'],
    ['a path climbs out further in', gzipSync(tarOf([file('a/../../evil')])), '"a/../../evil"'],
    ['a path is absolute', gzipSync(tarOf([file('/tmp/fogwhisk-evil')])), '"/tmp/fogwhisk-evil"'],
    ['a link leads out', gzipSync(tarOf([softLink('a/out', '../../secret')])), '"a/out" is a link to "../../secret"'],
    ['a link is absolute', gzipSync(tarOf([softLink('a/out', '/etc/passwd')])), '"/etc/passwd"'],
    [
      'a link leads out through another',
      gzipSync(tarOf([folder('a/b/'), softLink('a/up', '.'), softLink('a/out', 'up/up/../../secret')])),
      '"a/out"',
    ],
    ['something lies below a link', gzipSync(tarOf([softLink('a/in', 'b'), file('a/in/evil')])), 'lies in "a/in"'],
    ['a link takes the place of a file', gzipSync(tarOf([file('a/x'), softLink('a/x', 'y')])), '"a/x" is there twice'],
    [
      'a link takes the place of a folder',
      gzipSync(tarOf([file('a/b/x'), softLink('a/b', 'c')])),
      '"a/b" is there twice',
    ],
    ['a file takes the place of a link', gzipSync(tarOf([softLink('a/x', 'y'), file('a/x')])), '"a/x" is there twice'],
    ['a hard link leads out', gzipSync(tarOf([hardLink('a/evil', '../secret')])), '"../secret"'],
    ['a hard link is absolute', gzipSync(tarOf([hardLink('a/evil', '/etc/passwd')])), '"/etc/passwd"'],
    ['a hard link is to a link', gzipSync(tarOf([softLink('a/l', 'x'), hardLink('a/evil', 'a/l')])), '"a/l"'],
    ['it has a device', gzipSync(tarOf([{ path: 'a/null', type: 'CharacterDevice', devmaj: 1, devmin: 3 }])), 'Device'],
    ['it has a disk', gzipSync(tarOf([{ path: 'a/sda', type: 'BlockDevice', devmaj: 8, devmin: 0 }])), 'Device'],
    ['it has a FIFO', gzipSync(tarOf([{ path: 'a/pipe', type: 'FIFO' }])), 'FIFO'],
    ['it has an entry of an unknown kind', gzipSync(tarOf([{ path: 'a/odd', type: 'SolarisACL' }])), 'SolarisACL'],
    ['its gzip data end early', whole.subarray(0, whole.length - 20), 'gzip data end early'],
    ['its gzip data are damaged', Buffer.from(whole).fill(255, 40, 60), 'gzip data'],
    ['it is no gzip', Buffer.from('<html>Not Found</html>'), 'gzip data'],
    ['it is empty', Buffer.alloc(0), /end early/],
    [
      'its tar ends in the middle of a file',
      gzipSync(tarOf([file('a/x', 'y'.repeat(5_000))]).subarray(0, 3_000)),
      'end early',
    ],
    ['its tar ends between files', gzipSync(tarOf([file('a/x'), file('a/y')]).subarray(0, 1_024)), 'end early'],
    ['its tar is damaged', gzipSync(tarOf([file('a/x'), file('a/y')]).fill('?', 1_024, 1_100)), 'damaged'],
    ['it is compressed twice', gzipSync(whole), 'compressed twice'],
    ['it is no tar', gzipSync(Buffer.alloc(10_000, 'x')), 'damaged'],
  ])('%s', async (_, archive, problem) => {
    const { error } = await extracted(archive);
    expect(error).toMatchObject({
      code: 'ARCHIVE_REFUSED',
      message: expect.stringContaining('the archive fcre/a/x.tar.gz is refused'),
    });
    expect((error as Error).message).toMatch(problem instanceof RegExp ? problem : new RegExp(escaped(problem)));
  });

  it('it unpacks to more bytes, or more entries, than the limits', async () => {
    const bomb = gzipSync(tarOf([folder('a/'), { path: 'a/zeros', body: Buffer.alloc(30_000_000) }]));
    expect(bomb.length).toBeLessThan(40_000);
    const large = await extracted(bomb, { entries: 100, bytes: 1_000_000 });
    expect(large.error).toMatchObject({ code: 'ARCHIVE_REFUSED', message: expect.stringContaining('1000000 bytes') });
    const many = gzipSync(tarOf(Array.from({ length: 200 }, (_, n) => file(`a/${n}`))));
    const { error, into } = await extracted(many, { entries: 100, bytes: 1_000_000 });
    expect(error).toMatchObject({ code: 'ARCHIVE_REFUSED', message: expect.stringContaining('100 entries') });
    expect((await readdir(join(into, 'a'))).length).toBeLessThan(101);
  });
});

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}

describe('an archive of ours', () => {
  async function workdir(): Promise<string> {
    const from = join(await temporaryFolder(), 'step');
    await mkdir(join(from, 'deep', 'er'), { recursive: true });
    await mkdir(join(from, 'empty'));
    await writeFile(join(from, 'config.yml'), 'lake: fcre\n');
    await writeFile(join(from, 'deep', 'er', 'Größe in °C.csv'), '21.5\n'.repeat(100_000));
    await writeFile(join(from, `${'long-'.repeat(30)}name`), 'x');
    await writeFile(join(from, '@config.yml'), 'no list of others');
    await writeFile(join(from, 'run.sh'), '#!/bin/sh\n');
    await chmod(join(from, 'run.sh'), 0o755);
    await symlink('../config.yml', join(from, 'deep', 'link'));
    await symlink('link', join(from, 'deep', 'a-link-to-it'));
    await link(join(from, 'config.yml'), join(from, 'hard'));
    await utimes(join(from, 'config.yml'), 1_590_000_000, 1_590_000_000);
    return from;
  }

  it('comes back as it was, and GNU tar lists and extracts it', async () => {
    const from = await workdir();
    const archive = join(await temporaryFolder(), 'x.tar.gz');
    const facts = await pack(from, 'process-noaa', archive);
    const bytes = await readFile(archive);
    expect(facts).toEqual({ size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });

    const { stdout } = await run('tar', ['-tzf', archive]);
    const listed = stdout.trim().split('\n');
    expect(listed[0]).toMatch(/^process-noaa\/\.?\/?$/);
    expect(listed.every((path) => path.startsWith('process-noaa/'))).toBe(true);
    const gnu = await temporaryFolder();
    await run('tar', ['-xzf', archive, '-C', gnu]);
    await run('diff', ['-r', '--no-dereference', from, join(gnu, 'process-noaa')]);

    const { error, into } = await extracted(bytes);
    expect(error).toBeUndefined();
    const back = join(into, 'process-noaa');
    await run('diff', ['-r', '--no-dereference', from, back]);
    expect((await lstat(join(back, 'run.sh'))).mode & 0o777).toBe(0o755);
    expect((await lstat(join(back, 'config.yml'))).mtimeMs).toBe(1_590_000_000_000);
    expect(await readlink(join(back, 'deep', 'link'))).toBe('../config.yml');
    expect((await lstat(join(back, 'hard'))).nlink).toBe(2);
  });

  it('is the same archive when the folder is the same', async () => {
    const from = await workdir();
    const folder = await temporaryFolder();
    expect(await pack(from, 'a', join(folder, '1'))).toEqual(await pack(from, 'a', join(folder, '2')));
  });

  it('is not made of what could not be extracted', async () => {
    const target = join(await temporaryFolder(), 'x.tar.gz');
    const outside = await workdir();
    await symlink('/etc/passwd', join(outside, 'deep', 'out'));
    await expect(pack(outside, 'a', target)).rejects.toMatchObject({
      code: 'WORKDIR_UNPACKABLE',
      message: expect.stringMatching(/deep\/out can't be packed: it is a link to \/etc\/passwd/),
    });
    const fifo = await workdir();
    await run('mkfifo', [join(fifo, 'pipe')]);
    await expect(pack(fifo, 'a', target)).rejects.toMatchObject({ code: 'WORKDIR_UNPACKABLE' });
    await expect(pack(join(fifo, 'nowhere'), 'a', target)).rejects.toMatchObject({ code: 'WORKDIR_UNPACKABLE' });
  });

  it('takes what GNU tar makes, as FLARE does', async () => {
    const from = await workdir();
    const { stdout } = await run('tar', ['-cz', '-C', join(from, '..'), 'step'], {
      encoding: 'buffer',
      maxBuffer: 1e8,
    });
    const { error, into } = await extracted(stdout);
    expect(error).toBeUndefined();
    await run('diff', ['-r', '--no-dereference', from, join(into, 'step')]);
  });
});
