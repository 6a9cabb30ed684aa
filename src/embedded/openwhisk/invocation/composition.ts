import { isObject, type JsonObject } from '../json.ts';
import type { Activation, StatusCode } from './activation.ts';
import { errorResult } from './outcome.ts';

/** What a composition may still run, the compositions inside of it included. */
export interface CompositionBudget {
  conductors: number;
  components: number;
}

/** What a composition consists of: runs of its conductor, and of the actions that the conductor names. */
export interface CompositionSteps {
  conductor(payload: Buffer): Promise<Activation>;
  /** Runs the named action; the result, or `{"error": …}` for a name that is none. */
  component(name: unknown, payload: Buffer): Promise<Buffer>;
}

/** A conductor has one run more than there may be components: the last one sees the result of the last component. */
export function compositionBudget(sequenceLength: number): CompositionBudget {
  return { conductors: sequenceLength + 1, components: sequenceLength };
}

/**
 * Runs a composition (apache/openwhisk, docs/conductors.md): the conductor answers `{action, params, state}`, the action gets
 * `params`, and the conductor its result with `state` added; until the conductor names no action, and `params` is the result.
 */
export async function compose(
  payload: Buffer,
  budget: CompositionBudget,
  steps: CompositionSteps,
): Promise<{ statusCode: StatusCode; result: Buffer }> {
  const tooMany = errorResult('Too many actions in the composition.');
  let next = payload;
  for (;;) {
    if (budget.conductors-- <= 0) return { statusCode: 1, result: tooMany };
    const { statusCode, result } = await steps.conductor(next);
    const answer: unknown = JSON.parse(result.toString());
    if (!isObject(answer)) return { statusCode, result };
    const params = 'params' in answer ? Buffer.from(JSON.stringify(boxed(answer.params, 'value'))) : undefined;
    if (!('action' in answer)) return { statusCode, result: params ?? result };
    const came = budget.components-- > 0 ? await steps.component(answer.action, params ?? Buffer.from('{}')) : tooMany;
    next = 'state' in answer ? withState(came, boxed(answer.state, 'state')) : came;
  }
}

/** What is no dictionary is put into one, under the name that the platform gives it. */
function boxed(value: unknown, name: string): JsonObject {
  return isObject(value) ? value : { [name]: value };
}

function withState(result: Buffer, state: JsonObject): Buffer {
  const value: unknown = JSON.parse(result.toString());
  return Buffer.from(JSON.stringify({ ...boxed(value, 'value'), ...state }));
}
