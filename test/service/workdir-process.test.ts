import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { cycleOf } from '../../actions/shared/workdir/cycle.ts';
import { openStore } from '../../actions/shared/workdir/open-store.ts';
import { pull } from '../../actions/shared/workdir/pull.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** Pushes and pulls in processes of their own: how much memory they take, and what is left when they are killed. */

const CYCLE = cycleOf({ lake: 'fcre', date: '2020-05-22' });

/** The benchmark's program, as one file that finds its packages in the project. */
async function program(): Promise<string> {
  const options = { bundle: true, platform: 'node', target: 'node20', format: 'esm', packages: 'external' } as const;
  const { outputFiles } = await build({ ...options, entryPoints: ['bench/programs/workdir.ts'], write: false });
  return outputFiles[0]!.text;
}

/** @param scratch a folder for what it leaves when it is killed */
function start(code: string, what: 'push' | 'pull', url: string, folder: string, scratch: string) {
  const child = spawn(process.execPath, ['--input-type=module', '-', what, url, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: scratch },
  });
  child.stdin.end(code);
  return child;
}

describe('a working directory', () => {
  it('of half a gigabyte goes to its store and back through little memory', { timeout: 120_000 }, async () => {
    const [code, folder] = [await program(), await temporaryFolder()];
    const [from, into, url] = [join(folder, 'glm'), join(folder, 'into'), `fs:${folder}/store`];
    await mkdir(from);
    await writeFile(join(from, 'noise'), randomBytes(50_000_000));
    await writeFile(join(from, 'zeros'), '');
    await truncate(join(from, 'zeros'), 450_000_000);
    for (const [what, at] of [
      ['push', from],
      ['pull', into],
    ] as const) {
      const { peakMegabytes } = JSON.parse(await text(start(code, what, url, at, folder).stdout)) as {
        peakMegabytes: number;
      };
      expect(peakMegabytes).toBeLessThan(200);
    }
    expect((await readdir(join(into, 'glm'))).sort()).toEqual(['noise', 'zeros']);
  });

  it.each(['fs:{folder}/store', 'git+file:{folder}/{lake}.git'])(
    'is in %s wholly or not at all when pushes are killed at any moment',
    { timeout: 120_000 },
    async (address) => {
      const [code, folder] = [await program(), await temporaryFolder()];
      const url = address.replace('{folder}', folder);
      const from = join(folder, 'glm');
      await mkdir(from);
      await writeFile(join(from, 'output'), randomBytes(5_000_000));
      const whole = start(code, 'push', url, from, folder);
      await once(whole, 'exit');
      for (let round = 0; round < 8; round++) {
        await writeFile(join(from, 'output'), randomBytes(5_000_000));
        const child = start(code, 'push', url, from, folder);
        const exited = once(child, 'exit');
        await sleep(250 + Math.random() * 400);
        child.kill('SIGKILL');
        await exited;
        const into = join(folder, `into-${round}`);
        const store = await openStore(url);
        const request = { store, cycle: CYCLE, container: 'next', dependencies: ['glm'], lookBack: 0, into };
        expect(await pull(request)).toHaveLength(1);
      }
    },
  );
});
