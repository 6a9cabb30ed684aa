import { execFile, spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../support/temporary.ts';

const ROOT = join(import.meta.dirname, '../..');
const run = promisify(execFile);

/** Settings without which a second site on this machine would be in the way. */
const PORTS = {
  providerPort: '0',
  embeddedMqttPort: '0',
  embeddedOpenwhiskPort: '0',
  embeddedCouchdbPort: '0',
  embeddedInfluxdbPort: '0',
};

describe('the package', () => {
  it('has a command that runs as it was built, for npx links to it in a checkout', async () => {
    const { stdout } = await run(join(ROOT, 'dist/main.js'), ['--version']);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('starts a site from an empty folder, and ends it', async () => {
    const folder = await temporaryFolder();
    // dist/ is built already; `prepare` would build it for all tests anew.
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT });
    const [tarball] = await readdir(folder);
    await run('npm', [
      'install',
      '--prefix',
      folder,
      '--omit=dev',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      '--fetch-retries=5',
      '--fetch-retry-mintimeout=1000',
      join(folder, tarball!),
    ]);

    const site = spawn(join(folder, 'node_modules/.bin/fogwhisk'), ['start'], {
      cwd: folder,
      env: { PATH: process.env.PATH, ...PORTS },
    });
    onTestFinished(() => void site.kill('SIGKILL'));
    let output = '';
    const ended = new Promise((resolve) => site.once('exit', resolve));
    await new Promise<void>((resolve, reject) => {
      const collect = (data: Buffer) => {
        output += data.toString();
        if (output.includes('Query the points:')) resolve();
      };
      site.stdout.on('data', collect);
      site.stderr.on('data', collect);
      void ended.then((code) => reject(new Error(`ended with ${String(code)}:\n${output}`)));
    });
    site.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(output).toContain('fogwhisk has stopped');
  }, 180_000);
});
