import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import type { SiteStatus } from '../../../src/http/site-status.ts';
import { IMAGE } from './images.ts';

const podman = promisify(execFile);
const RUNTIME = ['--runtime', 'runc'];
const TOKEN = 'test-token-of-the-container';

/** A running container of the image, as closed in as a deployment runs it, on the network of this machine. */
export class Container {
  readonly url: string;
  /** Everything it wrote. */
  readonly output: () => string;
  readonly ended: Promise<number | null>;
  readonly #name: string;

  private constructor(name: string, url: string, output: () => string, ended: Promise<number | null>) {
    this.#name = name;
    this.url = url;
    this.output = output;
    this.ended = ended;
  }

  /** Runs `fogwhisk start` and waits for its ready block; `volume` is a folder of this machine for `/data`. */
  static async start(volume: string, user: number, settings: Record<string, string>): Promise<Container> {
    const name = `fogwhisk-test-${randomUUID()}`;
    const closedIn = [
      ...['--read-only', '--read-only-tmpfs=false', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'],
      ...['--user', `${user}:${user}`, '--memory', '400m', '--pids-limit', '200'],
    ];
    // The limits of the image's runtime may be above what this machine allows.
    const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];
    const ports = [
      'providerPort',
      'embeddedMqttPort',
      'embeddedOpenwhiskPort',
      'embeddedCouchdbPort',
      'embeddedInfluxdbPort',
    ];
    const all: Record<string, string> = {
      ...Object.fromEntries(ports.map((port) => [port, '0'])),
      providerHost: '127.0.0.1',
      providerToken: TOKEN,
      simulate: 'false',
      // What rings by the day would be one event more in the books.
      aggregatesCron: 'off',
      forecastCron: 'off',
      ...settings,
    };
    const child = spawn(
      'podman',
      [
        ...[...RUNTIME, 'run', '--rm', '--pull', 'never', '--network', 'host', '--name', name, ...limits, ...closedIn],
        ...['--volume', `${volume}:/data`, ...Object.keys(all).flatMap((key) => ['--env', key]), IMAGE],
      ],
      { env: { ...process.env, ...all }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    onTestFinished(async () => {
      await podman('podman', [...RUNTIME, 'rm', '--force', '--ignore', '--time', '0', name]).catch(() => undefined);
    });
    const { url, output, ended } = await ready(child);
    return new Container(name, url, output, ended);
  }

  async status(): Promise<SiteStatus> {
    const response = await fetch(`${this.url}/status`, { headers: { authorization: `Bearer ${TOKEN}` } });
    return (await response.json()) as SiteStatus;
  }

  /** Resolves when the status is as wanted; asks every 50 ms, since the books have no event to wait for from outside. */
  async untilStatus(wanted: (status: SiteStatus) => boolean, timeoutMs = 30_000): Promise<SiteStatus> {
    let last: SiteStatus | undefined;
    for (const end = Date.now() + timeoutMs; Date.now() < end; ) {
      last = await this.status();
      if (wanted(last)) return last;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`not within ${timeoutMs} ms: ${JSON.stringify(last)}\n${this.output()}`);
  }

  /** What a shell line prints inside. */
  async shell(line: string): Promise<string> {
    return (await podman('podman', [...RUNTIME, 'exec', this.#name, 'sh', '-c', line])).stdout;
  }

  /** `podman stop`: SIGTERM, and SIGKILL after `graceSeconds`. Returns the exit code. */
  async stop(graceSeconds: number): Promise<number | null> {
    await podman('podman', [...RUNTIME, 'stop', '--time', String(graceSeconds), this.#name]);
    return this.ended;
  }

  async kill(): Promise<number | null> {
    await podman('podman', [...RUNTIME, 'kill', '--signal', 'KILL', this.#name]);
    return this.ended;
  }
}

async function ready(child: ChildProcess) {
  let text = '';
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    const collect = (data: Buffer) => {
      text += data.toString();
      const found = /fogwhisk is ready[\s\S]*?fogwhisk\s+(http:\S+)[\s\S]*Query the points:/.exec(text)?.[1];
      if (found) resolve(found);
    };
    child.stdout!.on('data', collect);
    child.stderr!.on('data', collect);
    void ended.then((code) => reject(new Error(`ended with ${code} before it was ready:\n${text}`)));
  });
  return { url, output: () => text, ended };
}
