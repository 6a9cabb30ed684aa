import { posix } from 'node:path';

/** What holds for archives on both ways: what is refused when it is extracted is not packed either. */

/** What an archive may unpack to: more than any working directory needs, less than fills a site's disk by a bomb. */
export interface ArchiveLimits {
  readonly entries: number;
  readonly bytes: number;
}

export const ARCHIVE_LIMITS: ArchiveLimits = { entries: 200_000, bytes: 16 * 2 ** 30 };

/**
 * Whether a symbolic link leads to a place in the folder that its path begins in. `..` counts only in front: after the
 * name of another link it would lead elsewhere than it reads.
 * @param path of the link, relative and without `..`; no part of it may be a link itself
 */
export function staysInside(path: string, target: string): boolean {
  if (target === '' || posix.isAbsolute(target) || target.includes('\0')) return false;
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const upwards = parts.findIndex((part) => part !== '..');
  const ups = upwards === -1 ? parts.length : upwards;
  return !parts.slice(ups).includes('..') && ups < path.split('/').length;
}
