import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type Deployed, type DeployOptions, deploy } from '../../src/adapters/openwhisk/deploy.ts';
import { authKey, type Host, hostForTest } from '../embedded/openwhisk/host.ts';
import { Authority, tlsBefore } from '../support/authority.ts';
import { describeWith, program } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';

const ROOT = join(import.meta.dirname, '../..');
const systemKey =
  '8b1c8dd4-3f66-4f7e-a3f5-b5c2a1b3c4d5:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab';
const run = promisify(execFile);

const MANIFEST = `
project:
  name: test
  packages:
    default:
      actions:
        hello: &hello
          function: hello.js
          runtime: nodejs:20
          annotations: {description: says hello}
          limits: {timeout: 60000, memorySize: 256, logSize: 10}
      triggers:
        greet:
      rules:
        greetHello: {trigger: greet, action: hello}
        greetFeed: {trigger: greet, action: bus/feed}
    bus:
      public: true
      inputs: {provider_endpoint: "\${PROVIDER_URL}/mqtt"}
      annotations: {description: a bus}
      actions:
        feed:
          <<: *hello
          inputs: {kind: one}
          annotations: {feed: true}
    alarms:
      namespace: whisk.system
      public: true
      actions:
        alarm: *hello
`;

interface Setup {
  readonly host: Host;
  readonly folder: string;
  readonly manifest: string;
  readonly deploy: (more?: Partial<DeployOptions>) => Promise<Deployed[]>;
}

async function setUp(): Promise<Setup> {
  const host = await hostForTest({ namespaces: { 'whisk.system': systemKey } });
  const folder = await temporaryFolder();
  const manifest = join(folder, 'manifest.yaml');
  await writeFile(manifest, MANIFEST);
  await writeFile(
    join(folder, 'hello.js'),
    'function main({kind, provider_endpoint}) { return {kind, provider_endpoint} }',
  );
  const options = {
    url: host.openwhisk.url,
    auth: authKey,
    systemAuth: systemKey,
    providerUrl: 'http://provider:3000',
  };
  return { host, folder, manifest, deploy: (more) => deploy(manifest, { ...options, ...more }) };
}

const changes = (deployed: readonly Deployed[]) =>
  Object.fromEntries(deployed.map(({ kind, name, change }) => [`${kind} ${name}`, change]));
const changed = (deployed: readonly Deployed[]) =>
  deployed.filter(({ change }) => change !== 'unchanged').map(({ name, change }) => `${change} ${name}`);

describe('deploying a manifest', () => {
  it('creates what is not there, and nothing more the second time', async () => {
    const { host, deploy } = await setUp();
    const created = await deploy();
    expect(changes(created)).toEqual({
      'action hello': 'created',
      'trigger greet': 'created',
      'package bus': 'created',
      'action bus/feed': 'created',
      'package /whisk.system/alarms': 'created',
      'action /whisk.system/alarms/alarm': 'created',
      'rule greetHello': 'created',
      'rule greetFeed': 'created',
    });
    expect(changed(await deploy())).toEqual([]);
    const { json } = await host.client.post('actions/bus/feed?blocking=true&result=true', {});
    expect(json).toEqual({ kind: 'one', provider_endpoint: 'http://provider:3000/mqtt' });
    const { json: bus } = await host.client.get('packages/bus');
    expect(bus).toMatchObject({ publish: true, feeds: [{ name: 'feed' }], actions: [] });
    expect((await host.client.get('/api/v1/namespaces/whisk.system/packages/alarms')).json.publish).toBe(true);
    expect((await host.client.get('rules/greetFeed')).json).toMatchObject({ status: 'active' });
  });

  it('updates what differs and keeps what others have added', async () => {
    const { host, folder, deploy } = await setUp();
    await deploy();
    const own = { parameters: [{ key: 'influx_url', value: 'http://influx' }] };
    await host.client.put('actions/hello?overwrite=true', own);
    await host.client.post('rules/greetHello', { status: 'inactive' });
    expect(changed(await deploy())).toEqual([]);
    await host.client.put('packages/bus?overwrite=true', { publish: false });
    expect(changed(await deploy({ providerUrl: 'https://elsewhere' }))).toEqual(['updated bus']);
    await writeFile(join(folder, 'hello.js'), 'function main(parameters) { return parameters }');
    expect(changed(await deploy({ providerUrl: 'https://elsewhere' }))).toEqual([
      'updated hello',
      'updated bus/feed',
      'updated /whisk.system/alarms/alarm',
    ]);
    expect((await host.client.result('hello')).json).toEqual({ influx_url: 'http://influx' });
    expect((await host.client.result('bus/feed')).json).toEqual({
      kind: 'one',
      provider_endpoint: 'https://elsewhere/mqtt',
    });
    expect((await host.client.get('rules/greetHello')).json).toMatchObject({ status: 'inactive' });
  });

  it('puts everything into the one namespace where the key of whisk.system is not known', async () => {
    const { host, deploy } = await setUp();
    const names = (await deploy({ systemAuth: undefined })).map(({ name }) => name);
    expect(names).toContain('alarms/alarm');
    expect((await host.client.get('actions/alarms/alarm')).status).toBe(200);
  });

  it('refuses a manifest with what it does not know', async () => {
    const { manifest, deploy } = await setUp();
    await writeFile(
      manifest,
      MANIFEST.replace('annotations: {description: a bus}', 'sequences: {s: {actions: hello}}'),
    );
    await expect(deploy()).rejects.toThrow(/sequences/);
    await writeFile(manifest, MANIFEST.replace('PROVIDER_URL', 'PROVIDER_URI'));
    await expect(deploy()).rejects.toThrow('the manifest names the variable PROVIDER_URI, which nobody sets');
  });
});

