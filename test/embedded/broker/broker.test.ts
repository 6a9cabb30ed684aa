import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { connect, connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import pino from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../../support/temporary.ts';
import { RawClient } from './raw-client.ts';
import { start } from './start.ts';

interface Received {
  topic: string;
  text: string;
  qos: number;
  retain: boolean;
}

async function client(url: string, options: IClientOptions = {}): Promise<MqttClient & { received: Received[] }> {
  const received: Received[] = [];
  const mqtt = connect(url, { reconnectPeriod: 0, ...options });
  mqtt.on('message', (topic, payload, { qos, retain }) =>
    received.push({ topic, text: payload.toString(), qos, retain }),
  );
  onTestFinished(() => void mqtt.end(true));
  await new Promise<void>((resolve) => mqtt.once('connect', () => resolve()));
  return Object.assign(mqtt, { received });
}

const texts = (received: Received[]) => received.map(({ text }) => text);

describe('publish and subscribe', () => {
  test.each([
    [0, 0, 0],
    [0, 2, 0],
    [1, 0, 0],
    [1, 1, 1],
    [1, 2, 1],
    [2, 1, 1],
    [2, 2, 2],
  ] as const)(
    'published with QoS %i, subscribed with QoS %i: delivered with QoS %i',
    async (published, subscribed, delivered) => {
      const broker = await start();
      for (const clean of [true, false]) {
        const subscriber = await client(broker.url, { clean, clientId: `s-${clean}` });
        await subscriber.subscribeAsync('a/+', { qos: subscribed });
        const publisher = await client(broker.url);
        await publisher.publishAsync('a/b', 'hello', { qos: published });
        await expect
          .poll(() => subscriber.received)
          .toEqual([{ topic: 'a/b', text: 'hello', qos: delivered, retain: false }]);
        await expect.poll(() => broker.stats().queuedMessages).toBe(0);
        await subscriber.endAsync();
      }
    },
  );

  test('wildcards, and $-topics only where they are named', async () => {
    const broker = await start();
    const filters = ['#', '+/b', 'a/#', 'a/+/c', '/+', '$private/#'];
    const subscribers = await Promise.all(
      filters.map(async (filter) => {
        const subscriber = await client(broker.url);
        await subscriber.subscribeAsync(filter, { qos: 1 });
        return subscriber;
      }),
    );
    const publisher = await client(broker.url);
    for (const topic of ['a', 'a/b', 'a/b/c', '/x', '$private/a'])
      await publisher.publishAsync(topic, topic, { qos: 1 });
    await publisher.publishAsync('end', 'end', { qos: 1 });
    await expect.poll(() => subscribers[0]!.received.at(-1)?.text).toBe('end');
    expect(subscribers.map(({ received }) => texts(received))).toEqual([
      ['a', 'a/b', 'a/b/c', '/x', 'end'],
      ['a/b'],
      ['a', 'a/b', 'a/b/c'],
      ['a/b/c'],
      ['/x'],
      ['$private/a'],
    ]);
  });

  test('overlapping subscriptions deliver once with the highest QoS', async () => {
    const broker = await start();
    const subscriber = await client(broker.url);
    await subscriber.subscribeAsync({ 'a/#': { qos: 0 }, '+/b': { qos: 2 }, 'a/b': { qos: 1 } });
    const publisher = await client(broker.url);
    await publisher.publishAsync('a/b', '1', { qos: 2 });
    await publisher.publishAsync('a/c', '2', { qos: 2 });
    await expect.poll(() => texts(subscriber.received)).toContain('2');
    await expect.poll(() => subscriber.received).toHaveLength(2);
    expect(subscriber.received.map(({ text, qos }) => `${text}:${qos}`).sort()).toEqual(['1:2', '2:0']);
  });

  test('keeps the order of one publisher, 5,000 messages', async () => {
    const broker = await start();
    const subscriber = await client(broker.url, { clean: false, clientId: 's' });
    await subscriber.subscribeAsync('t', { qos: 1 });
    const publisher = await client(broker.url);
    const numbers = Array.from({ length: 5_000 }, (_, index) => String(index));
    await Promise.all(numbers.map((number) => publisher.publishAsync('t', number, { qos: 1 })));
    await expect.poll(() => subscriber.received).toHaveLength(5_000);
    expect(texts(subscriber.received)).toEqual(numbers);
    expect(broker.stats().commits).toBeLessThan(1_000);
  });

  test('unsubscribing ends delivery', async () => {
    const broker = await start();
    const subscriber = await client(broker.url, { clean: false, clientId: 's' });
    await subscriber.subscribeAsync(['a', 'b'], { qos: 1 });
    await subscriber.unsubscribeAsync('a');
    const publisher = await client(broker.url);
    await publisher.publishAsync('a', 'no', { qos: 1 });
    await publisher.publishAsync('b', 'yes', { qos: 1 });
    await expect.poll(() => texts(subscriber.received)).toEqual(['yes']);
  });

  test('a client that does not wait for its CONNACK is served', async () => {
    const broker = await start();
    const hasty = new RawClient(broker.port);
    hasty.send(
      { cmd: 'connect', clientId: 'hasty', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 },
      ...Array.from({ length: 500 }, (_, index) => ({
        ...({ cmd: 'publish', topic: 't', payload: 'x', qos: 1, dup: false, retain: false } as const),
        messageId: index + 1,
      })),
    );
    for (let id = 1; id <= 500; id++) expect((await hasty.take('puback')).messageId).toBe(id);
  });

  test('a shared subscription is refused, not taken as a filter of that name', async () => {
    const broker = await start();
    const subscriber = await RawClient.open(broker.port, 's');
    expect(await subscriber.subscribe('$share/g/t', 1)).toBe(128);
    expect(await subscriber.subscribe('t', 1)).toBe(1);
  });

  test('a repeated QoS 2 PUBLISH is delivered once', async () => {
    const broker = await start();
    const subscriber = await client(broker.url);
    await subscriber.subscribeAsync('t', { qos: 2 });
    const publisher = await RawClient.open(broker.port, 'p');
    publisher.publish('t', 'once', 2, 7);
    await publisher.take('pubrec');
    publisher.publish('t', 'once', 2, 7, true);
    await publisher.take('pubrec');
    publisher.send({ cmd: 'pubrel', messageId: 7 });
    await publisher.take('pubcomp');
    publisher.publish('t', 'another', 2, 7);
    await publisher.take('pubrec');
    await expect.poll(() => texts(subscriber.received)).toEqual(['once', 'another']);
  });
});

describe('retained messages and wills', () => {
  test('a retained message goes to new subscribers, is replaced, and removed by an empty one', async () => {
    const broker = await start();
    const publisher = await client(broker.url);
    const newcomer = async () => {
      const subscriber = await client(broker.url);
      await subscriber.subscribeAsync('r/#', { qos: 1 });
      await publisher.publishAsync('r/end', '', { qos: 1 });
      await expect.poll(() => subscriber.received.at(-1)?.topic).toBe('r/end');
      return subscriber.received
        .slice(0, -1)
        .map(({ topic, text, qos, retain }) => `${topic} ${text} ${qos} ${retain}`)
        .sort();
    };
    await publisher.publishAsync('r/a', 'old', { qos: 1, retain: true });
    await publisher.publishAsync('r/a', 'new', { qos: 1, retain: true });
    await publisher.publishAsync('r/b', 'zero', { qos: 0, retain: true });
    expect(await newcomer()).toEqual(['r/a new 1 true', 'r/b zero 0 true']);
    await publisher.publishAsync('r/a', '', { qos: 1, retain: true });
    expect(await newcomer()).toEqual(['r/b zero 0 true']);
  });

  test('the will of a client that is cut off is published, that of one that says goodbye is not', async () => {
    const broker = await start();
    const subscriber = await client(broker.url);
    await subscriber.subscribeAsync('will/#', { qos: 1 });
    const will = (topic: string) => ({ will: { topic, payload: Buffer.from('gone'), qos: 1 as const, retain: false } });
    const polite = await RawClient.open(broker.port, 'polite', will('will/polite'));
    await polite.end();
    const cut = await RawClient.open(broker.port, 'cut', will('will/cut'));
    cut.socket.destroy();
    await expect.poll(() => subscriber.received).toEqual([{ topic: 'will/cut', text: 'gone', qos: 1, retain: false }]);
  });

  test('a client that goes silent is cut off after one and a half keep-alives', async () => {
    const broker = await start();
    const subscriber = await client(broker.url);
    await subscriber.subscribeAsync('will', { qos: 1 });
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: false };
    const silent = await RawClient.open(broker.port, 'silent', { keepalive: 1, will });
    await silent.closed;
    await expect.poll(() => texts(subscriber.received)).toEqual(['gone']);
  });
});

