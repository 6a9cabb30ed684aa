import { execFileSync } from 'node:child_process';
import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './temporary.ts';

const STEP_BYTES = [1024 * 1024, 4_096];

/** A file system of a few megabytes that can be filled to the last page. */
export class SmallDisk {
  readonly folder: string;

  /** Whether this machine lets us mount one. */
  static get isPossible(): boolean {
    try {
      execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  }

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async mount(bytes = 8 * 1024 * 1024, at?: string): Promise<SmallDisk> {
    const folder = at ?? (await temporaryFolder());
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder]);
    onTestFinished(() => void execFileSync('umount', ['--lazy', folder]));
    return new SmallDisk(folder);
  }

  fill(): void {
    for (const bytes of STEP_BYTES) {
      try {
        for (;;) writeFileSync(this.#ballast, Buffer.alloc(bytes), { flag: 'a' });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  }

  makeRoom(): void {
    unlinkSync(this.#ballast);
  }

  get #ballast(): string {
    return join(this.folder, 'ballast');
  }
}
