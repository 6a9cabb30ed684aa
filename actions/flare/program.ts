import { spawn } from 'node:child_process';

/** The last lines that a program wrote: what a person looks at first. */
const TAIL_LINES = 20;
const TAIL_BYTES = 4_096;
/** How long a program that is told to end may take for it. */
const END_WAIT_MS = 2_000;

export interface ProgramEnd {
  /** Its exit code; undefined if it could not be started, or was ended by a signal. */
  readonly exitCode?: number;
  readonly signal?: NodeJS.Signals;
  /** Why it could not be started, e.g. `ENOENT`. */
  readonly notStarted?: string;
  readonly lastLines: readonly string[];
}

/**
 * Runs a program without a shell and passes on what it writes.
 * @param argv program and arguments; a path is relative to `cwd`
 * @param stop ends the program early
 */
export function runProgram(
  argv: readonly string[],
  { cwd, env, stop }: { cwd: string; env: NodeJS.ProcessEnv; stop: AbortSignal },
): Promise<ProgramEnd> {
  const [command, ...args] = argv as [string, ...string[]];
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let tail = Buffer.alloc(0);
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    from.on('data', (data: Buffer) => {
      tail = Buffer.concat([tail, data]).subarray(-TAIL_BYTES);
      // What the program writes faster than it is taken waits in the program.
      if (!to.write(data)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
  }
  const end = () => {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), END_WAIT_MS).unref();
  };
  stop.addEventListener('abort', end, { once: true });
  if (stop.aborted) end();
  return new Promise((resolve) => {
    const finish = (how: Omit<ProgramEnd, 'lastLines'>) => {
      stop.removeEventListener('abort', end);
      resolve({ ...how, lastLines: tail.toString('utf8').trimEnd().split('\n').slice(-TAIL_LINES) });
    };
    child.once('error', (error: NodeJS.ErrnoException) => finish({ notStarted: error.code ?? error.message }));
    child.once('exit', (exitCode, signal) => {
      // A process that it left behind may hold its output open for ever.
      const late = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, END_WAIT_MS);
      child.once('close', () => {
        clearTimeout(late);
        finish(exitCode === null ? { signal: signal! } : { exitCode });
      });
    });
  });
}
