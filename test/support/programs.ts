import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe } from 'vitest';

/** The path of an outside program on `PATH` (or in Debian's `/usr/sbin`), if the machine has it. */
export function program(name: string): string | undefined {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

/** Suites of a minute and more run with `LONG_TESTS=1` only, and say so. */
export function describeLong(title: string, suite: () => void, programs: string[] = []): void {
  if (process.env.LONG_TESTS === '1') return void describeWith(programs, title, suite);
  console.warn(`skipped: ${title}: takes long, and runs with LONG_TESTS=1`);
  describe.skip(`${title} (LONG_TESTS=1)`, suite);
}

/**
 * A suite that needs outside programs. Where one is absent it is skipped and says so;
 * under `REQUIRE_SERVICES=1` the absence fails.
 */
export function describeWith(programs: string[], title: string, suite: () => void): void {
  const absent = programs.filter((name) => !program(name));
  if (absent.length === 0) return void describe(title, suite);
  if (process.env.REQUIRE_SERVICES === '1')
    throw new Error(`${title}: needs ${absent.join(', ')} on PATH (REQUIRE_SERVICES=1)`);
  console.warn(`skipped: ${title}: needs ${absent.join(', ')} on PATH`);
  describe.skip(`${title} (needs ${absent.join(', ')})`, suite);
}
