import { type Document, type Documents, stateOf } from '../shared/flare/documents.ts';
import { askAgain, handOn } from '../shared/flare/hand-on.ts';
import { cycleOfPayload, nextPayload, nextTriggerOf } from '../shared/flare/step.ts';
import { parametersOf } from '../shared/parameters.ts';
import { isRecord, type Params } from '../shared/payload.ts';
import { ActionError, type Result } from '../shared/result.ts';
import { type Cycle, nameOf } from '../shared/workdir/cycle.ts';

/** Which inputs of a cycle have come, and what followed. */
interface CompoundDocument extends Document {
  readonly kind: 'compound';
  readonly lake: string;
  readonly date: string;
  readonly step: string;
  readonly inputs: readonly string[];
  /** When each came. */
  readonly came: Readonly<Record<string, string>>;
  readonly startedAt: string;
  readonly expiresAt: string;
  /** The firing that made it complete: this one tells the next step, however often it is repeated. */
  readonly completedBy?: string;
  readonly completedAt?: string;
  /** When the next step was told, and the provider (or the platform) had taken it. */
  readonly firedAt?: string;
  readonly expiredAt?: string;
}

const INPUTS = ['noaa', 'observations'];
const EXPIRES_AFTER_HOURS = 48;
const RETRY_MS = 5_000;
/** A caller without a receipt has no firing's id. */
const NO_FIRING = 'direct';

/**
 * Fires the next trigger of a cycle when all inputs of that cycle have come, once. An input is the `type` of a payload
 * (FLARE's `noaa` and `observations`, or any that `config.openwhisk.inputs` names); the next trigger is
 * `config.openwhisk.next-trigger`. With `expire: true` it reports the cycles that wait in vain instead.
 */
export async function main(params: Params): Promise<Result | Record<string, unknown>> {
  try {
    const parameters = await parametersOf(params);
    const state = stateOf(parameters);
    if (params.expire === true) return await expire(state, params);
    return await takeInput(state, params, parameters);
  } catch (thrown) {
    const error = thrown instanceof ActionError ? thrown : new ActionError('UNEXPECTED', String(thrown));
    // If this doesn't reach the provider, it fires again all the same.
    await askAgain(params, error, RETRY_MS).catch(() => {});
    return { error: { code: error.code, message: error.message, meta: error.meta } };
  }
}

async function takeInput(state: Documents, params: Params, parameters: Params): Promise<Record<string, unknown>> {
  const cycle = cycleOfPayload(parameters, Date.now());
  const { name, inputs, next, expiresAfterMs } = settingsOf(parameters);
  const input = parameters.type;
  if (typeof input !== 'string' || !inputs.includes(input)) {
    const problem = `type must be one of the inputs ${inputs.join(', ')}.`;
    throw new ActionError('PAYLOAD_INVALID', problem, { type: input });
  }
  const firing = typeof params.batchId === 'string' ? params.batchId : NO_FIRING;
  const document = await state.update<CompoundDocument>(`${cycle.lake}:${cycle.date}:${name}`, (there) =>
    withInput(there ?? begun(cycle, name, inputs, expiresAfterMs), input, firing),
  );
  const { came, completedBy, firedAt, expiredAt } = document!;
  const waitingFor = inputs.filter((each) => !came[each]);
  const result = { ok: true, lake: cycle.lake, cycle: cycle.date, input, waitingFor };
  if (expiredAt) {
    await handOn(params, []);
    return { ...result, expiredAt };
  }
  if (waitingFor.length > 0 && !isRecord(params.receipt)) return notReady(waitingFor);
  // What another firing completed is that one's to tell. One that nobody repeats is told by whoever comes next.
  const force = parameters.force === true;
  const isOurs = force || completedBy === firing || (completedBy === NO_FIRING && !firedAt);
  if (waitingFor.length > 0 || !isOurs || (firing === NO_FIRING && firedAt && !force)) {
    await handOn(params, []);
    return { ...result, ret: 'success' };
  }
  const key = `${cycle.lake} ${cycle.date} ${name} ${next.name}`;
  await handOn(params, [{ trigger: next.name, payload: nextPayload({ cycle, force }, next), key }]);
  await state.update<CompoundDocument>(document!._id, (there) =>
    there && !there.firedAt ? { ...there, firedAt: new Date().toISOString() } : undefined,
  );
  return { ...result, ret: 'success', next: next.name };
}

function settingsOf(parameters: Params) {
  const config = isRecord(parameters.config) ? parameters.config : {};
  const openwhisk = isRecord(config.openwhisk) ? config.openwhisk : {};
  const { inputs = INPUTS, 'expires-after-hours': hours = EXPIRES_AFTER_HOURS } = openwhisk;
  if (!Array.isArray(inputs) || inputs.length === 0 || !inputs.every((input) => typeof input === 'string')) {
    throw new ActionError('PAYLOAD_INVALID', 'inputs must be a list of names.');
  }
  if (typeof hours !== 'number' || !(hours > 0)) {
    throw new ActionError('PAYLOAD_INVALID', 'expires-after-hours must be a number above 0.');
  }
  return {
    name: nameOf(parameters.container_name ?? 'compound-trigger', 'container_name'),
    inputs: inputs as string[],
    next: nextTriggerOf(openwhisk['next-trigger']),
    expiresAfterMs: hours * 3_600_000,
  };
}

function begun(cycle: Cycle, name: string, inputs: readonly string[], expiresAfterMs: number): CompoundDocument {
  return {
    _id: '',
    kind: 'compound',
    lake: cycle.lake,
    date: cycle.date,
    step: name,
    inputs,
    came: {},
    startedAt: new Date().toISOString(),
    expiresAt: new Date(Date.now() + expiresAfterMs).toISOString(),
  };
}

/** The document with an input; undefined if that changes nothing. */
function withInput(document: CompoundDocument, input: string, firing: string): CompoundDocument | undefined {
  if (document.expiredAt || document.came[input]) return undefined;
  const now = new Date().toISOString();
  const came = { ...document.came, [input]: now };
  const isComplete = document.inputs.every((each) => came[each]);
  return { ...document, came, ...(isComplete && { completedBy: firing, completedAt: now }) };
}

/** As a web action this is HTTP 403 with FLARE's text; in a sequence the error ends it. */
function notReady(waitingFor: readonly string[]): Record<string, unknown> {
  const message = `not ready: ${waitingFor.join(', ')} of this cycle did not come yet.`;
  const body = { ret: 'not ready; ' };
  return { error: { code: 'NOT_READY', message, meta: { waitingFor }, statusCode: 403, body, ...body } };
}

/** Closes the cycles that are incomplete and past their time, and says what they waited for. */
async function expire(state: Documents, params: Params): Promise<Record<string, unknown>> {
  const expired: Array<{ lake: string; cycle: string; step: string; missing: string[] }> = [];
  const isOverdue = (each: CompoundDocument) =>
    each.kind === 'compound' && !each.completedAt && !each.expiredAt && Date.parse(each.expiresAt) < Date.now();
  for (const found of (await state.list<CompoundDocument>('')).filter(isOverdue)) {
    const now = new Date().toISOString();
    const closed = await state.update<CompoundDocument>(found._id, (there) =>
      there && isOverdue(there) ? { ...there, expiredAt: now } : undefined,
    );
    if (closed?.expiredAt !== now) continue;
    const { lake, date: cycle, step, inputs, came } = closed;
    expired.push({ lake, cycle, step, missing: inputs.filter((each) => !came[each]) });
  }
  await handOn(params, []);
  return { ok: true, expired };
}
