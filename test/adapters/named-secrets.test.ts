import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { namedSecrets } from '../../src/adapters/system/named-secrets.ts';
import { temporaryFolder } from '../support/temporary.ts';

it("finds a site's named secrets in a folder or the environment, and nothing else", async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'broker'), 'from a file\n');
  const named = namedSecrets(folder, { secret_influx: 'from the environment', PATH: '/bin' });
  expect(named('broker')).toBe('from a file');
  expect(named('influx')).toBe('from the environment');
  expect(named('PATH')).toBeUndefined();
  expect(namedSecrets(undefined, {})('broker')).toBeUndefined();
});
