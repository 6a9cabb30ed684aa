import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { freePort } from './free-port.ts';
import { program } from './programs.ts';

/** A real Mosquitto on a free loopback port, with the settings that our deployment ships. */
export class Mosquitto {
  readonly port: number;
  readonly #folder: string;
  #process: ChildProcess | undefined;

  private constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
  }

  static async start(extra: string[] = []): Promise<Mosquitto> {
    const folder = await mkdtemp(join(tmpdir(), 'fogwhisk-mosquitto-'));
    const mosquitto = new Mosquitto(await freePort(), folder);
    const lines = [
      `listener ${mosquitto.port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${folder}/`,
      'autosave_interval 2',
      'max_queued_messages 0',
      'max_queued_bytes 0',
      ...(process.getuid?.() === 0 ? ['user root'] : []),
      ...extra,
    ];
    await writeFile(join(folder, 'mosquitto.conf'), `${lines.join('\n')}\n`);
    await mosquitto.resume();
    onTestFinished(() => mosquitto.stop());
    return mosquitto;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  /** Starts it again after {@link end}, with what it kept on disk. */
  async resume(): Promise<void> {
    this.#process = spawn(program('mosquitto')!, ['-c', join(this.#folder, 'mosquitto.conf')], { stdio: 'ignore' });
    await accepting(this.port);
  }

  /** Ends the process and keeps its folder. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (!running || running.exitCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill(signal);
    await ended;
  }

  async stop(): Promise<void> {
    await this.end('SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Resolves when something accepts connections on a loopback port. */
export async function accepting(port: number, timeoutMs = 15_000): Promise<void> {
  for (const end = Date.now() + timeoutMs; Date.now() < end; await setTimeout(20)) {
    const ok = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (ok) return;
  }
  throw new Error(`nothing accepts connections on port ${port} after ${timeoutMs} ms`);
}
