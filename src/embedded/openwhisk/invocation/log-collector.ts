import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** A runtime writes this line to stdout and stderr when an activation's logs are complete. */
const SENTINEL = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX';

/** How long a finished activation's sentinels are waited for: an action that closed its stdout never sends them. */
const SENTINEL_WAIT_MS = 2_000;

/** A line is charged as the JSON log file of a container would be: `{"log":"…\n","stream":"stdout","time":"…"}`. */
const LINE_OVERHEAD_BYTES = 72;

/** A line longer than this is cut into several, so that output without a line end stays bounded. */
const MAX_LINE_CHARS = 64 * 1024;

const startedAtNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();

/** Now, as the platform writes it: RFC 3339 with nanoseconds. */
export function logTimestamp(): string {
  const ns = startedAtNs + process.hrtime.bigint();
  return `${new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19)}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`;
}

/** One runtime process's output, cut into activations at the sentinels. Reads always, so that no runtime blocks on a full pipe. */
export class LogCollector {
  readonly #open = new Map<Readable, 'stdout' | 'stderr'>();
  #lines: string[] = [];
  #bytes = 0;
  #limitBytes = 0;
  #truncated = false;
  #sentinels = 0;
  readonly #waiting: Array<(complete: boolean) => void> = [];

  constructor(stdout: Readable, stderr: Readable) {
    this.#follow(stdout, 'stdout');
    this.#follow(stderr, 'stderr');
  }

  /** Starts an activation's log; lines beyond `limitBytes` are dropped. What came since the last one ended belongs to it. */
  begin(limitBytes: number): void {
    this.#bytes = 0;
    this.#limitBytes = limitBytes;
    this.#truncated = false;
  }

  /** The activation's lines, once both sentinels have come, the streams have closed, or the wait is over. */
  async end({ failed }: { failed: boolean }): Promise<string[]> {
    const complete = await this.#sentinelPair(failed ? SENTINEL_WAIT_MS / 10 : SENTINEL_WAIT_MS);
    const lines = this.#lines;
    this.#lines = [];
    if (this.#limitBytes === 0) return [];
    if (this.#truncated) {
      lines.push(
        `${logTimestamp()} stderr: Logs were truncated because the total bytes size exceeds the limit of ${this.#limitBytes} bytes.`,
      );
    }
    if (failed) {
      lines.push(
        `${logTimestamp()} stderr: The action did not initialize or run as expected. Log data might be missing.`,
      );
    } else if (!complete) {
      lines.push(`${logTimestamp()} stderr: There was an issue while collecting your logs. Data might be missing.`);
    }
    return lines;
  }

  /** Takes one activation's sentinels; false if they don't come in time, or can't any more. */
  #sentinelPair(waitMs: number): Promise<boolean> {
    if (this.#sentinels >= 2) {
      this.#sentinels -= 2;
      return Promise.resolve(true);
    }
    if (this.#open.size === 0) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiter = (complete: boolean) => {
        clearTimeout(timer);
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        resolve(complete);
      };
      const timer = setTimeout(waiter, waitMs, false);
      this.#waiting.push(waiter);
    });
  }

  #follow(stream: Readable, name: 'stdout' | 'stderr'): void {
    this.#open.set(stream, name);
    const decoder = new StringDecoder('utf8');
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      const lines = (rest + decoder.write(chunk)).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.#line(name, line);
      while (rest.length > MAX_LINE_CHARS) {
        this.#line(name, rest.slice(0, MAX_LINE_CHARS));
        rest = rest.slice(MAX_LINE_CHARS);
      }
    });
    stream.on('error', () => {});
    stream.on('close', () => {
      if (rest !== '') this.#line(name, rest);
      this.#open.delete(stream);
      if (this.#open.size === 0) for (const waiter of [...this.#waiting]) waiter(false);
    });
  }

  #line(stream: string, text: string): void {
    // As on the platform, output without a line end just before the sentinel is lost with it.
    if (text.endsWith(SENTINEL)) {
      this.#sentinels++;
      const [waiter] = this.#waiting;
      if (this.#sentinels >= 2 && waiter) {
        this.#sentinels -= 2;
        waiter(true);
      }
      return;
    }
    if (this.#truncated) return;
    this.#bytes += Buffer.byteLength(text) + LINE_OVERHEAD_BYTES;
    if (this.#bytes > this.#limitBytes) this.#truncated = true;
    else this.#lines.push(`${logTimestamp()} ${stream}: ${text}`);
  }
}
