import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished, test } from 'vitest';
import { cyclesOf, FlareSite, type StoreAccess } from '../support/flare-site.ts';
import { describeLong, describeWith } from '../support/programs.ts';
import { startSshd } from '../support/sshd.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { startVersitygw } from '../support/versitygw.ts';

/** FLARE's whole workflow, its working directories in a real Git server and in a real S3 server. */

async function runTwoDays(store: StoreAccess): Promise<void> {
  const flare = await FlareSite.start(store);
  await flare.command('deploy', flare.lakes);
  const cycles = cyclesOf(['2020-05-22', '2020-05-23']);
  await flare.begin(cycles);
  await flare.completed(cycles, 200_000);
  for (const cycle of cycles) await flare.expectWhole(cycle);
}

describeLong('working directories in git+ssh:', () => {
  test('two lakes, two cycles at once', async () => {
    const [sshd, folder] = await Promise.all([startSshd(), temporaryFolder()]);
    onTestFinished(() => sshd.stop());
    for (const lake of ['fcre', 'bvre']) execFileSync('git', ['init', '-q', '--bare', join(folder, `${lake}.git`)]);
    const { keyFile: sshKeyFile, knownHostsFile } = sshd;
    await runTwoDays({
      url: `git+${sshd.url}${folder}/{lake}.git`,
      secrets: { sshKeyFile, knownHostsFile },
      parameters: { workdir_ssh_key_file: sshKeyFile, workdir_known_hosts_file: knownHostsFile },
    });
  }, 300_000);
});

describeWith(['versitygw'], 'working directories in s3:', () => {
  test('two lakes, two cycles at once', async () => {
    const [server, folder] = await Promise.all([startVersitygw(['flare']), temporaryFolder()]);
    onTestFinished(() => server.stop());
    const { accessKeyId: s3AccessKeyId, secretAccessKey: s3SecretAccessKey } = server;
    await writeFile(join(folder, 'id'), s3AccessKeyId);
    await writeFile(join(folder, 'secret'), s3SecretAccessKey);
    await runTwoDays({
      url: `s3:${server.url}/flare`,
      secrets: { s3AccessKeyId, s3SecretAccessKey },
      parameters: {
        workdir_s3_access_key_id_file: join(folder, 'id'),
        workdir_s3_secret_access_key_file: join(folder, 'secret'),
      },
    });
  }, 300_000);
});
