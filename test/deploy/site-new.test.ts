import { execFile } from 'node:child_process';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { siteNew } from '../../src/cli/site-new.ts';
import { ConfigError } from '../../src/config.ts';
import { describeWith } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** A `site.yml` beside files with the secrets of others, and what the command printed. */
async function made(name: string, site: Record<string, unknown>) {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'owAuth'), '11111111-2222-3333-4444-555555555555:key-of-openwhisk\n');
  await writeFile(join(folder, 'couchdb'), 'password-of-couchdb\n');
  await writeFile(join(folder, 'influxdb'), 'token-of-the-center\n');
  const others = { owAuth_FILE: 'owAuth', couchdbPassword_FILE: 'couchdb', influxCentralToken_FILE: 'influxdb' };
  await writeFile(join(folder, 'site.yml'), JSON.stringify({ ...others, ...site }));
  let printed = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  onTestFinished(() => write.mockRestore());
  const to = join(folder, 'overlays');
  await mkdir(to);
  await siteNew(name, { from: join(folder, 'site.yml'), to });
  return { folder: join(to, name), printed };
}

interface SecretDocument {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly stringData: Readonly<Record<string, string>>;
}

async function secretsOf(folder: string): Promise<SecretDocument[]> {
  const text = await readFile(join(folder, 'secrets.yaml'), 'utf8');
  return parseAllDocuments(text).map((document) => document.toJS() as SecretDocument);
}

describe('fogwhisk site new', () => {
  it('says what to apply, and no secret', async () => {
    const { folder, printed } = await made('east', { datacenterId: 3 });
    expect(printed).toContain(`kubectl apply -f ${folder}/namespace.yaml -f ${folder}/secrets.yaml\n`);
    expect(printed).toContain(`kubectl apply -k ${folder}\n`);
    const values = (await secretsOf(folder)).flatMap(({ stringData }) => Object.values(stringData));
    expect(values.filter((value) => printed.includes(value))).toEqual([]);
  });

  it('keeps the secrets, those given and those made, in a file that only its owner reads', async () => {
    const { folder } = await made('east', {});
    expect((await stat(join(folder, 'secrets.yaml'))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(folder, '.gitignore'), 'utf8')).toBe('secrets.yaml\n');
    const [provider, mosquitto, influxdb] = await secretsOf(folder);
    expect(provider!.metadata).toEqual({ name: 'mqtt-provider-secret', namespace: 'east' });
    expect(provider!.stringData).toMatchObject({
      owAuth: '11111111-2222-3333-4444-555555555555:key-of-openwhisk',
      couchdbPassword: 'password-of-couchdb',
      influxCentralToken: 'token-of-the-center',
      influxLocalToken: influxdb!.stringData['admin-token'],
    });
    expect(mosquitto!.stringData.passwd).toMatch(/^fogwhisk:\$7\$101\$\S+\nsensor:\$7\$101\$\S+\n$/);
  });

  it('takes values as YAML has them', async () => {
    const { folder } = await made('east', { datacenterId: 3, mqttTopics: [{ topic: 'lake/#' }], logLevel: 'debug' });
    const text = await readFile(join(folder, 'configmap.yml'), 'utf8');
    expect(parseAllDocuments(text)[0]!.toJS()).toMatchObject({
      data: { datacenterId: '3', mqttTopics: '[{"topic":"lake/#"}]', logLevel: 'debug' },
    });
  });

  it.each([
    ['a key that is no setting', { datacentreId: 3 }, 'datacentreId: is no setting'],
    ['a secret in the open', { couchdbPassword: 'x' }, 'put it into a file, and its name here as couchdbPassword_FILE'],
    ['a value that is not allowed', { journalMaxBytes: 'big' }, 'journalMaxBytes'],
  ])('refuses %s', async (_what, site, message) => {
    const refused = made('east', site);
    await expect(refused).rejects.toBeInstanceOf(ConfigError);
    await expect(refused).rejects.toThrow(message);
  });

  it.each(['East', '-x', 'a.b', '../x', 'x'.repeat(64)])('refuses the name %s', async (name) => {
    await expect(made(name, {})).rejects.toMatchObject({ code: 'SITE_NAME_INVALID' });
  });

  it('changes no site that is there', async () => {
    const { folder } = await made('east', {});
    const again = siteNew('east', { from: join(folder, '../../site.yml'), to: join(folder, '..') });
    await expect(again).rejects.toMatchObject({ code: 'SITE_EXISTS' });
  });

  it('asks nobody where there is no terminal', async () => {
    const isTTY = process.stdin.isTTY;
    process.stdin.isTTY = false;
    onTestFinished(() => {
      process.stdin.isTTY = isTTY;
    });
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'site.yml'), 'datacenterId: 3\n');
    await expect(siteNew('east', { from: join(folder, 'site.yml'), to: folder })).rejects.toMatchObject({
      code: 'SECRETS_NOT_GIVEN',
      details: { keys: 'owAuth, couchdbPassword, influxCentralToken' },
    });
  });
});

describeWith(['kubectl'], "a new site's overlay", () => {
  it('is one that kubectl renders, with the settings of the base and its own', async () => {
    const { folder } = await made('east', { datacenterId: 3 });
    const { stdout } = await promisify(execFile)('kubectl', ['kustomize', folder]);
    const documents = parseAllDocuments(stdout).map(
      (document) => document.toJS() as { metadata: { name: string }; data: object },
    );
    const map = documents.find(({ metadata }) => metadata.name === 'mqtt-provider-configmap');
    expect(map).toMatchObject({ metadata: { namespace: 'east' }, data: { datacenterId: '3', simulate: 'false' } });
  });
});
