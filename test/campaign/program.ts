import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** Debian's Mosquitto is where a user's `PATH` does not go. */
const PATH = `${process.env.PATH}${delimiter}/usr/sbin`;
const RESTART_AFTER_MS = 1_000;
/** How long a program may take to stop when it is asked to. */
const STOP_TIMEOUT_MS = 20_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** A process that is started again when it ends by itself, as an orchestrator would; that it did is noted. */
export class Program {
  readonly name: string;
  readonly logFile: string;
  /** What it did that nobody asked for: ends by itself, does not stop. */
  readonly misdeeds: string[] = [];
  readonly #command: Command;
  readonly #beforeStart: () => Promise<void>;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #wanted = false;

  constructor(name: string, command: Command, logFile: string, beforeStart: () => Promise<void> = async () => {}) {
    this.name = name;
    this.logFile = logFile;
    this.#command = command;
    this.#beforeStart = beforeStart;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    this.#wanted = true;
    await this.#beforeStart();
    const { file, args, env, cwd } = this.#command;
    const log = openSync(this.logFile, 'a');
    const child = spawn(file, args, {
      env: { PATH, ...env },
      ...(cwd && { cwd }),
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = child;
    running.add(child);
    this.#ended = new Promise((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', () => resolve());
    });
    void this.#ended.then(async () => {
      this.#child = undefined;
      running.delete(child);
      if (!this.#wanted) return;
      const tail = readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-15).join('\n    ');
      this.misdeeds.push(`${this.name} ended by itself (${child.exitCode ?? child.signalCode}):\n    ${tail}`);
      await sleep(RESTART_AFTER_MS);
      if (this.#wanted && !this.#child) await this.start();
    });
  }

  /** Ends it with a signal and keeps it down until {@link start}. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.#wanted = false;
    this.signal(signal);
    const late = new AbortController();
    await Promise.race([this.#ended, sleep(STOP_TIMEOUT_MS, undefined, { signal: late.signal }).catch(() => {})]);
    late.abort();
    if (!this.#child) return;
    this.misdeeds.push(`${this.name} did not stop within ${STOP_TIMEOUT_MS / 1_000} s after ${signal}`);
    this.signal('SIGKILL');
    await this.#ended;
  }

  /** Sends a signal to the process, if it runs. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }
}

export function isOnPath(name: string): boolean {
  return PATH.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
