import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe } from 'vitest';
import { describeWith } from '../../support/programs.ts';

export const ROOT = join(import.meta.dirname, '../../..');
const SERVICES = join(ROOT, '../shared/services');
const CONTAINER = join(SERVICES, 'container');
/** The image of this checkout. */
export const IMAGE = 'localhost/fogwhisk:test';

const run = promisify(execFile);

/** A suite that builds images without a registry; skipped, and says so, where the machine can't. */
export function describeWithImages(programs: string[], title: string, suite: () => void): void {
  if (existsSync(CONTAINER)) {
    describeWith(['podman', 'runc', ...programs], title, suite);
    return;
  }
  console.warn(`skipped: ${title}: needs the base image that ../shared/services/container makes`);
  describe.skip(title, suite);
}

/** Builds `folder/Dockerfile` under a name. @throws Error with what the build said */
export async function buildImage(name: string, folder: string): Promise<void> {
  await run(CONTAINER, ['build', name, folder], { maxBuffer: 64 * 1024 * 1024 });
}
