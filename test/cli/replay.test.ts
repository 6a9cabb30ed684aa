import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { connectAsync } from 'mqtt';
import pino from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type ReplayOptions, replay } from '../../src/cli/replay.ts';
import { type EmbeddedBroker, startBroker } from '../../src/embedded/broker/broker.ts';
import { temporaryFolder } from '../support/temporary.ts';

const CATWALK = '../shared/data/fcre/fcre_catwalk_10min_2018-08-29_2018-10-20.csv';

async function start(
  dataDir: string,
  options: { port?: number; credentials?: { username: string; password: string } } = {},
) {
  const log = pino({ level: 'silent' });
  const broker = await startBroker({
    port: 0,
    dataDir,
    maxPacketBytes: 1_000_000,
    log,
    setting: 'embeddedMqttPort',
    ...options,
  });
  onTestFinished(() => broker.close());
  return broker;
}

async function listen(broker: EmbeddedBroker, login = {}): Promise<Array<Record<string, unknown>>> {
  const received: Array<Record<string, unknown>> = [];
  const subscriber = await connectAsync(broker.url, { clean: false, clientId: 'test', ...login });
  subscriber.on('error', () => {});
  onTestFinished(() => void subscriber.end(true));
  subscriber.on('message', (_topic, payload) =>
    received.push(JSON.parse(payload.toString()) as Record<string, unknown>),
  );
  await subscriber.subscribeAsync('lake', { qos: 1 });
  return received;
}

/** All that was written so far: newer Nodes give a chunk for each read. */
function written(out: PassThrough): string {
  let text = '';
  for (let chunk = out.read() as Buffer | null; chunk; chunk = out.read() as Buffer | null) text += chunk.toString();
  return text;
}

async function replayText(text: string, options: Partial<ReplayOptions> & { brokerUrl: string }) {
  const file = join(await temporaryFolder(), 'data.csv');
  await writeFile(file, text);
  const out = new PassThrough();
  const result = await replay({ file, topic: 'lake', out, ...options });
  return { result, printed: written(out) };
}

