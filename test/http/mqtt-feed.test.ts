import { readdir, readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import fastify from 'fastify';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { SnapshotFile } from '../../src/adapters/couchdb/snapshot-file.ts';
import { subscriptionsDesign } from '../../src/adapters/couchdb/subscriptions-design.ts';
import { systemClock } from '../../src/adapters/system/clock.ts';
import { Seal } from '../../src/core/sealed.ts';
import { Feed } from '../../src/flows/feed.ts';
import { FollowRegistrations, type Registrations } from '../../src/flows/follow-registrations.ts';
import { addMqttFeedRoutes } from '../../src/http/mqtt-feed-routes.ts';
import type { ResolvedTrigger } from '../../src/ports/trigger-keys.ts';
import { Center, Told } from '../support/center.ts';
import { temporaryFolder } from '../support/temporary.ts';

const DATABASE = 'topic_listeners';
const KEY = 'uuid-of-guest:planted-key-of-guest';
const OTHER_KEY = 'uuid-of-other:planted-key-of-other';
const TOKEN = 'planted-token-of-the-operator';
const URL_WITH_LOGIN = 'http://test:planted-broker-password@mosquitto:1883';

/** A provider's feed routes at one site, with a center. */
async function startFeed() {
  const center = await Center.start();
  const documents = center.documents(DATABASE, [subscriptionsDesign]);
  await documents.prepare(new AbortController().signal);
  const seal = new Seal(['planted-shared-key']);
  const secrets = { seal, named: () => undefined };
  const keys = {
    resolve: async (trigger: string, key: string): Promise<ResolvedTrigger> =>
      key.includes('planted')
        ? { kind: 'allowed', trigger: trigger.replace(/^\/_\//, '/guest/') }
        : { kind: 'refused' },
  };
  const server = fastify({ logger: false });
  addMqttFeedRoutes(server, { feed: new Feed({ documents, seal, secrets, keys }), token: TOKEN });
  await server.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => server.close());
  const { port } = server.server.address() as { port: number };
  return { center, documents, seal, secrets, port, endpoint: `http://127.0.0.1:${port}/mqtt` };
}

/** A request as the predecessor's HTTP client makes it: JSON is sent and wanted, nothing says who asks. */
function predecessorsRequest(
  method: string,
  url: string,
  json?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const body = json === undefined ? undefined : JSON.stringify(json);
    const request = httpRequest(url, {
      method,
      agent: false,
      headers: {
        accept: 'application/json',
        ...(body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        ...headers,
      },
    });
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode!, body: text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** What the predecessor's feed action does with its parameters, and answers. */
async function predecessorsAction(params: Record<string, string>): Promise<{ done: boolean; error?: string }> {
  const { lifecycleEvent, triggerName, authKey, provider_endpoint: endpoint, url, topic } = params;
  if (lifecycleEvent !== 'CREATE' && lifecycleEvent !== 'DELETE') return { done: true };
  const [username, password] = authKey!.split(':');
  const { status, body } =
    lifecycleEvent === 'CREATE'
      ? await predecessorsRequest('POST', endpoint!, { trigger: triggerName, url, topic, username, password })
      : await predecessorsRequest('DELETE', `${endpoint}${triggerName}`);
  return status === 200
    ? { done: true }
    : { done: true, error: `mqtt feed: Error invoking provider: ${status}\n${body}` };
}

const basic = (key: string) => ({ authorization: `Basic ${Buffer.from(key).toString('base64')}` });

describe('the feed of MQTT topics', () => {
  it("works with the predecessor's action", async () => {
    const { center, endpoint } = await startFeed();
    const params = { triggerName: '/guest/feed_trigger', authKey: KEY, provider_endpoint: endpoint };
    const create = { ...params, lifecycleEvent: 'CREATE', url: URL_WITH_LOGIN, topic: 'sensors/#' };
    expect(await predecessorsAction(create)).toEqual({ done: true });
    expect(await predecessorsAction(create)).toEqual({ done: true });
    const { body } = await center.request('GET', `/${DATABASE}/${encodeURIComponent('/guest/feed_trigger')}`);
    expect(body).toMatchObject({
      _id: '/guest/feed_trigger',
      trigger: '/guest/feed_trigger',
      url: 'http://mosquitto:1883',
      topic: 'sensors/#',
    });
    expect(await predecessorsAction({ ...params, lifecycleEvent: 'READ' })).toEqual({ done: true });
    expect(await predecessorsAction({ ...params, lifecycleEvent: 'DELETE' })).toEqual({ done: true });
    const { error } = await predecessorsAction({ ...params, lifecycleEvent: 'DELETE' });
    expect(error).toMatch(
      /^mqtt feed: Error invoking provider: 500\n\{"error":"failed to remove MQTT topic trigger","reason":/,
    );
  });

  it("takes the namespace that wsk names by _ for the key's own", async () => {
    const { center, endpoint } = await startFeed();
    const params = { triggerName: '/_/t', authKey: KEY, provider_endpoint: endpoint, url: 'http://m', topic: 'a' };
    expect(await predecessorsAction({ ...params, lifecycleEvent: 'CREATE' })).toEqual({ done: true });
    expect((await center.request('GET', `/${DATABASE}/${encodeURIComponent('/guest/t')}`)).status).toBe(200);
    expect((await predecessorsRequest('GET', `${endpoint}/_/t`, undefined, basic(KEY))).status).toBe(200);
    expect(await predecessorsAction({ ...params, lifecycleEvent: 'DELETE' })).toEqual({ done: true });
    expect((await center.request('GET', `/${DATABASE}/${encodeURIComponent('/guest/t')}`)).status).toBe(404);
  });

  it('answers 200 without a body, or 500 with its text and the reason', async () => {
    const { endpoint } = await startFeed();
    const good = { trigger: '/guest/t', url: 'mqtt://m', topic: 'a', username: 'u', password: 'planted' };
    expect(await predecessorsRequest('POST', endpoint, good)).toEqual({ status: 200, body: '' });
    for (const [body, reason] of [
      [{ ...good, topic: undefined }, 'topic'],
      [{ ...good, topic: 'a/#/b' }, '#'],
      [{ ...good, url: undefined }, 'url'],
      [{ ...good, url: 'ftp://m' }, 'mqtt://'],
      [{ ...good, trigger: 't' }, 'NAMESPACE'],
      [{ ...good, username: undefined }, 'key'],
      [{ ...good, password: 'wrong' }, 'OpenWhisk refuses'],
      [{ ...good, topic: 'b' }, 'registered already'],
      [{ ...good, username: 'other' }, 'no registration of this name'],
    ] as const) {
      const answer = await predecessorsRequest('POST', endpoint, body);
      expect(answer.status).toBe(500);
      expect(JSON.parse(answer.body)).toEqual({
        error: 'failed to add MQTT topic trigger',
        reason: expect.stringContaining(reason),
      });
    }
  });

  it('shows, changes and removes for the key that made it, and for the operator', async () => {
    const { endpoint, center } = await startFeed();
    const at = `${endpoint}/guest/t`;
    const made = { trigger: '/guest/t', url: URL_WITH_LOGIN, topic: ['a', 'b'], sites: ['1'] };
    expect(await predecessorsRequest('POST', endpoint, made, basic(KEY))).toEqual({ status: 200, body: '' });

    const shown = await predecessorsRequest('GET', at, undefined, basic(KEY));
    expect(JSON.parse(shown.body)).toMatchObject({
      config: { trigger: '/guest/t', url: 'http://mosquitto:1883', topic: ['a', 'b'], sites: ['1'] },
      status: { active: true },
    });
    expect(shown.body).not.toContain('planted');
    expect((await predecessorsRequest('GET', at, undefined, { authorization: `Bearer ${TOKEN}` })).status).toBe(200);
    expect((await predecessorsRequest('GET', at, undefined, basic(OTHER_KEY))).status).toBe(404);
    expect((await predecessorsRequest('GET', at)).status).toBe(401);

    expect((await predecessorsRequest('PUT', at, { topic: 'c' }, basic(OTHER_KEY))).status).toBe(404);
    expect((await predecessorsRequest('PUT', at, { topic: 'c/#/d' }, basic(KEY))).status).toBe(400);
    expect((await predecessorsRequest('PUT', at, { topic: 'c', active: false }, basic(KEY))).status).toBe(200);
    const changed = JSON.parse((await predecessorsRequest('GET', at, undefined, basic(KEY))).body);
    expect(changed).toMatchObject({ config: { topic: 'c' }, status: { active: false, reason: { kind: 'ADMIN' } } });
    expect((await predecessorsRequest('PUT', at, {}, basic(KEY))).status).toBe(200);
    expect(JSON.parse((await predecessorsRequest('GET', at, undefined, basic(KEY))).body).status.active).toBe(true);

    // What was made with the key in the header is not removed without it.
    expect((await predecessorsRequest('DELETE', at)).status).toBe(500);
    expect((await predecessorsRequest('DELETE', at, undefined, basic(OTHER_KEY))).status).toBe(500);
    expect(
      (await predecessorsRequest('DELETE', at, undefined, { ...basic(KEY), 'content-type': 'application/json' }))
        .status,
    ).toBe(200);
    expect((await center.request('GET', `/${DATABASE}/${encodeURIComponent('/guest/t')}`)).status).toBe(404);
  });

  it("leaves an alarm to the alarms' feeds", async () => {
    const { endpoint, center, seal } = await startFeed();
    const auth = seal.seal(KEY, { document: '/guest/n', field: 'auth' });
    await center.put(DATABASE, { _id: '/guest/n', kind: 'alarm', trigger: '/guest/n', alarm: {}, auth });
    for (const [method, status] of [
      ['GET', 404],
      ['PUT', 404],
      ['DELETE', 500],
    ] as const) {
      expect((await predecessorsRequest(method, `${endpoint}/guest/n`, undefined, basic(KEY))).status).toBe(status);
      expect((await predecessorsRequest(method, `${endpoint}/guest/n`)).status).not.toBe(200);
    }
    expect((await center.request('GET', `/${DATABASE}/${encodeURIComponent('/guest/n')}`)).status).toBe(200);
  });

  it('gives the views of the predecessor their rows', async () => {
    const { endpoint, center } = await startFeed();
    await center.put(DATABASE, {
      _id: '/guest/old',
      trigger: '/guest/old',
      url: 'u',
      topic: 't',
      username: 'n',
      password: 'p',
    });
    await predecessorsRequest(
      'POST',
      endpoint,
      { trigger: '/guest/new', url: 'mqtt://m', topic: ['a', 'b'] },
      basic(KEY),
    );
    await center.put(DATABASE, { _id: '/guest/alarm', kind: 'alarm', trigger: '/guest/alarm', alarm: {} });
    const view = async (name: string) => {
      const { body } = await center.request('GET', `/${DATABASE}/_design/subscriptions/_view/${name}?reduce=false`);
      return (body.rows as Array<{ key: string; value: unknown }>).map(({ key, value }) => [key, value]);
    };
    const old = { trigger: '/guest/old', username: 'n', password: 'p' };
    const made = { trigger: '/guest/new' };
    expect(await view('all')).toEqual([
      ['/guest/new', 'mqtt://m#a'],
      ['/guest/new', 'mqtt://m#b'],
      ['/guest/old', 'u#t'],
    ]);
    expect(await view('host_topic_triggers')).toEqual([
      ['mqtt://m#a', made],
      ['mqtt://m#b', made],
      ['u#t', old],
    ]);
    expect(await view('host_triggers')).toEqual([
      ['mqtt://m', made],
      ['mqtt://m', made],
      ['u', old],
    ]);
    const { body } = await center.request(
      'GET',
      `/${DATABASE}/_design/subscriptions/_view/host_topic_counts?group=true`,
    );
    expect(body.rows).toEqual([
      { key: 'mqtt://m#a', value: 1 },
      { key: 'mqtt://m#b', value: 1 },
      { key: 'u#t', value: 1 },
    ]);
  });

  it('lets a registration of the predecessor be removed its way', async () => {
    const { endpoint, center } = await startFeed();
    await center.put(DATABASE, {
      _id: '/guest/old',
      trigger: '/guest/old',
      url: 'u',
      topic: 't',
      username: 'n',
      password: 'p',
    });
    expect(await predecessorsRequest('DELETE', `${endpoint}/guest/old`)).toEqual({ status: 200, body: '' });
  });

  it('says so while the center is away', async () => {
    const { endpoint, center } = await startFeed();
    await center.stop();
    const body = { trigger: '/guest/t', url: 'mqtt://m', topic: 'a' };
    const answer = await predecessorsRequest('POST', endpoint, body, basic(KEY));
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.body).reason).toContain('ECONNREFUSED');
  });

  it('leaves no plain secret anywhere', async () => {
    const { endpoint, center, documents, secrets } = await startFeed();
    const folder = await temporaryFolder();
    const said: string[] = [];
    const log = pino({ level: 'trace' }, { write: (line: string) => said.push(line) });
    const told = new Told<Registrations>();
    const follower = new FollowRegistrations({
      database: documents,
      snapshots: new SnapshotFile(join(folder, 'registrations.json'), log),
      clock: systemClock,
      log,
      configured: [],
      reader: { site: '1', secrets, ownBroker: undefined, alarmSchema: z.never() },
      onChange: told.tell,
    });
    await follower.start();
    const answers = [
      await predecessorsRequest('POST', endpoint, { trigger: '/guest/t', url: URL_WITH_LOGIN, topic: 'a' }, basic(KEY)),
      await predecessorsRequest('POST', endpoint, { trigger: '/guest/t', url: URL_WITH_LOGIN, topic: 'b' }, basic(KEY)),
      await predecessorsRequest('PUT', `${endpoint}/guest/t`, { url: `${URL_WITH_LOGIN}/x`, topic: 'c' }, basic(KEY)),
      await predecessorsRequest('GET', `${endpoint}/guest/t`, undefined, basic(KEY)),
    ];
    const { registrations } = await told.until(
      (all) => all.registrations[0]?.kind === 'mqtt' && all.registrations[0].topics[0] === 'c',
    );
    const login = { username: 'test', password: 'planted-broker-password' };
    expect(registrations[0]).toMatchObject({ auth: KEY, login });
    await follower.stop();
    await center.stop();

    const written = [
      ...said,
      ...answers.map(({ body }) => body),
      await everythingIn(folder),
      await everythingIn(center.folder),
    ];
    expect(written.join('\n')).toContain('/guest/t');
    expect(written.join('\n')).not.toContain('planted');
  });
});

/** All files below a folder, as one text. */
async function everythingIn(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
  return (await Promise.all(files.map((file) => readFile(file, 'latin1')))).join('\n');
}
