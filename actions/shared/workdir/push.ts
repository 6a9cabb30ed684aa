import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHUNK_BYTES } from './checked-content.ts';
import type { Cycle } from './cycle.ts';
import { archiveKey } from './key.ts';
import { pack } from './pack.ts';
import { SCRATCH_PREFIX } from './scratch.ts';
import type { WorkdirStore } from './store.ts';

export interface PushRequest {
  readonly store: WorkdirStore;
  readonly cycle: Cycle;
  /** Whose directory it is: nobody pushes another's. */
  readonly container: string;
  /** The container's own directory. */
  readonly from: string;
}

export interface Pushed {
  readonly key: string;
  /** Of the archive, in bytes. */
  readonly size: number;
  readonly sha256: string;
}

/**
 * Publishes a container's working directory of a cycle. The archive is made beside first: stores want to know its size
 * and digest before its first byte, and a folder that can't be packed leaves nothing in them.
 * @throws ActionError `WORKDIR_UNPACKABLE`, `STORE_*`
 */
export async function push({ store, cycle, container, from }: PushRequest): Promise<Pushed> {
  const scratch = await mkdtemp(join(tmpdir(), SCRATCH_PREFIX));
  try {
    const archive = join(scratch, 'workdir.tar.gz');
    const facts = await pack(from, container, archive);
    const key = archiveKey(cycle, container);
    await store.put(key, createReadStream(archive, { highWaterMark: CHUNK_BYTES }), facts);
    return { key, ...facts };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
