import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Step } from '../shared/flare/step.ts';
import type { Params } from '../shared/payload.ts';
import { ActionError } from '../shared/result.ts';
import { type ProgramEnd, runProgram } from './program.ts';

/**
 * Where a step's program works: a folder with the containers' working directories side by side, as FLARE mounts it
 * (`DIRECTORY_CONTAINER_SHARED`). The same in both modes: in OpenWhisk's it is a temporary one, filled by pull; in manual
 * mode it is the person's own.
 */

/** FLARE's images have their program there. */
const FLARE_PROGRAM = '/root/flare/flare-container.sh';

/** Parameters of FLARE's single container (v22) by the names of the environment variables that it reads. */
const VARIABLES = [
  ['FORECAST_CODE', 'forecast_code', 'forecast_code_repo', 'FORECAST_CODE_REPO'],
  ['FORECAST_CODE_REPO', 'forecast_code_repo', 'forecast_code'],
  ['CONFIG_SET', 'config_set'],
  ['CONFIGURE_RUN', 'configure_run'],
  ['USE_HTTPS', 'use_https'],
  ['AWS_DEFAULT_REGION', 'aws_default_region'],
  ['AWS_S3_ENDPOINT', 'aws_s3_endpoint'],
  ['AWS_ACCESS_KEY_ID', 'aws_access_key_ID', 'aws_access_key_id'],
  ['AWS_SECRET_ACCESS_KEY', 'aws_secret_access_key'],
] as const;

/**
 * Runs the program of a step in a folder: it finds its configuration in `<container>/flare-config.yml` there, and lake,
 * container and cycle in its environment.
 * @throws ActionError `STEP_FAILED`, `STEP_STOPPED` if `stop` ended it, or `PROGRAM_INVALID`
 */
export async function runStep(step: Step, params: Params, folder: string, stop: AbortSignal): Promise<void> {
  const program = programOf(params.program);
  const own = join(folder, step.container);
  await mkdir(own, { recursive: true });
  // After the pull, so that today's configuration wins over that of an older working directory.
  await writeFile(join(own, 'flare-config.yml'), configText(step));
  const end = await runProgram(program, { cwd: folder, env: environmentOf(step, params, folder), stop });
  if (stop.aborted) throw stop.reason;
  if (end.exitCode !== 0) throw failure(step, program, end);
}

function configText({ cycle, container, config }: Step): string {
  return stringify({ ...config, container: { name: container }, lake: cycle.lake, cycle });
}

function environmentOf(step: Step, params: Params, folder: string): NodeJS.ProcessEnv {
  const { lake, date, timezone, period } = step.cycle;
  // What the image sets is the program's; what OpenWhisk adds for this activation, a key among it, is not.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('__OW_'));
  const own: NodeJS.ProcessEnv = {
    ...Object.fromEntries(inherited),
    LAKE: lake,
    CONTAINER: step.container,
    CYCLE: date,
    CYCLE_PERIOD: period,
    TZ: timezone,
    DIRECTORY_CONTAINER_SHARED: folder,
    ...(step.function !== undefined && {
      FUNCTION: String(step.function),
      CONFIG_SET: 'default',
      CONFIGURE_RUN: 'configure_run.yml',
      USE_HTTPS: 'FALSE',
    }),
  };
  for (const [variable, ...names] of VARIABLES) {
    const value = [variable, ...names].map((name) => params[name]).find((given) => given !== undefined);
    if (value !== undefined) own[variable] = String(value);
  }
  return own;
}

function programOf(value: unknown): readonly string[] {
  if (value === undefined) return [FLARE_PROGRAM];
  if (Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === 'string')) return value;
  throw new ActionError('PROGRAM_INVALID', 'program must be a list of texts: the program and its arguments.');
}

function failure(step: Step, [command]: readonly string[], end: ProgramEnd): ActionError {
  const { notStarted, exitCode, signal, lastLines } = end;
  const how = notStarted
    ? `can't be started (${notStarted})`
    : exitCode === undefined
      ? `was ended by ${signal}`
      : `ended with exit code ${exitCode}`;
  return new ActionError('STEP_FAILED', `${command} of ${step.name} ${how}.`, { ...end, lastLines });
}
