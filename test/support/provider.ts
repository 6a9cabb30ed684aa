import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import type { SiteStatus } from '../../src/http/site-status.ts';

const MAIN = join(import.meta.dirname, '../../dist/main.js');
export const PROVIDER_TOKEN = 'test-token-of-the-provider';

/** The built `fogwhisk start` as a process of its own. */
export class Provider {
  readonly url: string;
  /** Everything it wrote, to read when a test fails. */
  readonly output: () => string;
  readonly #process: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;

  private constructor(child: ChildProcess, url: string, output: () => string, ended: Provider['ended']) {
    this.#process = child;
    this.url = url;
    this.output = output;
    this.ended = ended;
  }

  /**
   * Starts it and waits for its ready block. Settings are those of the configuration; ports default to any free one.
   * @param within what goes before the command, e.g. to run it in a network namespace
   */
  static async start(settings: Record<string, string>, within: readonly string[] = []): Promise<Provider> {
    const [program, ...args] = [...within, process.execPath, MAIN, 'start'];
    const child = spawn(program!, args, {
      env: {
        PATH: process.env.PATH,
        providerPort: '0',
        providerToken: PROVIDER_TOKEN,
        embeddedMqttPort: '0',
        embeddedOpenwhiskPort: '0',
        embeddedCouchdbPort: '0',
        embeddedInfluxdbPort: '0',
        simulate: 'false',
        // What rings by the day would be one event more in the books.
        aggregatesCron: 'off',
        forecastCron: 'off',
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const ready = new Promise<string>((resolve, reject) => {
      const collect = (data: Buffer) => {
        output += data.toString();
        const url = /fogwhisk is ready[\s\S]*?fogwhisk\s+(http:\S+)[\s\S]*Query the points:/.exec(output)?.[1];
        if (url) resolve(url);
      };
      child.stdout.on('data', collect);
      child.stderr.on('data', collect);
      void ended.then(({ code, signal }) =>
        reject(new Error(`ended with ${code ?? signal} before it was ready:\n${output}`)),
      );
    });
    return new Provider(child, await ready, () => output, ended);
  }

  get pid(): number {
    return this.#process.pid!;
  }

  kill(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    this.#process.kill(signal);
    return this.ended;
  }

  /** The URL of a part from the ready block; undefined for one that was not started. */
  find(name: string): string | undefined {
    return new RegExp(`^  ${name}\\s+(\\S+)$`, 'm').exec(this.output())?.[1];
  }

  /** The URL of a part that was started. */
  address(name: string): string {
    const url = this.find(name);
    if (!url) throw new Error(`no ${name} in:\n${this.output()}`);
    return url;
  }

  /** What a `fogwhisk` command prints that is told of this provider. */
  async command(command: readonly string[], settings: Record<string, string>): Promise<string> {
    const env = { PATH: process.env.PATH, ...settings, providerToken: PROVIDER_TOKEN, providerUrl: this.url };
    return (await promisify(execFile)(process.execPath, [MAIN, ...command], { env })).stdout;
  }

  async status(): Promise<SiteStatus> {
    const response = await fetch(`${this.url}/status`, { headers: { authorization: `Bearer ${PROVIDER_TOKEN}` } });
    return (await response.json()) as SiteStatus;
  }

  /** Resolves when the status is as wanted; asks every 20 ms, since the books have no event to wait for from outside. */
  async untilStatus(wanted: (status: SiteStatus) => boolean, timeoutMs = 20_000): Promise<SiteStatus> {
    let last: SiteStatus | undefined;
    for (const end = Date.now() + timeoutMs; Date.now() < end; ) {
      last = await this.status();
      if (wanted(last)) return last;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`not within ${timeoutMs} ms: ${JSON.stringify(last)}\n${this.output()}`);
  }
}