describe('persistent sessions', () => {
  test('what came while the client was away is delivered in order when it is back', async () => {
    const broker = await start();
    const first = await RawClient.open(broker.port, 's');
    await first.subscribe('t', 1);
    await first.end();
    const publisher = await client(broker.url);
    for (let index = 0; index < 100; index++) await publisher.publishAsync('t', String(index), { qos: 1 });
    const second = await client(broker.url, { clean: false, clientId: 's' });
    await expect.poll(() => texts(second.received)).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
    await expect.poll(() => broker.stats().queuedMessages).toBe(0);
  });

  test('unacknowledged messages come again, marked as duplicates, under the same packet id', async () => {
    const broker = await start();
    const first = await RawClient.open(broker.port, 's');
    await first.subscribe('t', 1);
    const publisher = await client(broker.url);
    for (const text of ['a', 'b', 'c']) await publisher.publishAsync('t', text, { qos: 1 });
    const sent = [await first.take('publish'), await first.take('publish'), await first.take('publish')];
    first.send({ cmd: 'puback', messageId: sent[1]!.messageId! });
    await first.roundTrip();
    await first.end();
    const second = await RawClient.open(broker.port, 's');
    const again = [await second.take('publish'), await second.take('publish')];
    expect(again.map(({ payload, dup, messageId }) => [String(payload), dup, messageId])).toEqual([
      ['a', true, sent[0]!.messageId],
      ['c', true, sent[2]!.messageId],
    ]);
    await second.roundTrip();
    expect(second.inbox).toEqual([]);
  });

  test('after PUBREC a QoS 2 message is not sent again, only its PUBREL', async () => {
    const dataDir = await temporaryFolder();
    const broker = await start({ dataDir });
    const first = await RawClient.open(broker.port, 's');
    await first.subscribe('t', 2);
    const publisher = await client(broker.url);
    await publisher.publishAsync('t', 'x', { qos: 2 });
    const { messageId } = await first.take('publish');
    first.send({ cmd: 'pubrec', messageId: messageId! });
    await first.take('pubrel');
    await broker.close();
    const restarted = await start({ dataDir });
    const second = await RawClient.open(restarted.port, 's');
    expect((await second.take('pubrel')).messageId).toBe(messageId);
    second.send({ cmd: 'pubcomp', messageId: messageId! });
    await second.roundTrip();
    expect(second.inbox).toEqual([]);
    expect(restarted.stats().queuedMessages).toBe(0);
  });

  test('a second client with the same id takes over', async () => {
    const broker = await start();
    const first = await RawClient.open(broker.port, 's');
    await first.subscribe('t', 1);
    const second = await RawClient.open(broker.port, 's');
    await first.closed;
    const publisher = await client(broker.url);
    await publisher.publishAsync('t', 'for the second', { qos: 1 });
    expect(String((await second.take('publish')).payload)).toBe('for the second');
    expect(broker.stats().clients).toBe(2);
  });

  test('connecting with a clean session forgets the queue and the subscriptions', async () => {
    const dataDir = await temporaryFolder();
    const broker = await start({ dataDir });
    const first = await RawClient.open(broker.port, 's');
    await first.subscribe('t', 1);
    await first.end();
    const publisher = await client(broker.url);
    await publisher.publishAsync('t', 'x', { qos: 1 });
    await (await RawClient.open(broker.port, 's', { clean: true })).end();
    await broker.close();
    const restarted = await start({ dataDir });
    expect(restarted.stats().sessions).toBe(0);
    const again = await RawClient.open(restarted.port, 's');
    await again.roundTrip();
    expect(again.inbox).toEqual([]);
  });

  test('persistent sessions are bounded', async () => {
    const broker = await start({ limits: { sessions: 1 } });
    await (await RawClient.open(broker.port, 'one')).subscribe('t', 1);
    await expect(RawClient.open(broker.port, 'two')).rejects.toThrow('closed');
    await RawClient.open(broker.port, 'three', { clean: true });
    await RawClient.open(broker.port, 'one');
  });

  test('a persistent session without a client id is refused', async () => {
    const broker = await start();
    const nameless = new RawClient(broker.port);
    nameless.socket.write(Buffer.from('\x10\x0c\0\x04MQTT\x04\0\0\0\0\0', 'latin1'));
    await nameless.closed;
    expect(nameless.inbox).toEqual([]);
    expect(broker.stats().sessions).toBe(0);
  });
});