describe('replay', () => {
  test('a row becomes a reading: numbers, time, ids; what is no number is left out', async () => {
    const broker = await start(await temporaryFolder());
    const received = await listen(broker);
    const text = [
      'when,wtr_0,"wtr ,1",note,flag',
      '2018-08-29T00:00:00Z,28.778,-1e-3,calm,1',
      '2018-08-29 00:10:00.123456789,,NaN,,2',
      '2018-08-29T02:20:00+02:00,1e400,.5,NAN,NA',
      'yesterday,1,1,1,1',
      '2018-08-29T00:30:00Z,,,windy,',
      '2018-08-29T00:40:00Z,1',
    ].join('\n');
    const { result, printed } = await replayText(text, {
      brokerUrl: broker.url,
      device: '8394527',
      datacenterId: 'north',
    });
    expect(result).toEqual({ published: 3, acknowledged: 3, skippedRows: 3 });
    const ids = { device_fingerprint: 8394527, datacenter_id: 'north' };
    await expect.poll(() => received).toHaveLength(3);
    expect(received).toEqual([
      { wtr_0: 28.778, 'wtr ,1': -0.001, flag: 1, ...ids, time: '2018-08-29T00:00:00Z' },
      { flag: 2, ...ids, time: '2018-08-29T00:10:00.123456789Z' },
      { 'wtr ,1': 0.5, ...ids, time: '2018-08-29T02:20:00+02:00' },
    ]);
    expect(printed).toBe(
      '3 readings published to lake, 3 acknowledged by the broker.\n' +
        '3 rows left out: no time, no number, or not as many cells as the header.\n' +
        '3 cells left out: they are text.\n',
    );
  });

  test('the time column can be named', async () => {
    const broker = await start(await temporaryFolder());
    const received = await listen(broker);
    await replayText('a,at\n1,2020-01-01T00:00:00Z\n', { brokerUrl: broker.url, timeColumn: 'at' });
    await expect.poll(() => received).toEqual([{ a: 1, time: '2020-01-01T00:00:00Z' }]);
    await expect(replayText('a,b\n', { brokerUrl: broker.url, timeColumn: 'at' })).rejects.toMatchObject({
      code: 'CSV_UNUSABLE',
      message: expect.stringMatching(/line 1: there is no column "at" \(there are a, b\)/) as string,
    });
  });

  test('the rate is kept', async () => {
    const broker = await start(await temporaryFolder());
    const startedAt = performance.now();
    const text = `t,a\n${'2020-01-01T00:00:00Z,1\n'.repeat(21)}`;
    const { result } = await replayText(text, { brokerUrl: broker.url, rate: 100 });
    expect(result.acknowledged).toBe(21);
    expect(performance.now() - startedAt).toBeGreaterThan(200);
  });

  test('a broker that restarts in the middle loses nothing', async () => {
    const dataDir = await temporaryFolder();
    const broker = await start(dataDir);
    const received = await listen(broker);
    const rows = Array.from({ length: 3_000 }, (_, index) => `2020-01-01T00:00:00Z,${index}`);
    const replayed = replayText(['t,a', ...rows].join('\n'), { brokerUrl: broker.url, rate: 3_000 });
    await expect.poll(() => received.length).toBeGreaterThan(100);
    await broker.close();
    await start(dataDir, { port: broker.port });
    expect((await replayed).result).toEqual({ published: 3_000, acknowledged: 3_000, skippedRows: 0 });
    await expect.poll(() => new Set(received.map(({ a }) => a)).size).toBe(3_000);
  });

  test('an abort ends it, and the result says how far it came', async () => {
    const broker = await start(await temporaryFolder());
    const abort = new AbortController();
    const text = `t,a\n${'2020-01-01T00:00:00Z,1\n'.repeat(1_000)}`;
    const replayed = replayText(text, { brokerUrl: broker.url, rate: 10, signal: abort.signal });
    await expect.poll(() => broker.stats().clients).toBe(1);
    abort.abort();
    expect((await replayed).result.published).toBeLessThan(1_000);
  });

  test('on a terminal it draws a bar', async () => {
    const broker = await start(await temporaryFolder());
    const out = Object.assign(new PassThrough(), { isTTY: true });
    const { result } = await replayText('t,a\n2020-01-01T00:00:00Z,1\n', { brokerUrl: broker.url, out });
    expect(result.acknowledged).toBe(1);
    expect(written(out)).toContain(`\r[${'#'.repeat(30)}] 100 %  1 acknowledged\n`);
  });

  test('what cannot work says what to do', async () => {
    const broker = await start(await temporaryFolder(), { credentials: { username: 'u', password: 'secret' } });
    const out = new PassThrough();
    const options = { topic: 'lake', out, brokerUrl: broker.url };
    await expect(replay({ ...options, file: '/nowhere.csv' })).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    await expect(replayText('t,a\n', { brokerUrl: 'mqtt://u:secret@127.0.0.1:1' })).rejects.toMatchObject({
      code: 'BROKER_UNREACHABLE',
      message: expect.not.stringContaining('secret') as string,
    });
    await expect(replayText('t,a\n', { brokerUrl: broker.url })).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' });
    await expect(
      replay({ ...options, file: '/', credentials: { username: 'u', password: 'secret' } }),
    ).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      details: { reason: 'EISDIR' },
    });
  });

  test.skipIf(!existsSync(CATWALK))(`the real file ${CATWALK}`, async () => {
    const broker = await start(await temporaryFolder());
    const received = await listen(broker);
    const result = await replay({
      file: CATWALK,
      brokerUrl: broker.url,
      topic: 'lake',
      device: '1',
      datacenterId: '1',
      out: new PassThrough(),
    });
    expect(result).toEqual({ published: 7_406, acknowledged: 7_406, skippedRows: 0 });
    await expect.poll(() => received).toHaveLength(7_406);
    const numbers = received.reduce((sum, reading) => sum + Object.keys(reading).length - 3, 0);
    expect(numbers).toBe(170_688);
    expect(received[0]).toMatchObject({ time: '2018-08-29T00:00:00Z', wtr_0: 28.778, do_mgl_5: -0.065 });
  });
});
if (!existsSync(CATWALK)) console.warn(`skipped: the real file ${CATWALK} is absent`);
