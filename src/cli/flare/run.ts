import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FogwhiskError } from '../../core/errors.ts';
import { stepParameters } from '../../core/flare.ts';
import { readLakes } from './lakes-file.ts';

export interface RunOptions {
  readonly lakes: string;
  readonly lake: string;
  readonly container: string;
  readonly dir: string;
  readonly cycle?: string;
  readonly function?: string;
}

/** The entry of the container image, which runs a step in both modes. */
const ENTRY = fileURLToPath(new URL('../../../dist/actions/flare.js', import.meta.url));

/**
 * `fogwhisk flare run`: manual mode, the program of one step on a folder of this machine. Nothing else is needed, and nothing
 * else is touched. Ends with the program's exit code.
 * @throws FogwhiskError `STEP_UNKNOWN`
 */
export async function runStepCommand({ dir, container, lake, cycle, ...options }: RunOptions): Promise<void> {
  const lakes = await readLakes(options.lakes);
  if (!lakes.lakes[lake] || !lakes.steps[container]?.program) {
    const known = {
      lakes: Object.keys(lakes.lakes),
      steps: Object.keys(lakes.steps).filter((name) => lakes.steps[name]!.program),
    };
    throw new FogwhiskError('STEP_UNKNOWN', { file: options.lakes, lake, container, ...known });
  }
  const step = {
    ...stepParameters(lakes, lake, container),
    ...(cycle !== undefined && { cycle }),
    ...(options.function !== undefined && { function: options.function }),
  };
  const child = spawn(process.execPath, [ENTRY, 'run', resolve(dir)], { stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.on('error', () => {}); // it ended early, and its exit code says how
  child.stdin.end(JSON.stringify(step));
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}