describe('acknowledgement', () => {
  test('nothing is acknowledged while the log cannot be written, and everything once it can', async () => {
    const dataDir = await temporaryFolder();
    const broker = await start({ dataDir });
    await rm(dataDir, { recursive: true });
    const publisher = await RawClient.open(broker.port, 'p');
    publisher.publish('t', 'kept', 1, 5, false, true);
    await expect.poll(() => broker.stats().stalledBy).toBeInstanceOf(Error);
    await publisher.roundTrip();
    expect(publisher.inbox).toEqual([]);
    await mkdir(dataDir);
    expect((await publisher.take('puback')).messageId).toBe(5);
    expect(broker.stats().stalledBy).toBeUndefined();
  });

  test('while the log cannot be written the broker still stops in time', async () => {
    const dataDir = await temporaryFolder();
    const broker = await start({ dataDir });
    await rm(dataDir, { recursive: true });
    const will = { topic: 'w', payload: Buffer.from('x'), qos: 1 as const, retain: true };
    const publisher = await RawClient.open(broker.port, 'p');
    publisher.publish('t', 'x', 1, 1, false, true);
    await expect.poll(() => broker.stats().stalledBy).toBeInstanceOf(Error);
    const other = new RawClient(broker.port);
    other.send({
      cmd: 'connect',
      clientId: 'o',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      keepalive: 0,
      will,
    });
    await new Promise((resolve) => other.socket.once('connect', resolve));
    const startedAt = performance.now();
    await broker.close();
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect(publisher.inbox).toEqual([]);
  });

  test('a full queue holds its publishers back until there is room', async () => {
    const warnings: object[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line) as object) });
    const broker = await start({ limits: { queueMessages: 10 }, log });
    const away = await RawClient.open(broker.port, 'away');
    await away.subscribe('t', 1);
    await away.end();
    const publisher = await RawClient.open(broker.port, 'p');
    for (let id = 1; id <= 15; id++) publisher.publish('t', String(id), 1, id);
    publisher.publish('elsewhere', 'behind those', 1, 16);
    for (let id = 1; id <= 10; id++) expect((await publisher.take('puback')).messageId).toBe(id);
    await expect.poll(() => broker.stats()).toMatchObject({ heldBack: 6, queuedMessages: 10 });
    expect(publisher.inbox).toEqual([]);
    expect(warnings).toMatchObject([{ client: 'away', messages: 10, connected: false }]);

    const other = await RawClient.open(broker.port, 'other');
    other.publish('elsewhere', 'not concerned', 1, 1);
    await other.take('puback');

    const back = await client(broker.url, { clean: false, clientId: 'away' });
    for (let id = 11; id <= 16; id++) expect((await publisher.take('puback')).messageId).toBe(id);
    await expect.poll(() => texts(back.received)).toEqual(Array.from({ length: 15 }, (_, index) => String(index + 1)));
    expect(broker.stats()).toMatchObject({ heldBack: 0, refused: 0 });
  });

  test('a held-back message whose publisher leaves is refused and counted', async () => {
    const broker = await start({ limits: { queueBytes: 1_000 } });
    const away = await RawClient.open(broker.port, 'away');
    await away.subscribe('t', 1);
    await away.end();
    const publisher = await RawClient.open(broker.port, 'p');
    publisher.publish('t', Buffer.alloc(1_000), 1, 1);
    publisher.publish('t', 'too much', 1, 2);
    await publisher.take('puback');
    await expect.poll(() => broker.stats().heldBack).toBe(1);
    publisher.socket.destroy();
    await expect.poll(() => broker.stats()).toMatchObject({ heldBack: 0, refused: 1, queuedMessages: 1 });
  });

  test('retained messages are bounded: one too many closes its connection unacknowledged', async () => {
    const broker = await start({ limits: { retainedMessages: 1 } });
    const publisher = await RawClient.open(broker.port, 'p');
    publisher.publish('a', '1', 1, 1, false, true);
    publisher.publish('a', '2', 1, 2, false, true);
    await publisher.take('puback');
    await publisher.take('puback');
    publisher.publish('b', '3', 1, 3, false, true);
    await publisher.closed;
    expect(publisher.inbox).toEqual([]);
    expect(broker.stats().refused).toBe(1);
  });
});

