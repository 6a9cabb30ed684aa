import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openStore } from '../../actions/shared/workdir/open-store.ts';
import { alterInGit } from '../actions/workdir/alter-in-git.ts';
import { keyFor, put, type Subject, storeContract } from '../actions/workdir/store-contract.ts';
import { describeLong } from '../support/programs.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { temporaryFolder } from '../support/temporary.ts';

const run = promisify(execFile);
// Each access is a few logins, which a busy machine takes a second for.
vi.setConfig({ testTimeout: 120_000 });

describeLong('git+ssh: bare repositories behind a real sshd', () => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd();
  });
  afterAll(() => sshd.stop());

  async function prepare(settings: Record<string, string>): Promise<Subject> {
    const folder = await temporaryFolder();
    for (const lake of ['fcre', 'sunp', 'none']) {
      await run('git', ['init', '--quiet', '--bare', `${folder}/${lake}.git`]);
      for (const [key, value] of Object.entries(settings)) {
        await run('git', ['-C', `${folder}/${lake}.git`, 'config', key, value]);
      }
    }
    return {
      url: `git+${sshd.url}${folder}/{lake}.git`,
      secrets: { sshKeyFile: sshd.keyFile, knownHostsFile: sshd.knownHostsFile },
      alter: alterInGit(`${folder}/{lake}.git`),
      tellsLakes: false,
    };
  }

  describe('as docs/workdirs.md sets them up', () => {
    storeContract(() => prepare({ 'uploadpack.allowFilter': 'true', 'uploadpack.allowAnySHA1InWant': 'true' }));
  });

  describeLong('git+ssh: bare repositories as git init leaves them', () => {
    storeContract(() => prepare({}));
  });

  it('refuses a server whose key is not the known one, and a key that does not log in', async () => {
    const { url } = await prepare({});
    const stranger = join(await temporaryFolder(), 'known_hosts');
    await writeFile(stranger, '');
    const unknown = await openStore(url, { sshKeyFile: sshd.keyFile, knownHostsFile: stranger });
    await expect(put(unknown, keyFor('a'), Buffer.from('x'))).rejects.toMatchObject({ code: 'STORE_FAILED' });

    const other = join(await temporaryFolder(), 'key');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', other]);
    const refused = await openStore(url, { sshKeyFile: other, knownHostsFile: sshd.knownHostsFile });
    await expect(refused.list('fcre/')).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });

  it('says that the repository of a lake is not there', async () => {
    const { url, secrets } = await prepare({});
    const store = await openStore(url, secrets);
    await expect(put(store, keyFor('a', '20200522', 'nowhere'), Buffer.from('x'))).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringMatching(/git ls-remote/),
    });
  });
}, ['git', 'ssh', 'sshd', 'ssh-keygen']);
