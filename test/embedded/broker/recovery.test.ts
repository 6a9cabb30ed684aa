import { appendFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, connectAsync, type MqttClient } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../../support/temporary.ts';
import { RawClient } from './raw-client.ts';
import { buildProgram, start, startProgram } from './start.ts';

async function publisherOf(url: string): Promise<MqttClient> {
  const publisher = await connectAsync(url, { reconnectPeriod: 0 });
  publisher.on('error', () => {});
  onTestFinished(() => void publisher.end(true));
  return publisher;
}

describe('after a restart', () => {
  test('sessions, queues, retained messages and half-done handshakes are as they were', async () => {
    const dataDir = await temporaryFolder();
    const broker = await start({ dataDir });
    const first = await RawClient.open(broker.port, 's');
    await first.subscribe('t/#', 1);
    const publisher = await RawClient.open(broker.port, 'p');
    publisher.publish('t/1', 'one', 1, 1);
    publisher.publish('t/2', 'two', 2, 2, false, true);
    publisher.publish('t/3', 'three', 1, 3);
    await Promise.all([publisher.take('puback'), publisher.take('pubrec')]);
    await publisher.take('puback');
    publisher.publish('other', 'done', 2, 9);
    await publisher.take('pubrec');
    publisher.send({ cmd: 'pubrel', messageId: 9 });
    await publisher.take('pubcomp');
    const sent = [await first.take('publish'), await first.take('publish'), await first.take('publish')];
    first.send({ cmd: 'puback', messageId: sent[0]!.messageId! });
    await first.roundTrip();
    await broker.close();

    const restarted = await start({ dataDir });
    expect(restarted.stats()).toMatchObject({ sessions: 2, queuedMessages: 2 });
    const again = await RawClient.open(restarted.port, 's');
    const resent = [await again.take('publish'), await again.take('publish')];
    expect(resent.map(({ payload, dup, messageId }) => [String(payload), dup, messageId])).toEqual([
      ['two', true, sent[1]!.messageId],
      ['three', true, sent[2]!.messageId],
    ]);
    for (const { messageId } of resent) again.send({ cmd: 'puback', messageId: messageId! });

    const samePublisher = await RawClient.open(restarted.port, 'p');
    samePublisher.publish('t/2', 'two', 2, 2, true, true);
    await samePublisher.take('pubrec');
    samePublisher.publish('t/4', 'four', 2, 9);
    expect(String((await again.take('publish')).payload)).toBe('four');

    const newcomer = await RawClient.open(restarted.port, 'n', { clean: true });
    await newcomer.subscribe('#', 1);
    expect(await newcomer.take('publish')).toMatchObject({ topic: 't/2', retain: true, payload: Buffer.from('two') });
  });

  test('the order of what is queued before and after goes on', async () => {
    const dataDir = await temporaryFolder();
    for (const round of ['a', 'b', 'c']) {
      const broker = await start({ dataDir });
      if (round === 'a') await (await RawClient.open(broker.port, 's')).subscribe('t', 1);
      const publisher = await publisherOf(broker.url);
      for (let index = 0; index < 5; index++) await publisher.publishAsync('t', `${round}${index}`, { qos: 1 });
      await broker.close();
    }
    const broker = await start({ dataDir });
    const subscriber = await RawClient.open(broker.port, 's');
    const texts: string[] = [];
    while (texts.length < 15) texts.push(String((await subscriber.take('publish')).payload));
    expect(texts.join(' ')).toBe('a0 a1 a2 a3 a4 b0 b1 b2 b3 b4 c0 c1 c2 c3 c4');
  });

  test('a torn last write costs nothing that was acknowledged', async () => {
    const dataDir = await temporaryFolder();
    const broker = await start({ dataDir });
    await (await RawClient.open(broker.port, 's')).subscribe('t', 1);
    const publisher = await publisherOf(broker.url);
    await publisher.publishAsync('t', 'x', { qos: 1 });
    await broker.close();
    const [segment] = await readdir(dataDir);
    await appendFile(join(dataDir, segment!), Buffer.from([200, 0, 0, 0, 1, 2, 3, 4, 1, 1]));
    const restarted = await start({ dataDir });
    const subscriber = await RawClient.open(restarted.port, 's');
    expect(String((await subscriber.take('publish')).payload)).toBe('x');
  });
});

