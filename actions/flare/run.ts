import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stateOf } from '../shared/flare/documents.ts';
import { askAgain, giveUp, handOn } from '../shared/flare/hand-on.ts';
import { nextPayload, type Step, stepOf } from '../shared/flare/step.ts';
import { claim, markHandedOn, type StepDocument, type StepRun } from '../shared/flare/step-state.ts';
import { parametersOf } from '../shared/parameters.ts';
import type { Params } from '../shared/payload.ts';
import type { NextStep } from '../shared/receipt.ts';
import { ActionError } from '../shared/result.ts';
import { storeOf } from '../shared/workdir/parameters.ts';
import { pull } from '../shared/workdir/pull.ts';
import { push } from '../shared/workdir/push.ts';
import { SCRATCH_PREFIX } from '../shared/workdir/scratch.ts';
import { runStep } from './working-directory.ts';

/** FLARE's names for the parts of a step, as they stand in its errors. */
type Part = 'configuration' | 'pullworkdir' | 'container' | 'pushworkdir' | 'triggernext';

export type StepResult =
  | ({ readonly ret: 'success' } & Record<string, unknown>)
  | Record<string, unknown>
  | {
      readonly error: { code: string; step: Part; message: string; meta: Record<string, unknown> };
      /** What FLARE's own containers answer. */
      readonly ret: string;
    };

/** The platform ends an activation without a word: this much earlier the step ends by itself, and says why. */
const BEFORE_DEADLINE_MS = 5_000;
/** When to ask again if it is not the step that failed but something that it needs. */
const RETRY_MS = 5_000;
const MAX_RETRY_MS = 3_600_000;

/** What is about the step itself, and will be the same at once again; everything else passes when what it needs is back. */
const OF_THE_STEP: readonly string[] = [
  'STEP_FAILED',
  'STEP_TIMED_OUT',
  'NoSuchKey',
  'ARCHIVE_ALTERED',
  'ARCHIVE_REFUSED',
  'WORKDIR_UNPACKABLE',
];

/**
 * Runs a step of a cycle: pull → program → push → next. A step that is done for its cycle is not done again; one that
 * another activation runs is left to it, and the provider asks again.
 * @param deadline when the platform ends the activation, epoch ms
 */
export async function run(params: Params, deadline: number): Promise<StepResult> {
  const at: { part: Part; step?: Step; run?: StepRun } = { part: 'configuration' };
  try {
    return await doStep(params, deadline, at);
  } catch (thrown) {
    const error = thrown instanceof ActionError ? thrown : new ActionError('UNEXPECTED', String(thrown));
    const told = await tell(params, error, at).catch((problem: unknown) => String(problem));
    const meta = { ...error.meta, ...(told !== undefined && { notTold: told }) };
    return {
      error: { code: error.code, step: at.part, message: error.message, meta },
      ret: `error in running flare_${at.part}.sh; `,
    };
  }
}

async function doStep(
  params: Params,
  deadline: number,
  at: { part: Part; step?: Step; run?: StepRun },
): Promise<StepResult> {
  const parameters = await parametersOf(params);
  const step = stepOf(parameters, Date.now());
  at.step = step;
  const state = stateOf(parameters);
  const batchId = typeof params.batchId === 'string' ? params.batchId : undefined;
  const claimed = await claim(state, step, batchId);
  if (claimed.kind === 'running') {
    const problem = `${step.name} of ${step.cycle.lake}, ${step.cycle.date}, is being run by another activation.`;
    throw new ActionError('RUNNING', problem, { forMs: claimed.forMs });
  }
  let document: StepDocument | undefined;
  if (claimed.kind === 'done') document = claimed.document;
  else {
    at.run = claimed.run;
    document = await pullRunPush(parameters, step, claimed.run, deadline, at);
    delete at.run;
    if (!document) throw claimed.run.lost.reason;
  }
  at.part = 'triggernext';
  if (step.function !== undefined && step.function !== 0 && step.function !== 4) return nextFunction(params, step);
  const next = isToHandOn(document, batchId) ? nextOf(step) : [];
  await handOn(params, next);
  await markHandedOn(state, document);
  return {
    ok: true,
    ret: 'success',
    ...(step.function !== undefined && { result: 'Completed!' }),
    lake: step.cycle.lake,
    cycle: step.cycle.date,
    step: step.name,
    ...(claimed.kind === 'done' && { wasDone: true }),
    ...(document.archive && { archive: document.archive }),
    ...(next[0] && { next: next[0].trigger }),
  };
}

async function pullRunPush(
  parameters: Params,
  step: Step,
  run: StepRun,
  deadline: number,
  at: { part: Part },
): Promise<StepDocument | undefined> {
  const { cycle, container, dependencies, lookBack } = step;
  const store = await storeOf(parameters);
  const folder = await mkdtemp(join(tmpdir(), SCRATCH_PREFIX));
  const overdue = new AbortController();
  const timer = setTimeout(
    () => overdue.abort(new ActionError('STEP_TIMED_OUT', `${step.name} took longer than the action's time limit.`)),
    Math.max(0, deadline - Date.now() - BEFORE_DEADLINE_MS),
  );
  try {
    at.part = 'pullworkdir';
    await pull({ store, cycle, container, dependencies, lookBack, into: folder });
    at.part = 'container';
    await runStep(step, parameters, folder, AbortSignal.any([run.lost, overdue.signal]));
    at.part = 'pushworkdir';
    run.lost.throwIfAborted();
    const archive = await push({ store, cycle, container, from: join(folder, container) });
    return await run.done(archive);
  } finally {
    clearTimeout(timer);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/**
 * Whether this firing tells the next step: it is the one for which the step was run. Another one for the same cycle comes
 * too late, unless the one that ran it was no provider's and ended before it told.
 */
function isToHandOn({ batchId: ranFor, handedOn }: StepDocument, batchId: string | undefined): boolean {
  return batchId === undefined || ranFor === undefined ? handedOn !== true : ranFor === batchId;
}

function nextOf({ next, ...step }: Step): NextStep[] {
  if (!next) return [];
  const { lake, date } = step.cycle;
  return [{ trigger: next.name, payload: nextPayload(step, next), key: `${lake} ${date} ${step.name} ${next.name}` }];
}

const IS_SECRET = /secret|password|_auth$|key/i;

/** In a sequence, the result of a function is the payload of the next one. Secrets don't travel; each takes its own. */
function nextFunction(params: Params, { cycle, function: number }: Step): StepResult {
  const passed = Object.entries(params).filter(([name]) => !IS_SECRET.test(name) && !name.startsWith('__ow_'));
  return { ...Object.fromEntries(passed), lake: cycle.lake, cycle, function: number! + 1 };
}

/**
 * Records why a step failed, and asks the provider for another try. A step that fails by itself is tried `attempts` times
 * for one firing; then the firing is kept aside and the step stays failed, until another firing or a person begins it again.
 */
async function tell(params: Params, error: ActionError, at: { part: Part; step?: Step; run?: StepRun }): Promise<void> {
  const { step, run, part } = at;
  await run?.failed({ code: error.code, step: part, message: error.message });
  if (step && run && OF_THE_STEP.includes(error.code)) {
    if (run.attempts >= step.attempts) return giveUp(params, error);
    return askAgain(params, error, Math.min(MAX_RETRY_MS, step.retryAfterMs * 2 ** (run.attempts - 1)));
  }
  const afterMs = typeof error.meta.forMs === 'number' ? error.meta.forMs : RETRY_MS;
  return askAgain(params, error, afterMs);
}
