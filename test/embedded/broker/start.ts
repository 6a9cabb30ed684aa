import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { build } from 'esbuild';
import pino from 'pino';
import { onTestFinished } from 'vitest';
import { type BrokerOptions, type EmbeddedBroker, startBroker } from '../../../src/embedded/broker/broker.ts';
import { temporaryFolder } from '../../support/temporary.ts';

/** A broker in this process, in a folder of its own unless one is given, closed when the test ends. */
export async function start(options: Partial<BrokerOptions> = {}): Promise<EmbeddedBroker> {
  const broker = await startBroker({
    port: 0,
    dataDir: options.dataDir ?? (await temporaryFolder()),
    maxPacketBytes: 10 * 1024 * 1024,
    log: pino({ level: 'silent' }),
    setting: 'embeddedMqttPort',
    ...options,
  });
  onTestFinished(() => broker.close());
  return broker;
}

/** A program that runs a broker in the folder given as its argument and prints the port; made for tests that kill it. */
export async function buildProgram(): Promise<string> {
  const outfile = join(await temporaryFolder(), 'broker.cjs');
  const contents = `
    import pino from 'pino';
    import { startBroker } from './src/embedded/broker/broker.ts';
    const options = { port: 0, dataDir: process.argv[2], maxPacketBytes: 10_000_000, setting: 'embeddedMqttPort' };
    startBroker({ ...options, log: pino({ level: 'silent' }) }).then(({ port }) => console.log(port));`;
  await build({
    stdin: { contents, resolveDir: join(import.meta.dirname, '../../..'), loader: 'ts' },
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    logLevel: 'error',
  });
  return outfile;
}

export async function startProgram(program: string, dataDir: string): Promise<{ port: number; kill(): Promise<void> }> {
  const child: ChildProcess = spawn(process.execPath, [program, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return {
    port: Number(line.toString()),
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
