import { randomUUID } from 'node:crypto';
import { FogwhiskError } from '../../core/errors.ts';
import { deploymentOf } from '../../core/flare.ts';
import { askProvider } from '../provider-client.ts';
import { readLakes } from './lakes-file.ts';

export interface StartOptions {
  readonly config?: string;
  readonly lakes: string;
  readonly lake: string;
  readonly container: string;
  readonly cycle?: string;
  readonly force?: boolean;
}

/**
 * `fogwhisk flare start`: begins a step of a lake on the running site, as its alarm, hook or the step before would; by way of
 * the journal, so that it survives a crash.
 * @throws FogwhiskError `STEP_UNKNOWN`
 */
export async function startStepCommand({ lake, container, cycle, force, ...options }: StartOptions): Promise<void> {
  const lakes = await readLakes(options.lakes);
  const trigger = deploymentOf(lakes).triggers.find(
    ({ parameters }) => parameters.lake === lake && parameters.container_name === container,
  );
  if (!trigger) {
    const known = { lakes: Object.keys(lakes.lakes), steps: Object.keys(lakes.steps) };
    throw new FogwhiskError('STEP_UNKNOWN', { file: options.lakes, lake, container, ...known });
  }
  const payload = {
    ...(cycle === undefined ? { scheduledFor: new Date().toISOString() } : { cycle }),
    ...(force && { force }),
  };
  const body = JSON.stringify({ trigger: trigger.name, payload, key: randomUUID() });
  await askProvider(options, '/firings', { method: 'POST', body });
  process.stdout.write(`${trigger.name} is fired\n`);
}
