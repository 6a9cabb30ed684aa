import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import openwhisk from 'openwhisk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { authKey, type Host, startHost } from '../embedded/openwhisk/host.ts';
import { describeWith, program } from '../support/programs.ts';

const systemKey =
  '8b1c8dd4-3f66-4f7e-a3f5-b5c2a1b3c4d5:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab';

const feedAction = `function main({lifecycleEvent, triggerName, topic, cron, provider_endpoint}) {
  return { done: true, lifecycleEvent, triggerName, topic, cron, provider_endpoint };
}`;

let host: Host;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fogwhisk-test-'));
  host = await startHost(folder, { namespaces: { 'whisk.system': systemKey } });
  await writeFile(join(folder, 'wskprops'), `APIHOST=${host.openwhisk.url}\nAUTH=${authKey}\n`);
  await writeFile(
    join(folder, 'addReadingsToDB.js'),
    'function main(a){ console.log("got", a.body); return { stored: true } }',
  );
  await writeFile(join(folder, 'aggregatesAction.js'), 'function main(a){ return a }');
  await writeFile(join(folder, 'feed_action.js'), feedAction);
  await writeFile(join(folder, 'parameters.json'), '{"local_url":"http://influx:8086","location":"Europe/Rome"}');
  const asSystem = (path: string, body: object) =>
    host.client.put(`/api/v1/namespaces/whisk.system/${path}`, body, { key: systemKey });
  await asSystem('packages/alarms', { publish: true });
  const annotations = [{ key: 'feed', value: true }];
  const exec = { kind: 'nodejs:20', code: feedAction };
  expect((await asSystem('actions/alarms/alarm', { exec, annotations })).status).toBe(200);
});
afterAll(async () => {
  await host.close();
  await rm(folder, { recursive: true, force: true });
});

/** Runs a program as typed in a shell, in the folder of the sources; its exit code and all that it wrote. */
function run(name: string, args: readonly string[]): Promise<{ code: number; text: string }> {
  const env = { PATH: process.env.PATH, HOME: folder, WSK_CONFIG_FILE: join(folder, 'wskprops') };
  return new Promise((resolve) => {
    execFile(program(name)!, args, { cwd: folder, env, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, text: stdout + stderr });
    });
  });
}

const names = async (collection: string) =>
  (await host.client.get(collection)).json.map(({ name }: { name: string }) => name).sort();

