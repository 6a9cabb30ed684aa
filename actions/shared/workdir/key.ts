import { type Cycle, stampOf } from './cycle.ts';

/** Names of archives in a store, as FLARE writes them: `<lake>/<container>/<lake>_<YYYYMMDD>_<container>_workingdirectory.tar.gz`. */

/** What the key of an archive says. */
export interface ArchiveName {
  readonly lake: string;
  readonly container: string;
  /** `20200522`, or `20200522T0600Z`: sorts as the cycles do. */
  readonly stamp: string;
}

/** The key under which a container's working directory of a cycle is kept. */
export function archiveKey(cycle: Cycle, container: string): string {
  return `${cycle.lake}/${container}/${cycle.lake}_${stampOf(cycle)}_${container}_workingdirectory.tar.gz`;
}

/** The keys to look under: FLARE's wiki writes `.tgz` where its scripts write `.tar.gz`. */
export function archiveKeys(cycle: Cycle, container: string): string[] {
  const key = archiveKey(cycle, container);
  return [key, key.replace(/\.tar\.gz$/, '.tgz')];
}

const ARCHIVE_KEY = /^([^/_]+)\/([^/_]+)\/\1_(\d{8}(?:T\d{4}Z)?)_\2_workingdirectory\.(?:tar\.gz|tgz)$/;

/** @returns undefined for the key of anything else */
export function archiveNameOf(key: string): ArchiveName | undefined {
  const [, lake, container, stamp] = ARCHIVE_KEY.exec(key) ?? [];
  return lake && container && stamp ? { lake, container, stamp } : undefined;
}
