import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ConfigError, describeConfig, loadConfig, settings } from '../src/config.ts';
import { configMapSample, settingsPage } from './support/settings-docs.ts';
import { temporaryFolder } from './support/temporary.ts';

async function configMap(data: Record<string, unknown> | string): Promise<string> {
  const file = join(await temporaryFolder(), 'configmap.yml');
  await writeFile(
    file,
    typeof data === 'string'
      ? data
      : JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data }),
  );
  return file;
}

function problemsOf(load: () => unknown): Record<string, string> {
  try {
    load();
  } catch (error) {
    if (error instanceof ConfigError)
      return Object.fromEntries(error.problems.map(({ key, message }) => [key, message]));
    throw error;
  }
  return {};
}

describe('the configuration', () => {
  it('takes the ConfigMap that comes with fogwhisk, which is a valid one', () => {
    const file = join(import.meta.dirname, '../configmap.yml');
    const map = parse(readFileSync(file, 'utf8')) as {
      apiVersion: string;
      kind: string;
      metadata: { name: string };
      data: Record<string, unknown>;
    };
    expect(map).toMatchObject({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: expect.stringMatching(/^[a-z0-9.-]+$/) },
    });
    expect(Object.values(map.data).every((value) => typeof value === 'string')).toBe(true);
    const config = loadConfig(file, {});
    expect(config).toMatchObject({ datacenterId: '1', simulate: true, mqttUrl: 'embedded', providerPort: 3000 });
    expect(config.registrations.map(({ topics, qos, trigger }) => ({ topics, qos, trigger }))).toContainEqual({
      topics: ['test'],
      qos: 1,
      trigger: 'addReadingToDbTrigger',
    });
  });

  it('has a value for every setting without a file', () => {
    expect(loadConfig(undefined, {})).toMatchObject({
      dataDir: './data',
      embeddedMqttPort: 1883,
      embeddedOpenwhiskPort: 3233,
      embeddedCouchdbPort: 5984,
      embeddedInfluxdbPort: 8086,
    });
  });

  it('lets the environment win, and reads secrets from files', async () => {
    const secret = join(await temporaryFolder(), 'secret');
    await writeFile(secret, 'from-a-file:key\n');
    const config = loadConfig(await configMap({ datacenterId: '7', providerPort: '1' }), {
      providerPort: '4000',
      owAuth_FILE: secret,
    });
    expect(config).toMatchObject({ datacenterId: '7', providerPort: 4000, owAuth: 'from-a-file:key' });
  });

  it('reports every problem at once, with key, value and what is allowed', async () => {
    const file = await configMap({
      providerPort: '99999',
      mqtUrl: 'embedded',
      datacenterId: 'a b',
      mqttTopics: '[{"topic":"a/#/b"},{"qos":3,"topic":"x"}]',
      simulate: 'yes',
      apiHost: 'openwhisk:3233',
      logLevel: 3,
    });
    const problems = problemsOf(() => loadConfig(file, {}));
    expect(Object.keys(problems).sort()).toEqual([
      'datacenterId',
      'logLevel',
      'mqtUrl',
      'mqttTopics',
      'owAuth',
      'providerPort',
      'simulate',
    ]);
    expect(problems.mqtUrl).toContain('did you mean mqttUrl?');
    expect(problems.providerPort).toContain('0 to 65535');
    expect(problems.simulate).toContain('`true` or `false`');
    expect(problems.owAuth).toContain('owAuth_FILE');
    expect(problems.logLevel).toContain('quotes');
  });

  it('never shows a secret, neither in problems nor in the effective configuration', async () => {
    const planted = 'planted-secret';
    const bad = await configMap({ owAuth: planted, providerToken: 'short-s3cret' });
    try {
      loadConfig(bad, {});
      expect.unreachable();
    } catch (error) {
      expect(String(error)).not.toMatch(/planted-secret|short-s3cret/);
    }
    const config = loadConfig(
      await configMap({
        mqttUrl: `http://user:${planted}@host:1883`,
        influxLocalToken: planted,
        owAuth: `u:${planted}`,
      }),
      {},
    );
    expect(describeConfig(config)).not.toContain(planted);
    expect(describeConfig(config)).toContain('mqtt://***@host:1883');
  });

  it.each([
    ['http://test:test@mosquitto:1883', 'mqtt://test:test@mosquitto:1883'],
    ['mqtts://broker', 'mqtts://broker'],
    ['wss://broker/mqtt', 'wss://broker/mqtt'],
  ])('takes the broker %s as %s', async (given, expected) => {
    expect(loadConfig(await configMap({ mqttUrl: given }), {}).mqttUrl).toBe(expected);
  });

  it.each([
    ['couch', undefined, 'http://couch'],
    ['couch', '443', 'https://couch'],
    ['couch', '5984', 'http://couch:5984'],
    ['couch:6000', '5984', 'http://couch:6000'],
    ['https://couch/path/', undefined, 'https://couch/path'],
    ['couch:443', undefined, 'https://couch'],
  ])('takes the gateway %s with port %s as %s', async (couchdbGateway, couchdbExtPort, expected) => {
    const data = { couchdbGateway, couchdbPassword: 'x', ...(couchdbExtPort && { couchdbExtPort }) };
    expect(loadConfig(await configMap(data), {}).couchdbGateway).toBe(expected);
  });

  it('takes namespaces, images and limits of the embedded OpenWhisk', async () => {
    const data = {
      embeddedNamespaces: '{"lakes":"uuid:key"}',
      embeddedImages: '{"a/b":{"command":["./run.sh","x"]},"c:1":{"listens":["node","s.js"]},"d":"images/d"}',
      embeddedContainers: 'podman',
      embeddedLimits: 'openwhisk',
    };
    expect(loadConfig(await configMap(data), {})).toMatchObject({
      embeddedNamespaces: { lakes: 'uuid:key' },
      embeddedImages: {
        'a/b': { command: [join(process.cwd(), 'run.sh'), 'x'] },
        'c:1': { listens: ['node', 's.js'] },
        d: { command: [join(process.cwd(), 'images/d/exec')] },
      },
      embeddedContainers: 'podman',
      embeddedLimits: 'openwhisk',
    });
  });

  it.each([
    ['embeddedNamespaces', '{"a":"planted', 'is not JSON; '],
    ['embeddedNamespaces', '{"a":"planted"}', 'a: is no UUID:KEY; '],
    ['embeddedNamespaces', '{"a":"planted:1","b":"planted:1"}', 'each needs a key of its own'],
    ['embeddedNamespaces', '{"guest":"planted:1"}', 'guest: '],
    ['embeddedNamespaces', '[]', 'the whole: '],
    ['embeddedImages', '{"a":', 'is not JSON: '],
    ['embeddedImages', '{"a":{"command":[]}}', 'a: must be {"command"'],
    ['embeddedImages', '{"a":{"command":"ls"}}', 'a: must be {"command"'],
    ['embeddedContainers', 'lxc', '`docker`'],
    ['embeddedLimits', 'none', '`generous`'],
  ])('refuses %s = %s', async (key, value, reason) => {
    const file = await configMap({ [key]: value });
    expect(problemsOf(() => loadConfig(file, {}))[key]).toContain(reason);
    if (key === 'embeddedNamespaces') expect(() => loadConfig(file, {})).not.toThrow(/planted/);
  });

  it('has a reference page that says what the table says', async () => {
    await expect(settingsPage()).toMatchFileSnapshot('../docs/configuration.md');
  });

  it('has a commented sample that says what the table says', async () => {
    await expect(configMapSample()).toMatchFileSnapshot('../configmap.yml');
  });

  it('answers any text with a configuration or a ConfigError', async () => {
    const folder = await temporaryFolder();
    const file = join(folder, 'configmap.yml');
    const values = fc.dictionary(
      fc.oneof(fc.constantFrom(...Object.keys(settings)), fc.string()),
      fc.oneof(fc.string(), fc.json(), fc.integer()),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          values.map((data) => JSON.stringify({ kind: 'ConfigMap', data })),
        ),
        async (text) => {
          await writeFile(file, text);
          problemsOf(() => loadConfig(file, {}));
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
