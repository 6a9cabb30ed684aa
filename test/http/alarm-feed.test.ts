import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fastify from 'fastify';
import openwhisk from 'openwhisk';
import { describe, expect, it, onTestFinished } from 'vitest';
import { main as alarmsFeed } from '../../actions/alarmsFeed/main.ts';
import { subscriptionsDesign } from '../../src/adapters/couchdb/subscriptions-design.ts';
import { OpenwhiskTriggerKeys } from '../../src/adapters/openwhisk/trigger-keys.ts';
import { alarmSchema } from '../../src/core/alarm.ts';
import { Seal } from '../../src/core/sealed.ts';
import { Feed } from '../../src/flows/feed.ts';
import { addAlarmFeedRoutes } from '../../src/http/alarm-feed-routes.ts';
import type { TriggerKeys } from '../../src/ports/trigger-keys.ts';
import { authKey, hostForTest } from '../embedded/openwhisk/host.ts';
import { buildAction } from '../support/action-bundle.ts';
import { Center } from '../support/center.ts';
import { temporaryFolder } from '../support/temporary.ts';

const DATABASE = 'topic_listeners';
const KEY = 'uuid-of-guest:planted-key-of-guest';
const OTHER_KEY = 'uuid-of-other:planted-key-of-other';
const TOKEN = 'token-of-the-operator';

