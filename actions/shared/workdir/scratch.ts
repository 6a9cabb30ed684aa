import { readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Remain } from './store.ts';

/** How the temporary folders of running pulls, pushes and steps begin, in the machine's folder for such. */
export const SCRATCH_PREFIX = 'fogwhisk-workdir-';

/** Temporary folders of runs on this machine that were ended before they could remove them; untouched since `before` (epoch ms). */
export async function deadScratch(before: number): Promise<Remain[]> {
  const remains: Remain[] = [];
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(SCRATCH_PREFIX)) continue;
    const path = join(tmpdir(), name);
    const found = await usage(path).catch(() => undefined); // gone meanwhile: it was not dead
    if (!found || found.touchedAt >= before) continue;
    remains.push({ name: path, size: found.size, remove: () => rm(path, { recursive: true, force: true }) });
  }
  return remains;
}

/** Of a folder with all that is in it: bytes, and when anything in it was last written (epoch ms). */
async function usage(folder: string): Promise<{ size: number; touchedAt: number }> {
  let size = 0;
  let touchedAt = (await stat(folder)).mtimeMs;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() && !entry.isDirectory()) continue;
    const found = await stat(join(entry.parentPath, entry.name));
    if (entry.isFile()) size += found.size;
    touchedAt = Math.max(touchedAt, found.ctimeMs);
  }
  return { size, touchedAt };
}
