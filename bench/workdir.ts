import { randomBytes } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startVersitygw, type Versitygw } from '../test/support/versitygw.ts';
import { benchProgram } from './support/paths.ts';
import { Child, findProgram, program } from './support/processes.ts';
import { type Plan, progress } from './support/row.ts';
import { atLeast, atMost, type Table } from './support/table.ts';
import { temporaryFolder } from './support/temporary.ts';

const MEGABYTE = 1_000_000;
const FILES = 8;

/** What moves a working directory: pushes `folder`, or pulls it into another one. */
interface Mover {
  readonly name: string;
  push(folder: string): Promise<void>;
  pull(folder: string): Promise<void>;
}

/** A working directory of 1 GB to each store and back, beside what people do by hand; and how much memory that takes. */
export async function workdir({ quick, repetitions }: Plan, table: Table): Promise<void> {
  const megabytes = quick ? 100 : 1_000;
  const folder = temporaryFolder();
  const source = join(folder, 'glm');
  await fill(source, megabytes);
  for (let repetition = 0; repetition < repetitions; repetition++) {
    const s3 = findProgram('versitygw') ? await startVersitygw(['bench']) : undefined;
    if (!s3) progress('workdir: without s3: versitygw is not on PATH');
    const places = join(folder, 'places');
    for (const mover of await movers(places, s3, table)) {
      progress(`workdir ${repetition + 1}: ${mover.name}`);
      const target = join(folder, 'target');
      await mkdir(target);
      for (const way of ['push', 'pull'] as const) {
        const started = performance.now();
        await mover[way](way === 'push' ? source : target);
        const seconds = (performance.now() - started) / 1_000;
        table.note(`${mover.name}: ${way}`, 'MB/s', megabytes / seconds);
      }
      await run('diff', ['-r', source, join(target, 'glm')]);
      await rm(target, { recursive: true });
    }
    await s3?.stop();
    await rm(places, { recursive: true });
  }
  for (const [ours, byHand] of [
    ['fs', 'tar + cp'],
    ['git+file', 'tar + git'],
    ['s3', 'tar + curl'],
  ]) {
    for (const way of ['push', 'pull']) table.ratio(`${ours}: ${way}`, 'MB/s', `${byHand}: ${way}`, atLeast(0.8));
  }
}

async function movers(places: string, s3: Versitygw | undefined, table: Table): Promise<Mover[]> {
  const place = async (name: string) => {
    await mkdir(join(places, name), { recursive: true });
    return join(places, name);
  };
  const [ours, git, byTar, byGit, byCurl] = [
    await place('fs'),
    await place('git'),
    await place('tar'),
    await place('by-git'),
    await place('curl'),
  ];
  const archive = 'glm.tar.gz';
  const pack = (folder: string, into: string) =>
    run('tar', ['-czf', join(into, archive), '-C', join(folder, '..'), 'glm']);
  const unpack = (from: string, folder: string) => run('tar', ['-xzf', join(from, archive), '-C', folder]);
  const store = (name: string, url: string): Mover => ({
    name,
    push: (folder) => runOurs(name, 'push', url, folder, s3, table),
    pull: (folder) => runOurs(name, 'pull', url, folder, s3, table),
  });
  const signed = [
    '--silent',
    '--fail',
    '--aws-sigv4',
    'aws:amz:us-east-1:s3',
    '--user',
    `${s3?.accessKeyId}:${s3?.secretAccessKey}`,
    '--header',
    'x-amz-content-sha256: UNSIGNED-PAYLOAD',
  ];
  const author = ['-c', 'user.name=bench', '-c', 'user.email=bench@localhost'];
  return [
    store('fs', `fs:${ours}`),
    {
      name: 'tar + cp',
      push: async (folder) => {
        await pack(folder, await place('tar-work'));
        await run('cp', [join(places, 'tar-work', archive), byTar]);
      },
      pull: async (folder) => {
        await run('cp', [join(byTar, archive), folder]);
        await unpack(folder, folder);
      },
    },
    store('git+file', `git+file:${git}/{lake}.git`),
    {
      name: 'tar + git',
      push: async (folder) => {
        const [bare, work] = [join(byGit, 'bare'), join(byGit, 'work')];
        await run('git', ['init', '--quiet', '--bare', bare]);
        await run('git', ['clone', '--quiet', bare, work]);
        await pack(folder, work);
        await run('git', ['-C', work, 'add', archive]);
        await run('git', [...author, '-C', work, 'commit', '--quiet', '-m', 'glm']);
        await run('git', ['-C', work, 'push', '--quiet', 'origin', 'HEAD:cycle']);
      },
      pull: async (folder) => {
        await run('git', ['clone', '--quiet', '--branch', 'cycle', `file://${byGit}/bare`, join(byGit, 'clone')]);
        await unpack(join(byGit, 'clone'), folder);
      },
    },
    ...(s3
      ? [
          store('s3', `s3:${s3.url}/bench`),
          {
            name: 'tar + curl',
            push: async (folder: string) => {
              await pack(folder, byCurl);
              await run('curl', [...signed, '--upload-file', join(byCurl, archive), `${s3.url}/bench/${archive}`]);
            },
            pull: async (folder: string) => {
              await run('curl', [
                ...signed,
                '--output',
                join(byCurl, 'back', archive),
                '--create-dirs',
                `${s3.url}/bench/${archive}`,
              ]);
              await unpack(join(byCurl, 'back'), folder);
            },
          },
        ]
      : []),
  ];
}

async function runOurs(
  name: string,
  way: string,
  url: string,
  folder: string,
  s3: Versitygw | undefined,
  table: Table,
): Promise<void> {
  await using child = new Child(process.execPath, [benchProgram('workdir'), way, url, folder], {
    env: { ...process.env, s3AccessKeyId: s3?.accessKeyId, s3SecretAccessKey: s3?.secretAccessKey },
  });
  const { peakMegabytes } = await child.nextResult<{ peakMegabytes: number }>();
  await child.exited;
  table.note(`${name}: ${way}`, 'MB at most', peakMegabytes, atMost(150));
}

async function run(name: string, args: readonly string[]): Promise<void> {
  await using child = new Child(program(name), args);
  const code = await child.exited;
  if (code !== 0) throw new Error(`${name} ${args[0]} ended with ${code}:\n${child.output}`);
}

/** Half of it CSV, which packs to less than half, half of it noise. */
async function fill(folder: string, megabytes: number): Promise<void> {
  await mkdir(folder);
  const noise = randomBytes(8 * MEGABYTE);
  let csv = '';
  for (let at = 0; csv.length < noise.length; at += 3)
    csv += `2020-05-22,fcre,${noise.readUIntBE(at, 3) / 1_000_000}\n`;
  for (let n = 0; n < FILES; n++) {
    const content = n % 2 === 0 ? noise : Buffer.from(csv).subarray(0, noise.length);
    await using file = await open(join(folder, `output-${n}`), 'w');
    for (let left = (megabytes * MEGABYTE) / FILES; left > 0; left -= content.length) {
      await file.write(content.subarray(0, Math.min(left, content.length)));
    }
  }
}