const anyPlantedKey: TriggerKeys = {
  resolve: async (trigger, key) =>
    key.includes('planted') ? { kind: 'allowed', trigger: trigger.replace(/^\/_\//, '/guest/') } : { kind: 'refused' },
};

/** A provider with the feeds' routes, and the feed action that is bound to them. */
async function startFeed(keys: TriggerKeys = anyPlantedKey) {
  const center = await Center.start();
  const documents = center.documents(DATABASE, [subscriptionsDesign]);
  await documents.prepare(new AbortController().signal);
  const seal = new Seal(['shared-key']);
  const server = fastify({ logger: false });
  const feed = new Feed({ documents, seal, secrets: { seal, named: () => undefined }, keys });
  addAlarmFeedRoutes(server, { feed, token: TOKEN });
  await server.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => server.close());
  const { port } = server.server.address() as { port: number };
  const url = `http://127.0.0.1:${port}/alarms`;
  const call = (feed_type: string, lifecycleEvent: string, parameters: object = {}, authKey = KEY) =>
    alarmsFeed({ triggerName: '/_/t', authKey, provider_endpoint: url, feed_type, lifecycleEvent, ...parameters });
  return { center, url, call };
}

const FUTURE = '2999-01-01T00:00:00.000Z';
const LATER = '2999-02-01T00:00:00.000Z';
const PAST = '2001-01-01T00:00:00.000Z';

describe('the feeds of alarms', () => {
  const refusals: Array<[feed: string, parameters: object, error: string]> = [
    ['alarm', {}, 'alarms trigger feed is missing the cron parameter'],
    ['once', {}, 'alarms once trigger feed is missing the date parameter'],
    ['alarm', { cron: '* * * * * * * *' }, "cron pattern '* * * * * * * *' is not valid"],
    ['alarm', { cron: '* * * * *', timezone: 'Mars/Base' }, 'Invalid timezone.'],
    ['once', { date: 'tomorrow' }, "date parameter 'tomorrow' is not a valid Date"],
    ['once', { date: PAST }, `date parameter '${PAST}' must be in the future`],
    ['alarm', { cron: '* * * * *', startDate: PAST }, `startDate parameter '${PAST}' must be in the future`],
    [
      'interval',
      { minutes: 5, startDate: LATER, stopDate: FUTURE },
      `stopDate parameter '${FUTURE}' must be greater than the startDate parameter '${LATER}'`,
    ],
    ['interval', {}, 'interval trigger feed is missing the minutes parameter'],
    ['interval', { minutes: '123a' }, 'the minutes parameter must be an integer'],
    [
      'alarm',
      { cron: '*/5 * * * * *', limitCronFields: true },
      'cron pattern is limited to 5 fields with 1 minute as the finest granularity',
    ],
    ['interval', { minutes: -1 }, 'the minutes parameter must be an integer greater than zero'],
    [
      'once',
      { date: FUTURE, deleteAfterFire: 'maybe' },
      'deleteAfterFire parameter must be one of [false, true, rules].',
    ],
    [
      'alarm',
      { cron: '* * * * *', stopDate: FUTURE, maxTriggers: 1 },
      'maxTriggers is not allowed when the stopDate parameter is specified',
    ],
    [
      'alarm',
      { cron: '0 0 29 2 7', stopDate: new Date(Date.now() + 60_000).toISOString() },
      'the first scheduled trigger fire is not until after the stop date',
    ],
  ];
  it('refuse in the words of the alarms package', async () => {
    const { call, center } = await startFeed();
    for (const [feed, parameters, error] of refusals) {
      expect(await call(feed, 'CREATE', parameters)).toEqual({ error });
    }
    const { body } = await center.request('GET', `/${DATABASE}/_all_docs?startkey="/"&endkey="0"`);
    expect(body.rows).toEqual([]);
  });

  it('refuse an update in the words of the alarms package', async () => {
    const { call } = await startFeed();
    await call('alarm', 'CREATE', { cron: '0 3 * * *', stopDate: FUTURE });
    expect(await call('alarm', 'UPDATE')).toEqual({ error: 'no updatable parameters were specified' });
    expect(await call('alarm', 'UPDATE', { startDate: LATER })).toEqual({
      error: `startDate parameter '${LATER}' must be less than the stopDate parameter '${FUTURE}'`,
    });
    expect(await call('alarm', 'UPDATE', { cron: 'x' })).toEqual({ error: "cron pattern 'x' is not valid" });
  });

  it('create, show, change and remove an alarm of each kind', async () => {
    const { call, center } = await startFeed();
    const kinds: Array<[feed: string, parameters: object, config: object, change: object, changed: object]> = [
      [
        'alarm',
        { cron: '*/30 * * * * *', timezone: 'Europe/Berlin', startDate: FUTURE, strict: 'false', window: 'day' },
        { cron: '*/30 * * * * *', timezone: 'Europe/Berlin', startDate: FUTURE, strict: false, window: 'day' },
        { cron: '0 3 * * *', overlap: 'skip' },
        { cron: '0 3 * * *', overlap: 'skip' },
      ],
      [
        'interval',
        { minutes: '2', stopDate: Date.parse(FUTURE) },
        { minutes: 2, startDate: expect.any(Number), stopDate: Date.parse(FUTURE) },
        { minutes: 3 },
        { minutes: 3 },
      ],
      [
        'once',
        { date: FUTURE, deleteAfterFire: 'rules' },
        { date: FUTURE, deleteAfterFire: 'rules' },
        { date: LATER },
        { date: LATER },
      ],
    ];
    for (const [feed, parameters, config, change, changed] of kinds) {
      const created = { ...parameters, trigger_payload: { lake: 'fcre' } };
      expect(await call(feed, 'CREATE', created)).toEqual({ status: 'success' });
      expect(await call(feed, 'CREATE', created)).toEqual({ status: 'success' });
      const shown = { name: 't', namespace: 'guest', payload: { lake: 'fcre' }, ...config };
      expect(await call(feed, 'READ')).toEqual({
        config: shown,
        status: { active: true, dateChanged: expect.any(Number), dateChangedISO: expect.stringMatching(/Z$/) },
      });
      expect(await call(feed, 'UPDATE', change)).toEqual({ status: 'success' });
      expect(await call(feed, 'UPDATE', { trigger_payload: 'text' })).toEqual({ status: 'success' });
      expect((await call(feed, 'READ')).config).toEqual({ ...shown, ...changed, payload: { payload: 'text' } });
      const { body } = await center.request('GET', `/${DATABASE}/${encodeURIComponent('/guest/t')}`);
      expect(alarmSchema.safeParse(body.alarm).success).toBe(true);
      expect(JSON.stringify(body)).not.toContain('planted');
      expect(await call(feed, 'DELETE')).toEqual({ status: 'success' });
      expect(await call(feed, 'READ')).toHaveProperty('error');
    }
  });

  it('do not take the name of another alarm', async () => {
    const { call } = await startFeed();
    await call('alarm', 'CREATE', { cron: '0 3 * * *' });
    expect((await call('alarm', 'CREATE', { cron: '0 4 * * *' })).error).toContain('registered already');
    expect(await call('alarm', 'READ')).toMatchObject({ config: { cron: '0 3 * * *' } });
  });

  it('enable again by an update what was disabled, unless an administrator did it', async () => {
    const { call, center } = await startFeed();
    await call('alarm', 'CREATE', { cron: '0 3 * * *' });
    const path = `/${DATABASE}/${encodeURIComponent('/guest/t')}`;
    const disable = async (kind: string) => {
      const { body } = await center.request('GET', path);
      const status = { active: false, dateChanged: 1, reason: { kind, message: 'why' } };
      await center.request('PUT', path, { ...body, status });
    };
    await disable('AUTO');
    expect(await call('alarm', 'READ')).toMatchObject({ status: { active: false, reason: { message: 'why' } } });
    expect(await call('alarm', 'UPDATE', { cron: '0 3 * * *' })).toEqual({ status: 'success' });
    expect(await call('alarm', 'READ')).toMatchObject({ status: { active: true } });
    await disable('ADMIN');
    expect((await call('alarm', 'UPDATE', { cron: '0 4 * * *' })).error).toContain('was disabled by an admin');
  });

  it('let a key see and remove only what it made', async () => {
    const { call, url } = await startFeed();
    await call('alarm', 'CREATE', { cron: '0 3 * * *' });
    for (const event of ['READ', 'DELETE']) {
      expect(await call('alarm', event, {}, OTHER_KEY)).toEqual({
        error: 'no registration of this name was made with this key',
      });
    }
    expect((await call('alarm', 'UPDATE', { cron: '1 1 * * *' }, OTHER_KEY)).error).toContain('made with this key');
    expect((await call('alarm', 'CREATE', { cron: '0 3 * * *' }, 'u:unknown')).error).toContain('refuses this key');
    expect((await fetch(`${url}/guest/t`)).status).toBe(401);
    expect(
      (
        await fetch(url, {
          method: 'POST',
          body: '{"feed":"alarm","trigger":"/_/t","cron":"* * * * *"}',
          headers: { 'content-type': 'application/json' },
        })
      ).status,
    ).toBe(401);
    const operator = { headers: { authorization: `Bearer ${TOKEN}` } };
    expect((await fetch(`${url}/guest/t`, operator)).status).toBe(200);
  });
});

describe('the feeds of alarms in an OpenWhisk', () => {
  const systemKey =
    '8b1c8dd4-3f66-4f7e-a3f5-b5c2a1b3c4d5:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab';

  it('are created, read, updated and deleted by the openwhisk client', async () => {
    const host = await hostForTest({ namespaces: { 'whisk.system': systemKey } });
    const { url, center } = await startFeed(new OpenwhiskTriggerKeys(host.openwhisk.url));
    const bundle = join(await temporaryFolder(), 'alarmsFeed.js');
    await buildAction('alarmsFeed', bundle);
    const asSystem = (path: string, body: object) =>
      host.client.put(`/api/v1/namespaces/whisk.system/${path}`, body, { key: systemKey });
    const parameters = [{ key: 'provider_endpoint', value: url }];
    await asSystem('packages/alarms', { publish: true, parameters });
    await asSystem('actions/alarms/interval', {
      exec: { kind: 'nodejs:20', code: await readFile(bundle, 'utf8') },
      annotations: [{ key: 'feed', value: true }],
      parameters: [{ key: 'feed_type', value: 'interval' }],
    });

    const client = openwhisk({ apihost: host.openwhisk.url, api_key: authKey });
    // Its types know less than it does.
    const feeds = client.feeds as unknown as Record<
      'create' | 'get' | 'update' | 'delete',
      (options: object) => Promise<unknown>
    >;
    await client.triggers.create({ name: 'poll' });
    const name = '/whisk.system/alarms/interval';
    const feed = { name, trigger: 'poll' };
    const resultOf = (answer: unknown) => (answer as { response: { result: unknown } }).response.result;
    await expect(feeds.create(feed)).rejects.toThrow('interval trigger feed is missing the minutes parameter');
    const created = await feeds.create({ ...feed, params: { minutes: 5, trigger_payload: { a: 1 } } });
    expect(resultOf(created)).toEqual({ status: 'success' });
    expect((await center.request('GET', `/${DATABASE}/${encodeURIComponent('/guest/poll')}`)).body).toMatchObject({
      kind: 'alarm',
      trigger: '/guest/poll',
      alarm: { minutes: 5, payload: { a: 1 } },
    });
    expect(resultOf(await feeds.get(feed))).toMatchObject({
      config: { name: 'poll', namespace: 'guest', minutes: 5 },
    });
    expect(resultOf(await feeds.update({ ...feed, params: { minutes: 7 } }))).toEqual({ status: 'success' });
    expect(resultOf(await feeds.delete(feed))).toEqual({ status: 'success' });
    await expect(feeds.get(feed)).rejects.toThrow('no registration of this name');
  }, 30_000);
});