describe('fogwhisk deploy', () => {
  const command = (env: Record<string, string>) =>
    run(process.execPath, [join(ROOT, 'dist/main.js'), 'deploy'], { env: { PATH: process.env.PATH, ...env } });

  it('prints what became of everything that fogwhisk brings', async () => {
    const { host } = await setUp();
    const settings = {
      dataDir: await temporaryFolder(),
      apiHost: host.openwhisk.url,
      owAuth: authKey,
      owSystemAuth: systemKey,
      providerUrl: 'http://provider:3000',
    };
    const { stdout } = await command(settings);
    expect(stdout).toMatch(/^created {4}action {3}addReadingToDb$/m);
    expect(stdout).toMatch(/^created {4}rule {5}addReadingToDbRule$/m);
    expect(stdout).not.toMatch(/updated|unchanged|not set/);
    const again = await command(settings);
    expect(
      again.stdout
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('unchanged ')),
    ).toEqual([]);
  }, 30_000);

  it('says what to do about a key that is not accepted, and an embedded OpenWhisk', async () => {
    const { host } = await setUp();
    const settings = { dataDir: await temporaryFolder(), apiHost: host.openwhisk.url, owAuth: 'wrong:key' };
    await expect(command(settings)).rejects.toMatchObject({
      stderr: expect.stringMatching(/^nothing more could be deployed on the OpenWhisk at .*owAuth/),
    });
    await expect(command({ dataDir: settings.dataDir })).rejects.toMatchObject({
      stderr: expect.stringMatching(/^the configuration has an embedded OpenWhisk/),
    });
  });
});

describeWith(['openssl'], 'fogwhisk deploy over TLS', () => {
  it('verifies the certificate', async () => {
    const { host, folder, deploy } = await setUp();
    const authority = new Authority(folder);
    const port = await tlsBefore(host.openwhisk.port, authority.issue('server', 'DNS:localhost'));
    const settings = {
      dataDir: folder,
      apiHost: `https://localhost:${port}`,
      owAuth: authKey,
      providerUrl: 'http://provider:3000',
    };
    const command = (env: Record<string, string>) =>
      run(process.execPath, [join(ROOT, 'dist/main.js'), 'deploy'], { env: { PATH: process.env.PATH, ...env } });
    await expect(command(settings)).rejects.toMatchObject({
      stderr: expect.stringMatching(/its certificate is signed by no authority .*tlsCaFile/),
    });
    expect((await command({ ...settings, tlsCaFile: authority.certFile })).stdout).toContain('created');
    expect(await deploy()).not.toEqual([]);
  }, 30_000);
});

describeWith(['wskdeploy'], "Apache's wskdeploy", () => {
  it('reads the manifest that fogwhisk deploys', async () => {
    const { host, folder } = await setUp();
    const file = join(ROOT, 'actions/manifest.yaml');
    const args = ['-m', file, '--apihost', host.openwhisk.url, '--auth', authKey, '-p', folder];
    const env = { PATH: process.env.PATH, HOME: folder, PROVIDER_URL: 'http://provider:3000' };
    await run(program('wskdeploy')!, args, { cwd: folder, env });
    const systemAuth = undefined;
    const options = { url: host.openwhisk.url, auth: authKey, systemAuth, providerUrl: 'http://provider:3000' };
    expect(changed(await deploy(file, options))).toEqual([]);
  }, 60_000);
});
