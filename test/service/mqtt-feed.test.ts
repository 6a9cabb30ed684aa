import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fastify from 'fastify';
import { expect, it, onTestFinished } from 'vitest';
import type { CouchdbDocuments } from '../../src/adapters/couchdb/documents.ts';
import { OpenwhiskTriggerKeys } from '../../src/adapters/openwhisk/trigger-keys.ts';
import { Seal } from '../../src/core/sealed.ts';
import { Feed } from '../../src/flows/feed.ts';
import { addMqttFeedRoutes } from '../../src/http/mqtt-feed-routes.ts';
import { authKey, otherKey, startHost } from '../embedded/openwhisk/host.ts';
import { Center } from '../support/center.ts';
import { describeWith, program } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** A feed action that talks to the provider as the predecessor's does. */
const ACTION = `
const http = require('node:http');
function ask(method, url, json) {
  return new Promise((resolve, reject) => {
    const body = json && JSON.stringify(json);
    const headers = { accept: 'application/json' };
    if (body) Object.assign(headers, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    const request = http.request(url, { method, headers }, (response) => {
      let text = '';
      response.on('data', (part) => { text += part; });
      response.on('end', () => response.statusCode === 200
        ? resolve({ done: true })
        : reject({ done: true, error: 'mqtt feed: Error invoking provider: ' + response.statusCode + '\\n' + text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}
function main({ lifecycleEvent, triggerName, authKey, provider_endpoint, url, topic }) {
  const [username, password] = authKey.split(':');
  if (lifecycleEvent === 'CREATE') return ask('POST', provider_endpoint, { trigger: triggerName, url, topic, username, password });
  if (lifecycleEvent === 'DELETE') return ask('DELETE', provider_endpoint + triggerName);
  return { done: true };
}`;

describeWith(['wsk'], "wsk with the predecessor's feed action", () => {
  it('creates and deletes triggers whose registrations are in the center', async () => {
    const folder = await temporaryFolder();
    const host = await startHost(folder);
    onTestFinished(() => host.close());
    const center = await Center.start();
    const documents: CouchdbDocuments = center.documents('topic_listeners');
    await documents.prepare(new AbortController().signal);
    const keys = new OpenwhiskTriggerKeys(host.openwhisk.url);
    onTestFinished(() => keys.close());
    const seal = new Seal(['a shared key']);
    const server = fastify({ logger: false });
    const feed = new Feed({ documents, seal, secrets: { seal, named: () => undefined }, keys });
    addMqttFeedRoutes(server, { feed, token: 'token of the provider' });
    await server.listen({ host: '127.0.0.1', port: 0 });
    onTestFinished(() => server.close());
    const { port } = server.server.address() as { port: number };

    await writeFile(join(folder, 'wskprops'), `APIHOST=${host.openwhisk.url}\nAUTH=${authKey}\n`);
    await writeFile(join(folder, 'feed_action.js'), ACTION);
    const wsk = (...args: string[]) =>
      new Promise<{ code: number; text: string }>((resolve) => {
        const env = { PATH: process.env.PATH, HOME: folder, WSK_CONFIG_FILE: join(folder, 'wskprops') };
        execFile(program('wsk')!, args, { cwd: folder, env, timeout: 60_000 }, (error, stdout, stderr) => {
          resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, text: stdout + stderr });
        });
      });
    const registered = async () => [...(await documents.revisions(new AbortController().signal)).keys()];
    const endpoint = `http://127.0.0.1:${port}/mqtt`;
    for (const args of [
      ['package', 'create', '--shared', 'yes', '-p', 'provider_endpoint', endpoint, 'mqtt'],
      ['action', 'create', '-a', 'feed', 'true', 'mqtt/mqtt_feed', 'feed_action.js'],
    ]) {
      expect(await wsk(...args)).toMatchObject({ code: 0 });
    }
    const feedArgs = [
      '--feed',
      '/guest/mqtt/mqtt_feed',
      '-p',
      'topic',
      'test',
      '-p',
      'url',
      'http://test:test@mosquitto:1883',
    ];

    // As the predecessor's instructions have it, and as `wsk` names a trigger by itself.
    const named = await wsk(
      'trigger',
      'create',
      '/guest/feed_trigger',
      ...feedArgs,
      '-p',
      'triggerName',
      '/guest/feed_trigger',
    );
    expect(named).toMatchObject({ code: 0 });
    expect(await wsk('trigger', 'create', 'other_trigger', ...feedArgs)).toMatchObject({ code: 0 });
    expect(await registered()).toEqual(['/guest/feed_trigger', '/guest/other_trigger']);
    expect(await wsk('trigger', 'delete', '/guest/feed_trigger')).toMatchObject({ code: 0 });
    expect(await wsk('trigger', 'delete', 'other_trigger')).toMatchObject({ code: 0 });
    expect(await registered()).toEqual([]);

    // A trigger whose feed refuses is not there afterwards, and the reason is told.
    const refused = await wsk(
      'trigger',
      'create',
      'bad',
      '--feed',
      'mqtt/mqtt_feed',
      '-p',
      'topic',
      'a/#/b',
      '-p',
      'url',
      'http://m',
    );
    expect(refused.code).not.toBe(0);
    expect((await wsk('trigger', 'get', 'bad')).code).not.toBe(0);

    expect(await keys.resolve('/guest/t', authKey)).toEqual({ kind: 'allowed', trigger: '/guest/t' });
    expect(await keys.resolve('/_/t', authKey)).toEqual({ kind: 'allowed', trigger: '/guest/t' });
    expect(await keys.resolve('/guest/t', otherKey)).toEqual({ kind: 'refused' });
    expect(await keys.resolve('/whisk.system/t', authKey)).toEqual({ kind: 'refused' });
    await host.openwhisk.close();
    expect(await keys.resolve('/guest/t', authKey)).toEqual({ kind: 'unavailable' });
  }, 120_000);
});