describe('slow consumers', () => {
  test('a client that does not read costs others nothing and has a bound', async () => {
    const broker = await start({ limits: { queueMessages: 200 } });
    const slow = await RawClient.open(broker.port, 'slow', { clean: true });
    await slow.subscribe('t', 1);
    const slowest = await RawClient.open(broker.port, 'slowest', { clean: true });
    await slowest.subscribe('t', 0);
    slow.socket.pause();
    slowest.socket.pause();
    const fast = await client(broker.url, { clean: true });
    await fast.subscribeAsync('t', { qos: 1 });
    const publisher = await client(broker.url);
    const payload = Buffer.alloc(100_000);
    for (let index = 0; index < 300; index++) await publisher.publishAsync('t', payload, { qos: 1 });
    await expect.poll(() => fast.received).toHaveLength(300);
    expect(broker.stats().slowDisconnected).toBe(1);
    expect(broker.stats().droppedQos0).toBeGreaterThan(0);
  });
});

describe('bad input', () => {
  test('a packet above the limit closes its connection with a log line that says why, before it has arrived', async () => {
    const warnings: object[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line) as object) });
    const broker = await start({ maxPacketBytes: 1_000, log });
    const bystander = await RawClient.open(broker.port, 'bystander');
    const publisher = await RawClient.open(broker.port, 'p');
    publisher.publish('t', Buffer.alloc(900), 1, 1);
    await publisher.take('puback');
    publisher.socket.write(Buffer.of(0x32, 0xff, 0xff, 0x7f));
    await publisher.closed;
    expect(warnings).toMatchObject([
      { bytes: 2_097_155, maxPacketBytes: 1_000, peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string },
    ]);
    expect(broker.stats().oversized).toBe(1);
    await bystander.roundTrip();
  });

  test('10 MB pass under a larger limit', async () => {
    const broker = await start({ maxPacketBytes: 11_000_000 });
    const subscriber = await client(broker.url, { clean: false, clientId: 's' });
    let bytes = 0;
    subscriber.on('message', (_topic, payload) => {
      bytes = payload.length;
    });
    await subscriber.subscribeAsync('t', { qos: 1 });
    const publisher = await client(broker.url);
    await publisher.publishAsync('t', Buffer.alloc(10_000_000), { qos: 1 });
    await expect.poll(() => bytes).toBe(10_000_000);
  });

  test('garbage closes only its own connection', async () => {
    const broker = await start();
    const subscriber = await client(broker.url);
    await subscriber.subscribeAsync('#', { qos: 1 });
    const garbage = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(1_000, 0xff),
      Buffer.of(0x10, 0),
      Buffer.of(0x36, 5, 0, 1, 97, 0, 1),
      ...Array.from({ length: 50 }, () => randomBytes(500)),
    ];
    await Promise.all(
      garbage.flatMap((bytes) => [
        (async () => {
          const stranger = new RawClient(broker.port);
          stranger.socket.end(bytes);
          await stranger.closed;
        })(),
        (async () => {
          const known = await RawClient.open(broker.port, randomBytes(8).toString('hex'));
          known.socket.end(bytes);
          await known.closed;
        })(),
      ]),
    );
    const publisher = await client(broker.url);
    await publisher.publishAsync('t', 'still here', { qos: 1 });
    await expect.poll(() => texts(subscriber.received)).toContain('still here');
  });

  test.each(['a/#', 'a/+', '', '$SYS/x', `a${'/b'.repeat(150)}`, 'a\0b'])(
    'publishing to %j closes the connection',
    async (topic) => {
      const broker = await start();
      const publisher = await RawClient.open(broker.port, 'p');
      const name = Buffer.from(topic);
      const remaining = 2 + name.length + 2 + 1;
      const length = remaining < 128 ? [remaining] : [(remaining & 0x7f) | 0x80, remaining >> 7];
      publisher.socket.write(
        Buffer.concat([Buffer.of(0x32, ...length, name.length >> 8, name.length & 255), name, Buffer.of(0, 1, 120)]),
      );
      await publisher.closed;
      expect(publisher.inbox).toEqual([]);
    },
  );
});

describe('access', () => {
  test('a wrong or missing password is refused with the return code that says so', async () => {
    const credentials = { username: 'sensor', password: 'p:ä ß' };
    const broker = await start({ credentials });
    await (await connectAsync(broker.url, credentials)).endAsync();
    for (const wrong of [
      {},
      { username: 'sensor' },
      { username: 'sensor', password: 'x' },
      { username: 'x', password: credentials.password },
    ]) {
      await expect(connectAsync(broker.url, { ...wrong, reconnectPeriod: 0 })).rejects.toMatchObject({ code: 4 });
    }
  });

  test('MQTT 5 is refused with the return code that makes clients fall back', async () => {
    const broker = await start();
    await expect(connectAsync(broker.url, { protocolVersion: 5, reconnectPeriod: 0 })).rejects.toMatchObject({
      code: 1,
    });
  });

  test('a port that is taken is an error that names the setting', async () => {
    const broker = await start();
    await expect(start({ port: broker.port })).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      details: { setting: 'embeddedMqttPort' },
    });
  });

  test('a folder that cannot be made is an error that names it', async () => {
    await expect(start({ dataDir: '/dev/null/broker' })).rejects.toMatchObject({ code: 'DATA_FOLDER_UNUSABLE' });
  });
});
