import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import pino from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type EmbeddedBroker, startBroker } from '../../src/embedded/broker/broker.ts';
import { describeWith, program } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';

const run = promisify(execFile);

describeWith(['mosquitto_pub', 'mosquitto_sub'], "the embedded broker with Mosquitto's clients", () => {
  const credentials = { username: 'sensor', password: 'secret' };

  async function start(): Promise<{ broker: EmbeddedBroker; access: string[] }> {
    const dataDir = await temporaryFolder();
    const log = pino({ level: 'silent' });
    const broker = await startBroker({
      port: 0,
      dataDir,
      credentials,
      maxPacketBytes: 1_000_000,
      log,
      setting: 'port',
    });
    onTestFinished(() => broker.close());
    return { broker, access: ['-h', '127.0.0.1', '-p', String(broker.port), '-u', 'sensor', '-P', 'secret'] };
  }

  const publish = (access: string[], ...rest: string[]) => run(program('mosquitto_pub')!, [...access, ...rest]);

  /** Runs mosquitto_sub with `-F '%t %q %r %p'` and collects its lines. */
  function subscribe(access: string[], ...rest: string[]) {
    const child = spawn(program('mosquitto_sub')!, [...access, '-F', '%t %q %r %p', ...rest], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill());
    const lines: string[] = [];
    createInterface(child.stdout).on('line', (line) => lines.push(line));
    return { lines, ended: once(child, 'exit'), kill: () => child.kill('SIGKILL') };
  }

  test.each(['0', '1', '2'])('QoS %s, live', async (qos) => {
    const { broker, access } = await start();
    const subscriber = subscribe(access, '-t', 'lake/+', '-q', qos, '-C', '2');
    await expect.poll(() => broker.stats().sessions).toBe(1);
    await vi.waitFor(async () => {
      await publish(access, '-t', 'lake/a', '-m', 'hello', '-q', qos);
      expect(subscriber.lines).toContain(`lake/a ${qos} 0 hello`);
    }, 10_000);
    await publish(access, '-t', 'lake/b', '-m', 'bye', '-q', qos);
    expect(await subscriber.ended).toEqual([0, null]);
  });

  test('a persistent session gets what it missed', async () => {
    const { broker, access } = await start();
    const session = ['-i', 'me', '-c', '-t', 't', '-q', '1'];
    await run(program('mosquitto_sub')!, [...access, ...session, '-E']);
    for (const text of ['1', '2', '3']) await publish(access, '-t', 't', '-m', text, '-q', '1');
    expect(broker.stats().queuedMessages).toBe(3);
    const back = subscribe(access, ...session, '-C', '3');
    await back.ended;
    expect(back.lines).toEqual(['t 1 0 1', 't 1 0 2', 't 1 0 3']);
  });

  test('a retained message and a will', async () => {
    const { broker, access } = await start();
    await publish(access, '-t', 'state', '-m', 'on', '-q', '1', '-r');
    const sick = subscribe(
      access,
      '-t',
      'x',
      '--will-topic',
      'state',
      '--will-payload',
      'off',
      '--will-qos',
      '1',
      '--will-retain',
    );
    await expect.poll(() => broker.stats().sessions).toBe(1);
    const subscriber = subscribe(access, '-t', 'state', '-q', '1', '-C', '2');
    await expect.poll(() => subscriber.lines).toEqual(['state 1 1 on']);
    sick.kill();
    await subscriber.ended;
    expect(subscriber.lines).toEqual(['state 1 1 on', 'state 1 0 off']);
  });

  test('a wrong password is refused', async () => {
    const { broker } = await start();
    const wrong = ['-h', '127.0.0.1', '-p', String(broker.port), '-u', 'sensor', '-P', 'guess', '-t', 't', '-m', 'x'];
    await expect(run(program('mosquitto_pub')!, wrong)).rejects.toMatchObject({ code: 4 });
  });
});
