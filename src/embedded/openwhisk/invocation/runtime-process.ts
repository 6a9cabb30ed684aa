import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import { LogCollector } from './log-collector.ts';
import type { Reaper } from './reaper.ts';
import { type RuntimeAnswer, RuntimeConnection } from './runtime-connection.ts';

/** A program that speaks the runtime contract on the sockets it inherits as file descriptors 3, 4, … */
export interface RuntimeProgram {
  readonly command: string;
  readonly args: readonly string[];
  /** Whether it is no action's code and needs what the host's environment says. */
  readonly inheritsEnvironment?: true;
}

/** What came of a call: an answer, or why there is none. */
export type RuntimeOutcome =
  | ({ readonly kind: 'answered' } & RuntimeAnswer)
  | { readonly kind: 'lost' }
  | { readonly kind: 'timed-out' }
  | { readonly kind: 'out-of-memory' };

/** The longest result that is kept of an action; more is cut and is an error. */
export const MAX_RESULT_BYTES = 1_048_576;

const MEMORY_CHECK_MS = 50;

/**
 * One runtime in a process group, a temporary folder and an environment of its own. Its connections are inherited sockets,
 * so nobody else can call it and it ends with its host.
 */
export class RuntimeProcess {
  readonly logs: LogCollector;
  readonly exited: Promise<void>;
  /** How many activations it can run at once. */
  readonly slots: number;
  readonly #child: ChildProcess;
  readonly #connections: RuntimeConnection[];
  readonly #folder: string;
  #memoryLimitBytes = Number.POSITIVE_INFINITY;
  #outOfMemory = false;
  #calls = 0;
  #memoryCheck: NodeJS.Timeout | undefined;
  #alive = true;

  constructor(
    program: RuntimeProgram,
    options: {
      readonly folder: string;
      readonly apiHost: string;
      /** Certificates of further authorities, for Node.js. */
      readonly caFile?: string | undefined;
      readonly slots: number;
      readonly reaper: Reaper;
    },
  ) {
    this.slots = options.slots;
    // Absolute, since the runtime works in it.
    this.#folder = mkdtempSync(join(resolve(options.folder), 'action-'));
    this.#child = spawn(program.command, [...program.args, String(options.slots)], {
      cwd: this.#folder,
      env: {
        ...(program.inheritsEnvironment ? process.env : this.#ownEnvironment()),
        __OW_API_HOST: options.apiHost,
        ...(options.caFile && { NODE_EXTRA_CA_CERTS: options.caFile }),
      },
      stdio: ['ignore', 'pipe', 'pipe', ...new Array<'pipe'>(options.slots).fill('pipe')],
      detached: true,
    });
    const pid = this.#child.pid;
    if (pid !== undefined) options.reaper.add(pid);
    this.logs = new LogCollector(this.#child.stdout!, this.#child.stderr!);
    this.#connections = this.#child.stdio
      .slice(3)
      .map((socket) => new RuntimeConnection(socket as Duplex, MAX_RESULT_BYTES));
    this.exited = new Promise<void>((resolve) => {
      this.#child.once('error', () => resolve());
      this.#child.once('exit', () => resolve());
    }).then(async () => {
      this.#alive = false;
      clearInterval(this.#memoryCheck);
      for (const connection of this.#connections) connection.destroy();
      this.#killGroup();
      if (pid !== undefined) options.reaper.remove(pid);
      await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Hands the action's code over. @param message the JSON body `{"value": {…}}` */
  init(message: readonly Buffer[], limits: { timeoutMs: number; memoryBytes: number }): Promise<RuntimeOutcome> {
    this.#memoryLimitBytes = limits.memoryBytes;
    return this.#call('/init', message, limits.timeoutMs);
  }

  /** Runs the action once. @param message the JSON body `{"value": {…}, "activation_id": …}` in parts */
  run(message: readonly Buffer[], timeoutMs: number): Promise<RuntimeOutcome> {
    return this.#call('/run', message, timeoutMs);
  }

  /** Ends the process and all that it started; resolves when it is gone and its folder is removed. */
  kill(): Promise<void> {
    this.#killGroup();
    return this.exited;
  }

  async #call(path: '/init' | '/run', message: readonly Buffer[], timeoutMs: number): Promise<RuntimeOutcome> {
    const connection = this.#connections.find((candidate) => !candidate.busy);
    if (!connection) return { kind: 'lost' };
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      this.#killGroup();
    }, timeoutMs);
    this.#watchMemory();
    try {
      return { kind: 'answered', ...(await connection.post(path, message)) };
    } catch {
      if (timedOut) return { kind: 'timed-out' };
      this.#killGroup();
      await this.exited;
      // V8 aborts when the heap reaches its limit, which may be before the memory check has seen it.
      return { kind: this.#outOfMemory || this.#child.signalCode === 'SIGABRT' ? 'out-of-memory' : 'lost' };
    } finally {
      clearTimeout(timer);
      this.#unwatchMemory();
    }
  }

  #ownEnvironment(): Record<string, string> {
    const PATH = process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin';
    return { PATH, LANG: 'C.UTF-8', HOME: this.#folder, TMPDIR: this.#folder };
  }

  #watchMemory(): void {
    if (this.#calls++ > 0 || process.platform !== 'linux') return;
    this.#memoryCheck = setInterval(() => {
      if (privateBytes(this.#child.pid!) <= this.#memoryLimitBytes) return;
      this.#outOfMemory = true;
      this.#killGroup();
    }, MEMORY_CHECK_MS);
  }

  #unwatchMemory(): void {
    if (--this.#calls === 0) clearInterval(this.#memoryCheck);
  }

  #killGroup(): void {
    const pid = this.#child.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // the group has ended
    }
  }
}

/** What a process holds for itself: its resident pages that are no file's (proc(5), statm). 0 if it is gone. */
function privateBytes(pid: number): number {
  try {
    const [, resident = 0, shared = 0] = readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ').map(Number);
    return (resident - shared) * 4096;
  } catch {
    return 0;
  }
}
