import { TOOLS } from './paths.ts';
import { Child } from './processes.ts';

export interface SinkStats {
  /** Firings, or requests of a peer. */
  readonly requests: number;
  readonly receipts: number;
  readonly failedReceipts: number;
  /** Different messages confirmed, and messages confirmed again. */
  readonly unique: number;
  readonly duplicates: number;
  /** Microseconds since the epoch. */
  readonly lastConfirmedUs: number;
  /** From sending to confirmation, in ms. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** The platform that only counts: answers firings, sends their receipts, and takes the peers' requests. */
export class Sink {
  static readonly auth = '00000000-0000-4000-8000-000000000000:bench';
  readonly url: string;
  readonly #child: Child;

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<Sink> {
    const child = new Child(TOOLS, ['sink'], { env: { ...process.env, GOGC: '400' } });
    const { port } = await child.nextResult<{ port: number }>();
    return new Sink(child, port);
  }

  /** Forgets everything; answers from now on take `delayMs`. */
  async reset(delayMs = 0): Promise<void> {
    await fetch(`${this.url}/bench/reset?delayMs=${delayMs}`);
  }

  /** Cuts every connection on which a request comes. */
  async goDown(seconds: number): Promise<void> {
    await fetch(`${this.url}/bench/down?seconds=${seconds}`);
  }

  /** Resolves when `count` different messages are confirmed. @throws Error if they aren't in time */
  async confirmed(count: number, timeoutMs = 240_000): Promise<SinkStats> {
    const stats = await this.stats(count, timeoutMs);
    if (stats.unique < count) throw new Error(`${count} messages not confirmed in time: ${JSON.stringify(stats)}`);
    return stats;
  }

  /** What is confirmed after `timeoutMs`, or as soon as `count` messages are. */
  async stats(count = 0, timeoutMs = 0): Promise<SinkStats> {
    const response = await fetch(`${this.url}/bench/wait?count=${count}&timeoutMs=${timeoutMs}`);
    return (await response.json()) as SinkStats;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.end();
  }
}
