import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Ends every runtime's process group when this process is gone, however it went: a shell that keeps the groups' numbers and
 * waits on a pipe whose other end is ours. (A runtime whose action loops for ever cannot notice by itself.)
 */
export class Reaper {
  readonly #shell: ChildProcess;

  constructor() {
    const script = `
      groups=
      while read -r sign group; do
        kept=
        for known in $groups; do [ "$known" = "$group" ] || kept="$kept $known"; done
        groups=$kept
        [ "$sign" = + ] && groups="$groups $group"
      done
      for group in $groups; do kill -s KILL -- "-$group"; done`;
    this.#shell = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    this.#shell.on('error', () => {});
    this.#shell.stdin!.on('error', () => {});
    this.#shell.unref();
  }

  /** Remembers a process group. */
  add(group: number): void {
    this.#shell.stdin!.write(`+ ${group}\n`);
  }

  /** Forgets a process group that has ended. */
  remove(group: number): void {
    this.#shell.stdin!.write(`- ${group}\n`);
  }

  /** Ends what is left and the shell itself. */
  close(): void {
    this.#shell.stdin!.end();
  }
}
