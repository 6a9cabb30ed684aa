import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { main as alarms } from '../../actions/alarmsFeed/main.ts';
import { main as mqtt } from '../../actions/mqttFeed/main.ts';
import { freePort } from '../support/free-port.ts';

const KEY = 'uuid:planted-key';

/** A provider that notes what it is asked. */
async function startProvider(status = 200, answer: unknown = { status: 'success' }) {
  const asked: Array<{ method: string; path: string; authorization: string; body: unknown }> = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push({
        method: request.method!,
        path: request.url!,
        authorization: request.headers.authorization!,
        body: body === '' ? undefined : JSON.parse(body),
      });
      response.writeHead(status).end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('the feed of alarms', () => {
  it("asks the provider for each lifecycle event, with the user's key in the header only", async () => {
    const { asked, url } = await startProvider();
    const call = {
      triggerName: '/guest/my trigger',
      authKey: KEY,
      provider_endpoint: `${url}/alarms`,
      feed_type: 'alarm',
    };
    const other = { __ow_headers: { authorization: 'x' }, cron: '0 3 * * *', trigger_payload: { a: 1 } };
    for (const lifecycleEvent of ['CREATE', 'READ', 'UPDATE', 'DELETE']) {
      expect(await alarms({ ...call, ...other, lifecycleEvent })).toEqual({ status: 'success' });
    }
    const parameters = { cron: '0 3 * * *', trigger_payload: { a: 1 }, feed: 'alarm' };
    const authorization = `Basic ${Buffer.from(KEY).toString('base64')}`;
    expect(asked).toEqual([
      { method: 'POST', path: '/alarms', authorization, body: { ...parameters, trigger: '/guest/my trigger' } },
      { method: 'GET', path: '/alarms/guest/my%20trigger', authorization, body: undefined },
      { method: 'PUT', path: '/alarms/guest/my%20trigger', authorization, body: parameters },
      { method: 'DELETE', path: '/alarms/guest/my%20trigger', authorization, body: undefined },
    ]);
  });

  it("answers with the provider's error, or with its own", async () => {
    const { url } = await startProvider(400, { error: 'Invalid timezone.' });
    const call = {
      lifecycleEvent: 'CREATE',
      triggerName: 't',
      authKey: KEY,
      provider_endpoint: url,
      feed_type: 'alarm',
    };
    expect(await alarms(call)).toEqual({ error: 'Invalid timezone.' });
    expect(await alarms({ ...call, lifecycleEvent: 'PAUSE' })).toEqual({ error: 'unsupported lifecycleEvent' });
    expect(await alarms({ ...call, triggerName: '' })).toEqual({ error: 'no trigger name parameter was provided' });
    const away = await alarms({ ...call, provider_endpoint: `http://127.0.0.1:${await freePort()}/alarms` });
    expect(away.error).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/alarms can't be reached \(ECONNREFUSED\)/);
    expect(JSON.stringify(away)).not.toContain('planted');
    const { provider_endpoint: _, ...unbound } = call;
    expect((await alarms(unbound)).error).toContain('provider_endpoint is not given');
  });
});

describe('the feed of MQTT topics', () => {
  const call = {
    triggerName: '/guest/feed_trigger',
    authKey: KEY,
    url: 'http://test:test@mosquitto:1883',
    topic: 'test',
  };

  it("takes and answers what the predecessor's does, and reads and updates besides", async () => {
    const { asked, url } = await startProvider(200, { config: { topic: 'test' } });
    const at = { ...call, provider_endpoint: `${url}/mqtt` };
    expect(await mqtt({ ...at, lifecycleEvent: 'CREATE' })).toEqual({ done: true });
    expect(await mqtt({ ...at, lifecycleEvent: 'READ' })).toEqual({ done: true, config: { topic: 'test' } });
    expect(await mqtt({ ...at, lifecycleEvent: 'UPDATE', topic: 'other' })).toEqual({ done: true });
    expect(await mqtt({ ...at, lifecycleEvent: 'DELETE' })).toEqual({ done: true });
    expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /mqtt',
      'GET /mqtt/guest/feed_trigger',
      'PUT /mqtt/guest/feed_trigger',
      'DELETE /mqtt/guest/feed_trigger',
    ]);
    expect(asked[0]!.body).toEqual({ trigger: '/guest/feed_trigger', url: call.url, topic: 'test' });
  });

  it("fails with the predecessor's texts", async () => {
    const { asked, url } = await startProvider(500, { error: 'failed to add MQTT topic trigger' });
    const at = { ...call, provider_endpoint: `${url}/mqtt`, lifecycleEvent: 'CREATE' };
    expect(await mqtt({ ...at, topic: undefined })).toEqual({
      done: true,
      error: 'Missing mandatory feed properties, must include url and topic.',
    });
    expect(asked).toEqual([]);
    expect(await mqtt(at)).toEqual({
      done: true,
      error: 'mqtt feed: Error invoking provider: 500\n{"error":"failed to add MQTT topic trigger"}',
    });
  });

  it('keeps concurrent calls apart', async () => {
    const good = await startProvider();
    const bad = await startProvider(500, { error: 'no' });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        mqtt({ ...call, provider_endpoint: (n % 2 ? bad : good).url, lifecycleEvent: 'DELETE' }),
      ),
    );
    expect(answers.map(({ error }) => error !== undefined)).toEqual(answers.map((_, n) => n % 2 === 1));
  });
});
