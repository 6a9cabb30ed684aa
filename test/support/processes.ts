import { readdirSync, readFileSync } from 'node:fs';

/** Kills a process with -9 that may have ended by itself meanwhile. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The processes in which a site runs its Node.js actions. */
export function actionHosts(provider: number): number[] {
  const isOne = (pid: number) => {
    try {
      const parent = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[1];
      return Number(parent) === provider && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('nodejs.cjs');
    } catch {
      return false; // ended meanwhile
    }
  };
  return readdirSync('/proc').map(Number).filter(isOne);
}
