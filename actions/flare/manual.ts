import { resolve } from 'node:path';
import { stepOf } from '../shared/flare/step.ts';
import type { Params } from '../shared/payload.ts';
import { ActionError } from '../shared/result.ts';
import { runStep } from './working-directory.ts';

/**
 * Manual mode: runs the program of a step on a folder of this machine, and nothing else: no store, no state, no trigger.
 * @param params as the payload of OpenWhisk mode
 * @returns the exit code for the shell
 */
export async function runManually(params: Params, folder: string): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stop.abort(new ActionError('STEP_STOPPED', `stopped by ${signal}.`)));
  }
  try {
    await runStep(stepOf(params, Date.now()), params, resolve(folder), stop.signal);
    return 0;
  } catch (error) {
    if (!(error instanceof ActionError)) throw error;
    process.stderr.write(`${error.code}: ${error.message}\n`);
    return typeof error.meta.exitCode === 'number' ? error.meta.exitCode : 1;
  }
}