describeWith(['wsk'], 'wsk', () => {
  const ok = async (...args: string[]) => {
    const { code, text } = await run('wsk', args);
    expect([code, text]).toEqual([0, expect.anything()]);
    return text;
  };

  test('an action, a trigger and a rule: create, fire, look, delete', async () => {
    expect(await ok('action', 'create', 'addReadingToDb', 'addReadingsToDB.js')).toBe(
      'ok: created action addReadingToDb\n',
    );
    expect(await ok('trigger', 'create', 'addReadingToDbTrigger')).toBe('ok: created trigger addReadingToDbTrigger\n');
    await ok('rule', 'create', 'addReadingToDbRule', 'addReadingToDbTrigger', 'addReadingToDb');
    expect(await ok('trigger', 'fire', 'addReadingToDbTrigger', '-p', 'body', 'reading')).toMatch(
      /^ok: triggered .* with id [0-9a-f]{32}\n$/,
    );
    await expect.poll(() => ok('activation', 'list')).toMatch(/success +guest\/addReadingToDb:0\.0\.1/);
    expect(await ok('activation', 'logs', '--last')).toMatch(/ stdout: got reading\n$/);
    expect(JSON.parse(await ok('activation', 'result', '--last'))).toEqual({ stored: true });
    await ok('rule', 'delete', 'addReadingToDbRule', '-i');
    await ok('action', 'delete', 'addReadingToDb', '-i');
    await ok('trigger', 'delete', 'addReadingToDbTrigger', '-i');
  });

  test('an alarm through the feed of whisk.system', async () => {
    await ok('action', 'create', 'aggregatesAction', 'aggregatesAction.js');
    const created = await ok(
      'trigger',
      'create',
      'aggregatesTrigger',
      '--feed',
      '/whisk.system/alarms/alarm',
      '--param',
      'cron',
      '0 3 * * *',
    );
    expect(created).toContain('"lifecycleEvent": "CREATE"');
    expect(created).toContain('"triggerName": "/_/aggregatesTrigger"');
    expect(created).toContain('"cron": "0 3 * * *"');
    await ok('rule', 'create', 'aggregatesRule', 'aggregatesTrigger', 'aggregatesAction');
    await ok('action', 'update', 'aggregatesAction', '--param-file', 'parameters.json');
    expect(JSON.parse(await ok('action', 'invoke', 'aggregatesAction', '-r'))).toEqual({
      local_url: 'http://influx:8086',
      location: 'Europe/Rome',
    });
    await ok(
      'action',
      'update',
      'aggregatesAction',
      'aggregatesAction.js',
      '--param',
      'local_url',
      'x',
      '--param',
      'central_bucket',
      'aggregates',
    );
    expect(await ok('trigger', 'get', 'aggregatesTrigger')).toContain('"lifecycleEvent": "READ"');
    await ok('rule', 'delete', 'aggregatesRule');
    expect(await ok('trigger', 'delete', 'aggregatesTrigger')).toContain('"lifecycleEvent": "DELETE"');
    await ok('action', 'delete', 'aggregatesAction');
  });

  test('a shared package with a feed action of its own', async () => {
    await ok(
      'package',
      'create',
      '--shared',
      'yes',
      '-p',
      'provider_endpoint',
      'http://mqtt-provider:3000/mqtt',
      'mqtt',
    );
    await ok('package', 'update', 'mqtt', '-a', 'description', 'MQTT topics as triggers');
    await ok('action', 'create', '-a', 'feed', 'true', 'mqtt/mqtt_feed', 'feed_action.js');
    const created = await ok(
      ...['trigger', 'create', '/guest/feed_trigger', '--feed', '/guest/mqtt/mqtt_feed', '-p', 'topic', 'test'],
      ...['-p', 'url', 'http://test:test@mosquitto:1883', '-p', 'triggerName', '/guest/feed_trigger'],
    );
    expect(created).toContain('"provider_endpoint": "http://mqtt-provider:3000/mqtt"');
    await ok('action', 'create', 'addReadingToDb', 'addReadingsToDB.js', '--param', 'influx_bucket', 'measure');
    await ok('rule', 'create', 'mqttRule', '/guest/feed_trigger', 'addReadingToDb');
    expect(await ok('list')).toMatch(/\/guest\/mqttRule +private +active/);
    await ok('rule', 'delete', 'mqttRule');
    await ok('trigger', 'delete', 'feed_trigger');
    await ok('action', 'delete', 'addReadingToDb');
    await ok('action', 'delete', 'mqtt/mqtt_feed');
    await ok('package', 'delete', 'mqtt');
  });

  test("failures have its exit codes: 404 → 148, 409 → 153, an action's error → 246", async () => {
    expect((await run('wsk', ['action', 'get', 'nosuch'])).code).toBe(148);
    await ok('trigger', 'create', 'twice');
    expect((await run('wsk', ['trigger', 'create', 'twice'])).code).toBe(153);
    await host.client.action('fails', 'function main(){ return { error: "no" } }');
    expect((await run('wsk', ['action', 'invoke', 'fails', '-r'])).code).toBe(246);
  });
});

