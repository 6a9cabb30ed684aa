import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

/** A program under measurement, ended with the scope that started it. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

/** A child process that dies with us, and on `end`. Its output is in `lines` and, to show when it fails, in `output`. */
export class Child implements Running {
  readonly process: ChildProcess;
  readonly exited: Promise<number | null>;
  readonly lines: Interface | undefined;
  output = '';

  constructor(program: string, args: readonly string[], options: SpawnOptions = {}) {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.process = child;
    running.add(child);
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      // Not `exit`, which may come before the last of its output.
      child.once('close', (code) => {
        running.delete(child);
        resolve(code);
      });
    });
    const collect = (data: Buffer) => {
      this.output = (this.output + data).slice(-100_000);
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    if (child.stdout) this.lines = createInterface({ input: child.stdout });
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** Resolves with the match of `pattern` in what it writes. */
  async says(pattern: RegExp, timeoutMs = 30_000): Promise<RegExpExecArray> {
    for (const end = Date.now() + timeoutMs; Date.now() < end; ) {
      const match = pattern.exec(this.output);
      if (match) return match;
      if (this.process.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`${this.process.spawnargs.join(' ')} did not say ${pattern}:\n${this.output}`);
  }

  /** The next line of standard output, as JSON. */
  async nextResult<T>(): Promise<T> {
    const ended = this.exited.then((code) => {
      throw new Error(`${this.process.spawnargs.slice(0, 2).join(' ')} ended with ${code}:\n${this.output}`);
    });
    const [line] = (await Promise.race([once(this.lines!, 'line'), ended])) as [string];
    return JSON.parse(line) as T;
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.process.kill(signal);
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

/** The path of a program on `PATH` or in Debian's `/usr/sbin`, if the machine has it. */
export function findProgram(name: string): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The same, where nothing can be done without it. @throws Error if the machine doesn't have it */
export function program(name: string): string {
  const path = findProgram(name);
  if (!path) throw new Error(`${name} is not on PATH`);
  return path;
}

const CLOCK_TICKS_PER_SECOND = 100; // USER_HZ of Linux

/** CPU seconds that a process has used, its threads included and its children not. */
export function cpuSeconds(pid: number): number {
  return secondsOf(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** CPU seconds of the main thread alone. */
export function mainThreadCpuSeconds(pid: number): number {
  return secondsOf(readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8'));
}

function secondsOf(stat: string): number {
  // The second field, the name in parentheses, may hold anything; utime and stime are the 14th and 15th (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

/** Resident memory in MB: now, or the most since the process started. */
export function residentMegabytes(pid: number, when: 'now' | 'peak'): number {
  return kilobytes(`/proc/${pid}/status`, when === 'now' ? 'VmRSS' : 'VmHWM') / 1_024;
}

/** Proportional set size in MB: memory shared between n processes counts 1/n for each. */
export function proportionalMegabytes(pid: number): number {
  return kilobytes(`/proc/${pid}/smaps_rollup`, 'Pss') / 1_024;
}

function kilobytes(file: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'))![1]);
}

/** A process and everything that it started. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // ended meanwhile
    }
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}
