import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ActionError } from '../result.ts';
import { type Cycle, earlier } from './cycle.ts';
import { extract } from './extract.ts';
import { archiveKey, archiveKeys } from './key.ts';
import { markRunning } from './running.ts';
import type { Stored, WorkdirStore } from './store.ts';

export interface PullRequest {
  readonly store: WorkdirStore;
  readonly cycle: Cycle;
  /** Who pulls. Where it depends on itself and has never run, it starts without; any other dependency must be there. */
  readonly container: string;
  /** Names of containers. */
  readonly dependencies: readonly string[];
  /** How many periods before the cycle's own are looked through, the latest first. */
  readonly lookBack: number;
  /** Each dependency becomes the folder of its name in this one. */
  readonly into: string;
}

export interface Pulled {
  readonly container: string;
  readonly key: string;
  /** Of the archive, in bytes. */
  readonly size: number;
  readonly sha256: string;
}

/**
 * Brings the working directories that a container depends on: of each the one of the cycle, or the latest before it.
 * @returns what was found; nothing in `into` is touched unless all of it is whole
 * @throws ActionError `NoSuchKey` with `{key, tried}`, `ARCHIVE_ALTERED`, `ARCHIVE_REFUSED`, `WORKDIR_UNWRITABLE`, `STORE_*`
 */
export async function pull(request: PullRequest): Promise<Pulled[]> {
  const { store, cycle, container, dependencies, lookBack, into } = request;
  // First of all: what this cycle may look back to is safe from the clean-up from here on.
  await markRunning(store, cycle, lookBack);
  await mkdir(into, { recursive: true });
  const temporary = await mkdtemp(join(into, '.pulling-'));
  try {
    const pulled: Pulled[] = [];
    for (const dependency of dependencies) {
      const { key, stored } = await latest(store, cycle, dependency, lookBack).catch((error) => {
        if (dependency === container && isNoSuchKey(error)) return { key: undefined, stored: undefined };
        throw error;
      });
      if (!stored) continue;
      const folder = join(temporary, dependency);
      await mkdir(folder);
      await extract(stored.content, key, folder);
      pulled.push({ container: dependency, key, size: stored.size, sha256: stored.content.sha256 });
    }
    for (const { container: dependency } of pulled) {
      const folder = join(into, dependency);
      await rm(folder, { recursive: true, force: true });
      await rename(await workdirIn(join(temporary, dependency), dependency), folder);
    }
    return pulled;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Our archives and FLARE's have one folder, named as the container; one packed by hand may have the files themselves. */
async function workdirIn(extracted: string, container: string): Promise<string> {
  const [first, ...more] = await readdir(extracted, { withFileTypes: true });
  return first?.isDirectory() && first.name === container && more.length === 0 ? join(extracted, container) : extracted;
}

/** @throws ActionError `NoSuchKey` */
async function latest(
  store: WorkdirStore,
  cycle: Cycle,
  container: string,
  lookBack: number,
): Promise<{ key: string; stored: Stored }> {
  const tried: string[] = [];
  for (let periods = 0; periods <= lookBack; periods++) {
    for (const key of archiveKeys(earlier(cycle, periods), container)) {
      try {
        return { key, stored: await store.get(key) };
      } catch (error) {
        if (!isNoSuchKey(error)) throw error;
        tried.push(key);
      }
    }
  }
  const key = archiveKey(cycle, container);
  throw new ActionError(
    'NoSuchKey',
    `the working directory of ${container} for ${cycle.lake}, ${cycle.date}, is not in ${store.name}, nor one of the ${lookBack} before it; run ${container} for this cycle.`,
    { key, tried },
  );
}

function isNoSuchKey(error: unknown): boolean {
  return error instanceof ActionError && error.code === 'NoSuchKey';
}
