import type { StoreSecrets, WorkdirStore } from './store.ts';
import { storeInvalid } from './store-errors.ts';

/**
 * Opens the store of an address:
 * - `fs:/srv/workdirs`: a folder, also one that several machines mount
 * - `git+file:/srv/git/{lake}.git`, `git+ssh://git@host:22/srv/git/{lake}.git`: a repository per lake, a branch per cycle
 * - `s3:https://host/bucket/prefix?region=us-east-1`: an S3 endpoint, path-style
 * @throws ActionError `STORE_INVALID`; what can't be reached is told by the first use
 */
export async function openStore(url: string, secrets: StoreSecrets = {}): Promise<WorkdirStore> {
  const [kind] = url.split(':');
  // Each store is loaded when it is needed: the S3 client alone takes longer than the others together.
  if (kind === 'fs') return (await import('./fs-store.ts')).openFsStore(url);
  if (kind === 'git+file' || kind === 'git+ssh') return (await import('./git-store.ts')).openGitStore(url, secrets);
  if (kind === 's3') return (await import('./s3-store.ts')).openS3Store(url, secrets);
  throw storeInvalid(
    'workdir_store must be fs:FOLDER, git+file:PATH/{lake}.git, git+ssh://USER@HOST/PATH/{lake}.git or s3:https://HOST/BUCKET',
  );
}