describeWith(['wskdeploy'], 'wskdeploy', () => {
  const manifest = `
packages:
  lake:
    inputs:
      endpoint: http://mqtt-provider:3000/mqtt
    actions:
      store:
        function: addReadingsToDB.js
        runtime: nodejs:20
        inputs:
          bucket: measure
      feed:
        function: feed_action.js
        annotations:
          feed: true
      page:
        function: addReadingsToDB.js
        web: true
    sequences:
      both:
        actions: store, page
    triggers:
      readings:
        feed: /guest/lake/feed
        inputs:
          topic: test
      plain:
    rules:
      onReading:
        trigger: readings
        action: store
      onPlain:
        trigger: plain
        action: both
`;

  test('a manifest with a package, a sequence, triggers, rules, a feed and a web action: deploy, export, undeploy', async () => {
    const before = await names('actions');
    await writeFile(join(folder, 'manifest.yaml'), manifest);
    const access = ['--apihost', host.openwhisk.url, '-u', authKey];
    const deployed = await run('wskdeploy', ['sync', '-m', 'manifest.yaml', '--projectname', 'lake', ...access]);
    expect(deployed).toEqual({ code: 0, text: expect.stringContaining('completed successfully') });
    expect(await names('actions')).toEqual([...before, 'both', 'feed', 'page', 'store'].sort());
    expect((await host.client.get('rules/onReading')).json.status).toBe('active');
    expect((await host.client.result('lake/both', { body: 1 })).json).toEqual({ stored: true });
    expect((await host.client.get('/api/v1/web/guest/lake/page.json', { key: undefined })).json).toEqual({
      stored: true,
    });

    const exported = await run('wskdeploy', ['export', '-m', 'exported.yaml', '--projectname', 'lake', ...access]);
    expect(exported.code).toBe(0);
    const text = await readFile(join(folder, 'exported.yaml'), 'utf8');
    for (const name of ['store:', 'page:', 'both:', 'readings:', 'onReading:']) expect(text).toContain(name);

    const undeployed = await run('wskdeploy', ['undeploy', '-m', 'manifest.yaml', ...access]);
    expect(undeployed).toEqual({ code: 0, text: expect.stringContaining('completed successfully') });
    expect(await names('actions')).toEqual(before);
  });
});

describe('the openwhisk client', () => {
  test('actions, triggers, rules, feeds, packages, activations', async () => {
    const client = openwhisk({ apihost: host.openwhisk.url, api_key: authKey });
    await client.packages.update({ name: 'pk', package: { parameters: [{ key: 'x', value: 1 }] } });
    await client.actions.update({ name: 'pk/act', action: 'function main(a){ return a }' });
    const invoked = await client.actions.invoke({ name: 'pk/act', params: { y: 2 }, blocking: true, result: true });
    expect(invoked).toEqual({ x: 1, y: 2 });
    await client.triggers.update({ name: 'tr' });
    await client.rules.update({ name: 'ru', action: 'pk/act', trigger: 'tr' });
    const fired = (await client.triggers.invoke({ name: 'tr', params: { z: 3 } })) as unknown as {
      activationId: string;
    };
    await expect.poll(async () => (await client.activations.list({ name: 'pk/act' })).length).toBe(2);
    const record = await client.activations.get({ name: fired.activationId });
    expect(JSON.parse(record.logs![0]!)).toMatchObject({ success: true, rule: 'guest/ru', action: 'guest/pk/act' });
    const feed = (await client.feeds.create({
      name: '/whisk.system/alarms/alarm',
      trigger: 'tr',
      params: { cron: '* * * * *' },
    })) as unknown as {
      response: { result: unknown };
    };
    expect(feed.response.result).toMatchObject({ lifecycleEvent: 'CREATE', cron: '* * * * *' });
    await client.rules.disable({ name: 'ru' });
    expect((await host.client.post('triggers/tr', {})).status).toBe(204);
    await client.rules.delete({ name: 'ru' });
    await client.triggers.delete({ name: 'tr' });
    await client.actions.delete({ name: 'pk/act' });
    await client.packages.delete({ name: 'pk' });
    await expect(client.actions.get({ name: 'pk/act' })).rejects.toMatchObject({ statusCode: 404 });
  });
});