describe('the log', () => {
  test('grows with what is needed, not with what has passed; old messages survive its compaction', async () => {
    const dataDir = await temporaryFolder();
    const broker = await start({ dataDir });
    await (await RawClient.open(broker.port, 'away')).subscribe('rare', 1);
    const publisher = await publisherOf(broker.url);
    await publisher.publishAsync('kept', 'retained', { qos: 1, retain: true });
    await publisher.publishAsync('rare', 'first', { qos: 1 });
    const busy = await connectAsync(broker.url, { clean: false, clientId: 'busy' });
    onTestFinished(() => void busy.end(true));
    await busy.subscribeAsync('bulk', { qos: 1 });
    let received = 0;
    busy.on('message', () => {
      received += 1;
    });
    const payload = Buffer.alloc(1024 * 1024);
    for (let index = 0; index < 120; index++) {
      await publisher.publishAsync('bulk', payload, { qos: 1 });
      if (index % 5 === 0) await publisher.publishAsync('rare', String(index), { qos: 1 });
    }
    await expect.poll(() => received).toBe(120);
    expect(broker.stats().logBytes).toBeLessThan(80 * 1024 * 1024);
    await broker.close();

    const restarted = await start({ dataDir });
    expect(restarted.stats()).toMatchObject({ queuedMessages: 25 });
    const away = await RawClient.open(restarted.port, 'away');
    const rare: string[] = [];
    while (rare.length < 25) rare.push(String((await away.take('publish')).payload));
    expect(rare).toEqual(['first', ...Array.from({ length: 24 }, (_, index) => String(index * 5))]);
    await away.subscribe('kept', 1);
    expect(String((await away.take('publish')).payload)).toBe('retained');
  });

  test('a queue larger than the memory for it comes back from disk, in order', async () => {
    const broker = await start();
    await (await RawClient.open(broker.port, 's')).end();
    const first = await RawClient.open(broker.port, 's');
    await first.subscribe('t', 1);
    await first.end();
    const publisher = await publisherOf(broker.url);
    for (let index = 0; index < 60; index++) {
      const payload = Buffer.alloc(1024 * 1024, index);
      await publisher.publishAsync('t', payload, { qos: 1 });
    }
    const subscriber = connect(broker.url, { clean: false, clientId: 's' });
    onTestFinished(() => void subscriber.end(true));
    const received: number[] = [];
    subscriber.on('message', (_topic, payload) =>
      received.push(payload.equals(Buffer.alloc(1024 * 1024, payload[0])) ? payload[0]! : -1),
    );
    await expect.poll(() => received).toHaveLength(60);
    expect(received).toEqual(Array.from({ length: 60 }, (_, index) => index));
  });
});

describe('kill -9', () => {
  test('in the middle of a burst loses no acknowledged message; what comes twice is marked', async () => {
    const program = await buildProgram();
    const dataDir = await temporaryFolder();
    let broker = await startProgram(program, dataDir);
    const seen = new Map<string, number>();
    const unmarked: string[] = [];
    const subscribe = async (port: number): Promise<MqttClient> => {
      const subscriber = connect(`mqtt://127.0.0.1:${port}`, { clean: false, clientId: 's', reconnectPeriod: 0 });
      onTestFinished(() => void subscriber.end(true));
      subscriber.on('error', () => {});
      subscriber.on('message', (_topic, payload, { dup }) => {
        const text = payload.toString();
        if (seen.has(text) && !dup) unmarked.push(text);
        seen.set(text, (seen.get(text) ?? 0) + 1);
      });
      await new Promise<void>((resolve) => subscriber.once('connect', () => resolve()));
      await subscriber.subscribeAsync('t', { qos: 1 });
      return subscriber;
    };

    const acknowledged: string[] = [];
    for (let round = 0; round < 3; round++) {
      const subscriber = await subscribe(broker.port);
      const publisher = await publisherOf(`mqtt://127.0.0.1:${broker.port}`);
      let killed: Promise<void> | undefined;
      const before = acknowledged.length;
      for (let index = 0; index < 10_000; index++) {
        const text = `${round}-${index}`;
        publisher.publish('t', text, { qos: 1 }, (error) => {
          if (error) return;
          acknowledged.push(text);
          if (acknowledged.length >= before + 3_000) killed ??= broker.kill();
        });
      }
      await expect.poll(() => killed !== undefined).toBe(true);
      await killed;
      subscriber.end(true);
      publisher.end(true);
      broker = await startProgram(program, dataDir);
    }
    await subscribe(broker.port);
    await expect.poll(() => acknowledged.filter((text) => !seen.has(text)).length).toBe(0);
    expect(acknowledged.length).toBeGreaterThan(9_000);
    expect(unmarked.length).toBe(0);
  });

  test('a will left by a client of the killed broker is published at the next start, once', async () => {
    const program = await buildProgram();
    const dataDir = await temporaryFolder();
    const broker = await startProgram(program, dataDir);
    await (await RawClient.open(broker.port, 's')).subscribe('will', 1);
    await RawClient.open(broker.port, 'w', {
      will: { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: true },
    });
    await broker.kill();
    for (const round of [1, 2]) {
      const restarted = await start({ dataDir });
      const publisher = await publisherOf(restarted.url);
      await publisher.publishAsync('will', 'after it', { qos: 1 });
      const subscriber = await RawClient.open(restarted.port, 's');
      for (const expected of round === 1 ? ['gone', 'after it'] : ['after it']) {
        const { payload, messageId } = await subscriber.take('publish');
        expect(String(payload)).toBe(expected);
        subscriber.send({ cmd: 'puback', messageId: messageId! });
      }
      await subscriber.roundTrip();
      await restarted.close();
    }
  });
});
