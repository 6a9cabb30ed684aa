import { connectAsync, type MqttClient } from 'mqtt';
import { expect, it, onTestFinished } from 'vitest';
import { FakeOpenwhisk } from '../support/fake-openwhisk.ts';
import { Mosquitto } from '../support/mosquitto.ts';
import { describeWith } from '../support/programs.ts';
import { Provider } from '../support/provider.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** The provider alone: a real Mosquitto before it, a fake platform behind it. */

async function settingsFor(mosquitto: Mosquitto, platform: FakeOpenwhisk, topics: unknown = [{ topic: 'test' }]) {
  return {
    dataDir: await temporaryFolder(),
    mqttUrl: mosquitto.url,
    mqttTopics: JSON.stringify(topics),
    ...platform.settings,
  };
}

async function publisher(mosquitto: Mosquitto): Promise<MqttClient> {
  const client = await connectAsync(mosquitto.url);
  onTestFinished(() => client.endAsync(true));
  return client;
}

async function publishAll(client: MqttClient, topic: string, bodies: Iterable<string | Buffer>): Promise<void> {
  await Promise.all([...bodies].map((body) => client.publishAsync(topic, body, { qos: 1 })));
}

describeWith(['mosquitto'], 'the provider between Mosquitto and the platform', () => {
  it('fires every message once, in batches, and the books are exact', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    const provider = await Provider.start(await settingsFor(mosquitto, platform));
    const bodies = Array.from({ length: 5_000 }, (_, n) => `{"n":${n}}`);
    await publishAll(await publisher(mosquitto), 'test', bodies);
    const { books } = await provider.untilStatus(({ books }) => books.confirmed === 5_000);
    expect(books).toEqual({ received: 5_000, confirmed: 5_000, pending: 0, parked: 0, expired: 0, deduplicated: 0 });
    expect(platform.messages.map(({ body }) => body).sort()).toEqual(bodies.toSorted());
    expect(platform.fired.length).toBeLessThan(500);
    const times = platform.messages.map(({ receivedAt }) => BigInt(receivedAt));
    expect(new Set(times).size).toBe(5_000);
    expect(platform.messages.every(({ id, receivedAt }) => id === receivedAt)).toBe(true);
  });

  it('makes one event per registration where wildcards overlap, and keeps what nobody registered', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    const topics = [
      { topic: 'a/#', trigger: 'all' },
      { topic: 'a/+/c', trigger: 'some' },
      { topic: '$share/g/a/b/c', trigger: 'shared' },
    ];
    const provider = await Provider.start(await settingsFor(mosquitto, platform, topics));
    const client = await publisher(mosquitto);
    await publishAll(client, 'a/b/c', ['1', '2', '3']);
    await publishAll(client, 'a', ['4']);
    await publishAll(client, 'b', ['5']);
    await provider.untilStatus(({ books }) => books.confirmed === 10);
    const by = (trigger: string) =>
      platform.fired
        .filter((each) => each.trigger === trigger)
        .flatMap(({ messages }) => messages.map(({ body }) => body));
    expect(by('all').sort()).toEqual(['1', '2', '3', '4']);
    expect(by('some').sort()).toEqual(['1', '2', '3']);
    expect(by('shared').sort()).toEqual(['1', '2', '3']);
  });

  it('goes on from the journal after a kill -9 and loses nothing', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = () => ({ status: 503 });
    const settings = await settingsFor(mosquitto, platform);
    const first = await Provider.start(settings);
    const bodies = [
      ...Array.from({ length: 1_900 }, (_, n) => `{"n":${n}}`),
      ...Array.from({ length: 100 }, () => '{"n":"same"}'),
    ];
    const client = await publisher(mosquitto);
    await publishAll(client, 'test', bodies);
    await first.untilStatus(({ books }) => books.received === 2_000);
    await first.kill('SIGKILL');
    await publishAll(client, 'test', ['while away']);
    platform.fired.length = 0;
    platform.react = () => ({ status: 202, receipt: 'all' });
    const second = await Provider.start(settings);
    // What the broker sends again, because the acknowledgement got lost in the kill, is not counted twice.
    const { books } = await second.untilStatus(({ books }) => books.confirmed >= 2_001);
    expect(books).toMatchObject({ received: 2_001, confirmed: 2_001, pending: 0 });
    expect(platform.messages.map(({ body }) => body).sort()).toEqual([...bodies, 'while away'].sort());
  });

  it('fires again under the same batch id until a receipt comes, and parks what the action refuses', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = (fired, nth) => {
      if (nth === 0) return { status: 202, receipt: 'none' };
      const bad = fired.messages.filter(({ body }) => body === 'bad');
      return {
        status: 202,
        receipt: {
          stored: fired.messages.filter(({ body }) => body !== 'bad').map(({ id }) => id),
          refused: bad.map(({ id }) => ({ id, code: 'NOT_JSON', message: 'not JSON' })),
        },
      };
    };
    const settings = { ...(await settingsFor(mosquitto, platform)), receiptTimeoutSeconds: '1' };
    const provider = await Provider.start(settings);
    await publishAll(await publisher(mosquitto), 'test', ['good', 'bad', 'good too']);
    const { books } = await provider.untilStatus(({ books }) => books.pending === 0 && books.received === 3);
    expect(books).toMatchObject({ confirmed: 2, parked: 1 });
    expect(platform.fired[1]!.batchId).toBe(platform.fired[0]!.batchId);
  });

  it('holds events while there is no active rule, and confirms them when there is one', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    let isActive = false;
    platform.react = () => (isActive ? { status: 202, receipt: 'all' } : { status: 204 });
    const provider = await Provider.start(await settingsFor(mosquitto, platform));
    await publishAll(await publisher(mosquitto), 'test', ['1']);
    const held = await provider.untilStatus(({ registrations }) => registrations[0]!.obstacle !== undefined);
    expect(held.registrations[0]!.obstacle!.code).toBe('NO_ACTIVE_RULE');
    isActive = true;
    const { registrations } = await provider.untilStatus(({ books }) => books.confirmed === 1);
    expect(registrations[0]!.obstacle).toBeUndefined();
  });

  it('splits what the platform finds too large, and parks a message too large alone', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    const provider = await Provider.start(await settingsFor(mosquitto, platform));
    // Control characters take six bytes each in JSON: more than a batch's estimate allows for.
    const bodies = [Buffer.alloc(400_000, 1), Buffer.alloc(100_000, 2), Buffer.alloc(100_000, 3), Buffer.from('after')];
    await publishAll(await publisher(mosquitto), 'test', bodies);
    const { books } = await provider.untilStatus(({ books }) => books.pending === 0 && books.received === 4);
    expect(books).toMatchObject({ confirmed: 3, parked: 1 });
  });

  it('says what binary messages are', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    const provider = await Provider.start(await settingsFor(mosquitto, platform));
    await publishAll(await publisher(mosquitto), 'test', [Buffer.from([0xff, 0x00, 0xfe]), '']);
    await provider.untilStatus(({ books }) => books.confirmed === 2);
    const binary = platform.messages.find(({ encoding }) => encoding === 'base64');
    expect(Buffer.from(binary!.body, 'base64')).toEqual(Buffer.from([0xff, 0x00, 0xfe]));
    expect(platform.messages.some(({ body, encoding }) => body === '' && encoding === undefined)).toBe(true);
  });

  it('takes a retained message once, over restarts, and gives up topics that are no longer configured', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    const client = await publisher(mosquitto);
    await client.publishAsync('kept', 'retained', { qos: 1, retain: true });
    const settings = await settingsFor(mosquitto, platform, [{ topic: 'kept' }, { topic: 'given-up' }]);
    const first = await Provider.start(settings);
    await first.untilStatus(({ books }) => books.confirmed === 1);
    await first.kill('SIGTERM');
    const second = await Provider.start({ ...settings, mqttTopics: '[{"topic":"kept"}]' });
    await publishAll(client, 'given-up', ['not for us']);
    await publishAll(client, 'kept', ['new']);
    const { books } = await second.untilStatus(({ books }) => books.confirmed >= 2);
    expect(books).toMatchObject({ received: 2, confirmed: 2, parked: 0 });
    expect(platform.messages.map(({ body, retain }) => ({ body, retain }))).toEqual([
      { body: 'retained', retain: true },
      { body: 'new', retain: false },
    ]);
  });

  it('goes on when the broker is killed and comes back', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    const provider = await Provider.start(await settingsFor(mosquitto, platform));
    const before = await publisher(mosquitto);
    await publishAll(before, 'test', ['before']);
    await provider.untilStatus(({ books }) => books.confirmed === 1);
    await mosquitto.end('SIGKILL');
    await provider.untilStatus(({ broker }) => broker === 'disconnected');
    await mosquitto.resume();
    await provider.untilStatus(({ broker }) => broker === 'connected');
    await publishAll(await publisher(mosquitto), 'test', ['after']);
    await provider.untilStatus(({ books }) => books.confirmed === 2);
  });

  it('stops on SIGTERM with exit code 0 and says what is left', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = () => ({ status: 503 });
    const provider = await Provider.start({ ...(await settingsFor(mosquitto, platform)), drainSeconds: '1' });
    await publishAll(await publisher(mosquitto), 'test', ['1', '2']);
    await provider.untilStatus(({ books }) => books.received === 2);
    expect(await provider.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(provider.output()).toContain('2 events are left in the journal');
  });

  it('stops in time while the journal is full and nothing is read from the broker', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = () => ({ status: 503 });
    const settings = { ...(await settingsFor(mosquitto, platform)), journalMaxBytes: '1048576', drainSeconds: '1' };
    const provider = await Provider.start(settings);
    const bodies = Array.from({ length: 8_000 }, (_, n) => `${n} ${'x'.repeat(1_000)}`);
    await publishAll(await publisher(mosquitto), 'test', bodies);
    await provider.untilStatus(({ journal }) => journal.full);
    const stopping = Date.now();
    expect(await provider.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(Date.now() - stopping).toBeLessThan(6_000);
  });

  it('refuses a data folder that another process holds, naming it', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    const settings = await settingsFor(mosquitto, platform);
    const holder = await Provider.start(settings);
    await expect(Provider.start(settings)).rejects.toThrow(`in use by process ${holder.pid}`);
  });

  it('takes receipts only with the token of their batch', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = () => ({ status: 202, receipt: 'none' });
    const provider = await Provider.start(await settingsFor(mosquitto, platform));
    await publishAll(await publisher(mosquitto), 'test', ['1']);
    await platform.until(() => platform.fired.length > 0);
    const fired = platform.fired[0]!;
    const forged = { ...fired, receipt: { ...fired.receipt, token: 'x'.repeat(43) } };
    expect(await platform.sendReceipt(forged, 'all')).toBe(401);
    expect(await platform.sendReceipt({ ...fired, batchId: 'other' }, 'all')).toBe(401);
    expect((await provider.status()).books.confirmed).toBe(0);
    expect(await platform.sendReceipt(fired, 'all')).toBe(204);
    await provider.untilStatus(({ books }) => books.confirmed === 1);
    expect(await platform.sendReceipt(fired, 'all')).toBe(204);
    expect((await provider.status()).books.confirmed).toBe(1);
  });

  it('lists, shows, mends, fires again and deletes what is parked, by the command line', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = ({ messages }) => {
      const refused = messages
        .filter(({ body }) => body.startsWith('bad'))
        .map(({ id, body }) => ({ id, code: 'BAD', message: body }));
      return { status: 202, receipt: { stored: 'all', refused } };
    };
    const settings = await settingsFor(mosquitto, platform);
    const provider = await Provider.start(settings);
    await publishAll(await publisher(mosquitto), 'test', ['bad 1', 'bad 2', 'bad 3']);
    await provider.untilStatus(({ books }) => books.parked === 3);
    const fogwhisk = (...command: string[]) => provider.command(command, settings);
    expect(await fogwhisk('parked', 'list', '--code', 'BAD')).toMatch(/BAD: bad 1[\s\S]*BAD: bad 3\n3 shown, 3 parked/);
    const ids = platform.messages.map(({ id }) => id);
    expect(JSON.parse(await fogwhisk('parked', 'show', ids[0]!))).toMatchObject({
      body: 'bad 1',
      topic: 'test',
      bytes: 5,
    });

    expect(await fogwhisk('parked', 'redrive', ids[0]!, '--body', 'good')).toBe('1 fired again\n');
    await provider.untilStatus(({ books }) => books.confirmed === 1);
    expect(platform.messages.at(-1)).toMatchObject({ id: ids[0], receivedAt: ids[0], body: 'good' });
    expect(await fogwhisk('parked', 'delete', ids[1]!)).toBe('1 deleted\n');
    platform.react = () => ({ status: 202, receipt: 'all' });
    expect(await fogwhisk('parked', 'redrive', '--code', 'BAD')).toBe('1 fired again\n');
    const { books } = await provider.untilStatus(({ books }) => books.confirmed === 2);
    expect(books).toEqual({ received: 3, confirmed: 2, pending: 0, parked: 0, expired: 1, deduplicated: 0 });
    expect(await fogwhisk('status')).toMatch(/total +3 +2 +0 +0 +1 +0/);

    await provider.kill('SIGKILL');
    const again = await Provider.start(settings);
    expect((await again.status()).books).toEqual(books);
  }, 90_000);

  it('counts equal messages within the window as one', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    const provider = await Provider.start({ ...(await settingsFor(mosquitto, platform)), dedupeWindowMs: '60000' });
    await publishAll(await publisher(mosquitto), 'test', [...Array.from({ length: 16 }, () => 'same'), 'other']);
    const { books } = await provider.untilStatus(({ books }) => books.received === 17 && books.pending === 0);
    expect(books).toEqual({ received: 17, confirmed: 2, pending: 0, parked: 0, expired: 0, deduplicated: 15 });
  });

  it('makes larger batches instead of more firings where the platform allows few', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.limits = { triggers_per_minute: 60, actions_per_minute: 60 };
    const provider = await Provider.start(await settingsFor(mosquitto, platform));
    const client = await publisher(mosquitto);
    const begun = performance.now();
    for (let round = 0; round < 30; round++) {
      await publishAll(
        client,
        'test',
        Array.from({ length: 100 }, (_, n) => `{"n":${round * 100 + n}}`),
      );
    }
    await provider.untilStatus(({ books }) => books.confirmed === 3_000);
    // A burst of ten, then one a second.
    expect(platform.fired.length).toBeLessThan(16 + (performance.now() - begun) / 1_000);
  });

  it('waits as told when it is throttled, and confirms everything', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    let throttles = true;
    platform.react = () => (throttles ? { status: 429, retryAfter: 1 } : { status: 202, receipt: 'all' });
    const provider = await Provider.start(await settingsFor(mosquitto, platform));
    await publishAll(await publisher(mosquitto), 'test', ['1']);
    await provider.untilStatus(({ registrations }) => registrations[0]!.obstacle?.code === 'THROTTLED');
    throttles = false;
    await provider.untilStatus(({ books }) => books.confirmed === 1);
  });

  it('tries with one firing at a time while the platform does not answer', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = () => ({ status: 503 });
    const topics = Array.from({ length: 20 }, (_, n) => ({ topic: `t/${n}` }));
    const provider = await Provider.start(await settingsFor(mosquitto, platform, topics));
    const client = await publisher(mosquitto);
    for (const { topic } of topics) await publishAll(client, topic, ['x']);
    await provider.untilStatus(({ books }) => books.received === 20);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    // Each at most once before it is known that nothing answers, then ever more rarely.
    expect(platform.fired.length).toBeLessThan(20 + 10);
    platform.react = () => ({ status: 202, receipt: 'all' });
    await provider.untilStatus(({ books }) => books.confirmed === 20);
  });

  it('confirms by the activation records where it is told to', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = () => ({ status: 202, receipt: 'none' });
    platform.actionSucceeds = (nth) => nth > 0;
    const provider = await Provider.start({ ...(await settingsFor(mosquitto, platform)), confirmBy: 'activation' });
    await publishAll(await publisher(mosquitto), 'test', ['1']);
    await provider.untilStatus(({ registrations }) => registrations[0]!.obstacle?.code === 'ACTION_FAILED');
    await provider.untilStatus(({ books }) => books.confirmed === 1);
    expect(platform.fired.length).toBe(2);
  });

  it('gives up the oldest events of a full journal where it is told to, and counts them', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = () => ({ status: 503 });
    const limits = { journalMaxBytes: '1048576', journalWhenFull: 'expireOldest' };
    const provider = await Provider.start({ ...(await settingsFor(mosquitto, platform)), ...limits });
    const bodies = Array.from({ length: 3_000 }, (_, n) => `${n} ${'x'.repeat(1_000)}`);
    await publishAll(await publisher(mosquitto), 'test', bodies);
    const { books } = await provider.untilStatus(({ books }) => books.received === 3_000);
    expect(books.expired).toBeGreaterThan(1_000);
    expect(books.received).toBe(books.pending + books.expired);
  });

  it('leaves messages with the broker while the journal is full, stays connected, and loses none', async () => {
    const [mosquitto, platform] = [await Mosquitto.start(), await FakeOpenwhisk.start()];
    platform.react = () => ({ status: 503 });
    const provider = await Provider.start({ ...(await settingsFor(mosquitto, platform)), journalMaxBytes: '1048576' });
    const bodies = Array.from({ length: 8_000 }, (_, n) => `${n} ${'x'.repeat(1_000)}`);
    await publishAll(await publisher(mosquitto), 'test', bodies);
    await provider.untilStatus(({ journal }) => journal.full);
    const ready = await fetch(`${provider.url}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toContain('the journal is full');
    expect((await provider.status()).books.received).toBeLessThan(2_000);
    platform.react = () => ({ status: 202, receipt: 'all' });
    await provider.untilStatus(({ books }) => books.confirmed === 8_000, 60_000);
    expect(new Set(platform.messages.map(({ body }) => body)).size).toBe(8_000);
    expect((await provider.status()).books.received).toBe(8_000);
  }, 90_000);
});
