import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { expect, it, onTestFinished } from 'vitest';
import { mosquittoPasswordLine } from '../../src/cli/mosquitto-password.ts';
import { ROOT } from '../deploy/support/images.ts';
import { localMosquittoConf } from '../deploy/support/mosquitto-conf.ts';
import { freePort } from '../support/free-port.ts';
import { accepting } from '../support/mosquitto.ts';
import { describeWith, program } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';

const PROVIDER = { username: 'fogwhisk', password: 'password of the provider' };
const SENSOR = { username: 'sensor', password: 'password of the sensors' };
/** More than Mosquitto keeps by default. */
const MESSAGES = 3_000;

describeWith(['mosquitto'], 'the deployed broker', () => {
  it('lets in nobody without a login', async () => {
    const { connect } = await broker();
    await expect(connect({})).rejects.toThrow('Not authorized');
    await expect(connect({ ...SENSOR, password: 'wrong' })).rejects.toThrow('Not authorized');
  });

  it('lets sensors publish and not read', async () => {
    const { connect } = await broker();
    const provider = await connect(PROVIDER);
    await provider.subscribeAsync('#', { qos: 1 });
    const sensor = await connect(SENSOR);
    await sensor.subscribeAsync('#', { qos: 1 }).catch(() => undefined);
    let overheard = 0;
    sensor.on('message', () => {
      overheard += 1;
    });
    const arrived = new Promise((resolve) => provider.once('message', (_topic, body) => resolve(body.toString())));
    await sensor.publishAsync('lake/1', 'a reading', { qos: 1 });
    expect(await arrived).toBe('a reading');
    // What the broker sends, it sends in order: behind an answer to the sensor nothing of before is still to come.
    await sensor.publishAsync('lake/1', 'another', { qos: 1 });
    expect(overheard).toBe(0);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)('keeps all that waits for the provider through %s', async (signal) => {
    const { connect, folder, end, resume } = await broker();
    const session = { ...PROVIDER, clientId: 'provider', clean: false };
    const provider = await connect(session);
    await provider.subscribeAsync('lake/#', { qos: 1 });
    await provider.endAsync();
    const sensor = await connect(SENSOR);
    const numbers = Array.from({ length: MESSAGES }, (_, n) => n);
    await Promise.all(numbers.map((n) => sensor.publishAsync('lake/1', String(n), { qos: 1 })));
    await sensor.endAsync();
    await untilSaved(join(folder, 'data', 'mosquitto.db'));
    await end(signal);
    await resume();

    const got = new Set<string>();
    await new Promise<void>((resolve, reject) => {
      void connect(session, (body) => {
        if (got.add(body.toString()).size === MESSAGES) resolve();
      }).catch(reject);
    });
  });
});

async function broker() {
  const folder = await temporaryFolder();
  const port = await freePort();
  await writeFile(
    join(folder, 'passwd'),
    [PROVIDER, SENSOR].map(({ username, password }) => `${mosquittoPasswordLine(username, password)}\n`).join(''),
  );
  await writeFile(
    join(folder, 'mosquitto.conf'),
    localMosquittoConf(join(ROOT, 'deploy/site/mosquitto'), folder, port),
  );
  let running: ChildProcess;
  const resume = async () => {
    running = spawn(program('mosquitto')!, ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
    await accepting(port);
  };
  const end = async (signal: NodeJS.Signals) => {
    const exited = once(running, 'exit');
    running.kill(signal);
    await exited;
  };
  await resume();
  onTestFinished(() => end('SIGKILL'));
  /** Connected; what waits for the session may come before. */
  const connect = async (
    options: IClientOptions,
    onMessage: (body: Buffer) => void = () => {},
  ): Promise<MqttClient> => {
    const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { ...options, reconnectPeriod: 0 });
    onTestFinished(() => client.endAsync(true));
    client.on('message', (_topic, body) => onMessage(body));
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
    });
    return client;
  };
  return { folder, connect, end, resume };
}

/** Resolves when the broker has written its memory after this call. */
async function untilSaved(file: string): Promise<void> {
  const time = async () => (await stat(file).catch(() => undefined))?.mtimeMs ?? 0;
  const before = await time();
  while ((await time()) <= before || (await readFile(file)).length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
