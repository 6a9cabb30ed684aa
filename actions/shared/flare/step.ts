import { isRecord, type Params } from '../payload.ts';
import { ActionError } from '../result.ts';
import { type Cycle, cycleAt, cycleOf, nameOf } from '../workdir/cycle.ts';

/** A trigger that begins the next step, as `next-trigger` in FLARE's flare-config.yml. */
export interface NextTrigger {
  readonly name: string;
  readonly container: string;
  /** The input that the next step, a compound trigger, counts it as. */
  readonly type?: string;
}

/** One container's work in one cycle of a lake: what the payload asks for. */
export interface Step {
  readonly cycle: Cycle;
  readonly container: string;
  /** FLARE's function 0 to 4, where one container has several. */
  readonly function?: number;
  /** Names the step within its cycle. */
  readonly name: string;
  /** Containers whose working directories it needs. */
  readonly dependencies: readonly string[];
  /** Days (periods) that a dependency may be older than the cycle. */
  readonly lookBack: number;
  readonly next?: NextTrigger;
  /** How often a program that fails is tried for one firing. */
  readonly attempts: number;
  readonly retryAfterMs: number;
  /** Done again although it is done. */
  readonly force: boolean;
  /** What flare-config.yml holds. */
  readonly config: Params;
}

const MAX_LOOK_BACK = 366;

/**
 * The step of a payload: `{lake, container_name, cycle | scheduledFor, timezone?, period?, function?, force?, config}`.
 * `config` is the content of the container's flare-config.yml; its `openwhisk` holds `days-look-back`,
 * `container-dependencies` (names separated by spaces, or a list), `next-trigger`, `attempts` and `retry-after-seconds`.
 * @param startedAt when the activation began, epoch ms
 * @throws ActionError `PAYLOAD_INVALID` or `CYCLE_MISSING`
 */
export function stepOf(params: Params, startedAt: number): Step {
  const config = isRecord(params.config) ? params.config : {};
  const openwhisk = isRecord(config.openwhisk) ? config.openwhisk : {};
  const container = nameOf(params.container_name ?? params.container ?? 'flare', 'container_name');
  const number = functionOf(params.function ?? params.FUNCTION);
  const next = openwhisk['next-trigger'];
  const nextTrigger = next === undefined || next === null ? undefined : nextTriggerOf(next);
  return {
    cycle: cycleOfPayload(params, startedAt),
    container,
    ...(number !== undefined && { function: number }),
    name: number === undefined ? container : `${container}-function-${number}`,
    dependencies: namesOf(openwhisk['container-dependencies']),
    lookBack: whole(openwhisk['days-look-back'], 'days-look-back', 0, MAX_LOOK_BACK),
    ...(nextTrigger && { next: nextTrigger }),
    attempts: whole(openwhisk.attempts, 'attempts', 3, 1_000),
    retryAfterMs: whole(openwhisk['retry-after-seconds'], 'retry-after-seconds', 60, 86_400) * 1_000,
    force: params.force === true,
    config,
  };
}

/**
 * The cycle of a payload: `cycle`, which travels from step to step, or at the first step the one that `scheduledFor` stands
 * for, the instant of the alarm or webhook. Callers other than the site's provider, who ask for no receipt, may give neither:
 * theirs is the cycle of `startedAt`.
 * @throws ActionError `PAYLOAD_INVALID` or `CYCLE_MISSING`
 */
export function cycleOfPayload(params: Params, startedAt: number): Cycle {
  const { cycle, scheduledFor, timezone = 'UTC', period = 'P1D', config_set: configSet } = params;
  const lake = nameOf(params.lake ?? configSet, 'lake');
  if (isRecord(cycle)) return cycleOf({ ...cycle, lake });
  if (cycle !== undefined) return cycleOf({ lake, date: cycle, timezone, period });
  if (scheduledFor === undefined && isRecord(params.receipt)) {
    const problem =
      'the payload gives neither cycle nor scheduledFor, and a step does not ask the clock which day it is.';
    throw new ActionError('CYCLE_MISSING', problem);
  }
  const instant = scheduledFor ?? new Date(startedAt).toISOString();
  if (typeof instant !== 'string' || typeof timezone !== 'string' || typeof period !== 'string') {
    throw new ActionError('PAYLOAD_INVALID', 'scheduledFor, timezone and period must be texts.');
  }
  return cycleAt(lake, instant, timezone, period);
}

/** What the next step is fired with; the rest of what it needs are its trigger's own parameters. */
export function nextPayload(
  { cycle, force }: Pick<Step, 'cycle' | 'force'>,
  next: NextTrigger,
): Record<string, unknown> {
  return {
    lake: cycle.lake,
    container_name: next.container,
    cycle,
    ...(next.type !== undefined && { type: next.type }),
    ...(force && { force }),
  };
}

/** @throws ActionError `PAYLOAD_INVALID` */
export function nextTriggerOf(value: unknown): NextTrigger {
  const { name, container_name: container, type } = isRecord(value) ? value : {};
  if (typeof name !== 'string' || (type !== undefined && typeof type !== 'string')) {
    throw new ActionError('PAYLOAD_INVALID', 'next-trigger must be {name, container_name, type}, all texts.');
  }
  return { name, container: nameOf(container, 'container_name of next-trigger'), ...(type !== undefined && { type }) };
}

function functionOf(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (Number.isInteger(number) && number >= 0 && number <= 4) return number;
  throw new ActionError('PAYLOAD_INVALID', 'function must be 0 (all), 1, 2, 3 or 4.');
}

function namesOf(value: unknown): string[] {
  const names = typeof value === 'string' ? value.split(/\s+/).filter(Boolean) : (value ?? []);
  if (!Array.isArray(names))
    throw new ActionError('PAYLOAD_INVALID', 'container-dependencies must be names of containers.');
  return names.map((name) => nameOf(name, 'each of container-dependencies'));
}

function whole(value: unknown, name: string, otherwise: number, max: number): number {
  if (value === undefined || value === null) return otherwise;
  const number = Number(value);
  if (Number.isInteger(number) && number >= 0 && number <= max) return number;
  throw new ActionError('PAYLOAD_INVALID', `${name} must be a whole number from 0 to ${max}.`);
}
