import type { Logger } from 'pino';
import { ApiError, parametersNotAllowed } from '../api-error.ts';
import {
  type Action,
  annotationOf,
  argumentsOf,
  type Exec,
  isConductor,
  isSequence,
  isTruthy,
  type Parameter,
} from '../entities/entities.ts';
import type { EntityStore } from '../entities/entity-store.ts';
import { parseQualifiedName } from '../entities/names.ts';
import { type Identity, type ResolvedAction, resolveAction } from '../entities/packages.ts';
import { type JsonObject, withDefaults } from '../json.ts';
import type { Throttle } from '../throttle.ts';
import { type Activation, newActivationId, type StatusCode } from './activation.ts';
import type { ActivationStore } from './activation-store.ts';
import { type CompositionBudget, compose, compositionBudget } from './composition.ts';
import { errorResult, initOutcome, type Outcome, runOutcome } from './outcome.ts';
import type { Lease, RuntimePool } from './runtime-pool.ts';
import type { RuntimeProgram } from './runtime-process.ts';

const MEGABYTE = 1_048_576;

/** The arguments of a call: a JSON object (or, inside a sequence, an array), as it came. */
export type Payload = Buffer;

/** One call of an action. */
export interface Invocation {
  readonly caller: Identity;
  readonly target: ResolvedAction;
  readonly payload: Payload;
  /** Members that the payload overrides: what a trigger adds. */
  readonly defaults?: JsonObject;
  readonly transactionId: string;
  /** The activation of the sequence or composition that this is a part of. */
  readonly cause?: string;
  /** What the composition that this is a part of may still run. */
  readonly budget?: CompositionBudget;
  /** A conductor's run inside its composition, as the plain action that it also is. */
  readonly isConducting?: true;
}

/** What a sequence or composition has run so far. */
interface Parts {
  readonly start: number;
  readonly ids: string[];
  duration: number;
  memory: number;
}

/** A call that has begun: its id is known at once, what came of it when `done` resolves (and the record is stored). */
export interface Running {
  readonly activationId: string;
  readonly done: Promise<Activation>;
}

/** Runs actions and sequences, and records what came of them. */
export class Invoker {
  readonly #store: EntityStore;
  readonly #activations: ActivationStore;
  readonly #pool: RuntimePool;
  readonly #throttle: Throttle;
  readonly #sequenceLength: number;
  readonly #programOf: (action: Action) => RuntimeProgram | undefined;
  readonly #log: Logger;
  readonly #running = new Set<Promise<unknown>>();

  constructor(parts: {
    readonly store: EntityStore;
    readonly activations: ActivationStore;
    readonly pool: RuntimePool;
    readonly throttle: Throttle;
    /** How many actions a composition may run. */
    readonly sequenceLength: number;
    /** The program for an action's code, if this host has one. */
    readonly programOf: (action: Action) => RuntimeProgram | undefined;
    readonly log: Logger;
  }) {
    this.#store = parts.store;
    this.#activations = parts.activations;
    this.#pool = parts.pool;
    this.#throttle = parts.throttle;
    this.#sequenceLength = parts.sequenceLength;
    this.#programOf = parts.programOf;
    this.#log = parts.log;
  }

  /**
   * Begins a call that a user, a rule or a web request made.
   * @param given the arguments that were given, for the check of those that the action has made final
   * @throws ApiError 400
   */
  invoke(invocation: Invocation, given: JsonObject): Running {
    const { action } = invocation.target;
    if (isTruthy(annotationOf(action, 'final')) && invocation.target.parameters.some(({ key }) => key in given)) {
      throw parametersNotAllowed();
    }
    const running = this.#begin(invocation);
    this.#throttle.inFlight(invocation.caller.namespace, invocation.payload.length, running.done);
    return running;
  }

  /** Waits for what runs. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#running]);
  }

  #begin(invocation: Invocation): Running {
    const activationId = newActivationId();
    const { action } = invocation.target;
    let done: Promise<Activation>;
    if (isSequence(action.exec)) done = this.#runSequence(activationId, invocation, action.exec.components);
    else if (isConductor(action) && !invocation.isConducting) done = this.#runComposition(activationId, invocation);
    else done = this.#runAction(activationId, invocation, action.exec);
    const tracked = done.catch((error: unknown) => this.#log.error({ err: error }, 'OpenWhisk: an invocation failed'));
    this.#running.add(tracked);
    void tracked.then(() => this.#running.delete(tracked));
    return { activationId, done };
  }

  async #runAction(activationId: string, invocation: Invocation, exec: Exec): Promise<Activation> {
    const { action } = invocation.target;
    const arrived = Date.now();
    const program = this.#programOf(action);
    if (!program) {
      const image = 'image' in exec ? exec.image : exec.kind;
      return this.#notRun(activationId, invocation, 2, `Failed to pull container image '${image}'.`);
    }
    const key = `${invocation.caller.namespace} ${action._id} ${action._rev}`;
    const lease = await this.#pool.acquire({ key, program, concurrency: action.limits.concurrency });
    if (!lease) {
      return this.#notRun(activationId, invocation, 3, 'The platform was stopped before the action was run.');
    }
    const start = Date.now();
    lease.process.logs.begin(action.limits.logs * MEGABYTE);
    let initTime: number | undefined;
    let outcome: Outcome | undefined;
    if (!lease.warm) {
      outcome = await this.#init(lease, activationId, invocation);
      initTime = Date.now() - start;
      if (!outcome) this.#pool.initialized(lease);
    }
    outcome ??= await this.#run(lease, activationId, invocation);
    const end = Date.now();
    const failed = outcome.statusCode >= 2;
    const logs = await lease.process.logs.end({ failed });
    this.#pool.release(lease, { keep: !failed });

    const { timedOut = false, ...response } = outcome;
    const annotations = annotationsOf(invocation, { waitTime: start - arrived, timedOut, initTime });
    const times = { start, end, duration: end - start };
    return this.#record(activationId, invocation, { ...response, ...times, annotations, logs });
  }

  /** Records a call for which there was no process. */
  #notRun(activationId: string, invocation: Invocation, statusCode: StatusCode, error: string): Activation {
    const now = Date.now();
    const annotations = annotationsOf(invocation, { waitTime: 0, timedOut: false });
    const response = { statusCode, result: errorResult(error) };
    return this.#record(activationId, invocation, {
      ...response,
      start: now,
      end: now,
      duration: 0,
      annotations,
      logs: [],
    });
  }

  /** Hands the code to a new process; an outcome only if that failed. */
  async #init(lease: Lease, activationId: string, invocation: Invocation): Promise<Outcome | undefined> {
    const { action, parameters } = invocation.target;
    const { exec, limits } = action;
    if (!('code' in exec) && exec.kind !== 'blackbox') throw new Error(`${action._id} has no code`);
    const env: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(contextOf(activationId, invocation)))
      env[`__OW_${name.toUpperCase()}`] = value;
    for (const { key, value, init } of parameters) {
      if (init) env[key] = typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value);
    }
    const value = { name: action.name, main: 'main', code: '', ...exec, env };
    const message = Buffer.from(JSON.stringify({ value }));
    const memoryBytes = limits.memory * MEGABYTE;
    const came = await lease.process.init([message], { timeoutMs: limits.timeout, memoryBytes });
    return initOutcome(came, limits.timeout);
  }

  async #run(lease: Lease, activationId: string, invocation: Invocation): Promise<Outcome> {
    const { action, parameters } = invocation.target;
    const isArray = invocation.payload[0] === 0x5b;
    const defaults = { ...argumentsOf(parameters), ...invocation.defaults };
    const value = isArray ? [invocation.payload] : withDefaults(defaults, invocation.payload);
    const context = JSON.stringify(contextOf(activationId, invocation));
    const message = [Buffer.from('{"value":'), ...value, Buffer.from(`,${context.slice(1)}`)];
    const came = await lease.process.run(message, action.limits.timeout);
    return runOutcome(came, action.limits.timeout);
  }

  /** One component after the other, each with the result of the one before, until one fails. */
  async #runSequence(activationId: string, invocation: Invocation, components: readonly string[]): Promise<Activation> {
    const { caller, payload, defaults } = invocation;
    const parts = newParts();
    let last: Pick<Activation, 'statusCode' | 'result' | 'size'> = { statusCode: 0, result: payload };
    for (const component of components) {
      let target: ResolvedAction;
      try {
        target = resolveAction(this.#store, caller, parseQualifiedName(component, caller.namespace));
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        last = { statusCode: 1, result: errorResult('Sequence component does not exist.') };
        break;
      }
      const first = parts.ids.length === 0 && defaults ? { defaults } : {};
      last = await this.#runPart(parts, activationId, invocation, { target, payload: last.result, ...first });
      if (last.statusCode !== 0) break;
    }
    const { statusCode, result, size } = last;
    const response = { statusCode, result, ...(size === undefined ? {} : { size }) };
    return this.#recordParts(activationId, invocation, parts, response);
  }

  /** The conductor and what it names, in turns. */
  async #runComposition(activationId: string, invocation: Invocation): Promise<Activation> {
    const { caller, target, payload, defaults } = invocation;
    const budget = invocation.budget ?? compositionBudget(this.#sequenceLength);
    const parts = newParts();
    const response = await compose(payload, budget, {
      conductor: (payload) => {
        const first = parts.ids.length === 0 && defaults ? { defaults } : {};
        return this.#runPart(parts, activationId, invocation, { target, payload, isConducting: true, ...first });
      },
      component: async (name, payload) => {
        if (typeof name !== 'string') {
          return errorResult(`Failed to parse action name from json value ${JSON.stringify(name)} during composition.`);
        }
        let target: ResolvedAction;
        try {
          const path = parseQualifiedName(name.startsWith('/') ? name : `/_/${name}`, caller.namespace);
          target = resolveAction(this.#store, caller, path);
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          return errorResult(`Failed to resolve action with name '${name}' during composition.`);
        }
        return (await this.#runPart(parts, activationId, invocation, { target, payload, budget })).result;
      },
    });
    return this.#recordParts(activationId, invocation, parts, response, [{ key: 'conductor', value: true }]);
  }

  async #runPart(
    parts: Parts,
    cause: string,
    { caller, transactionId, budget }: Invocation,
    part: Omit<Invocation, 'caller' | 'transactionId' | 'cause'>,
  ): Promise<Activation> {
    const run = this.#begin({ caller, transactionId, cause, ...(budget && { budget }), ...part });
    parts.ids.push(run.activationId);
    const activation = await run.done;
    parts.duration += activation.duration ?? 0;
    parts.memory = Math.max(parts.memory, part.target.action.limits.memory);
    return activation;
  }

  #recordParts(
    activationId: string,
    invocation: Invocation,
    { start, ids, duration, memory }: Parts,
    response: Pick<Activation, 'statusCode' | 'result' | 'size'>,
    special: readonly Parameter[] = [],
  ): Activation {
    const { action } = invocation.target;
    const annotations: Parameter[] = [
      ...(invocation.cause ? [] : [{ key: 'topmost', value: true }]),
      ...originOf(invocation),
      { key: 'path', value: action._id },
      { key: 'waitTime', value: 0 },
      ...special,
      { key: 'kind', value: 'sequence' },
      { key: 'limits', value: { ...action.limits, memory: memory || action.limits.memory } },
    ];
    const rest = { start, end: Date.now(), duration, annotations, logs: ids };
    return this.#record(activationId, invocation, { ...response, ...rest });
  }

  #record(
    activationId: string,
    { caller, target: { action }, cause }: Invocation,
    rest: Pick<Activation, 'statusCode' | 'result' | 'size' | 'start' | 'end' | 'duration' | 'annotations' | 'logs'>,
  ): Activation {
    const activation: Activation = {
      activationId,
      namespace: caller.namespace,
      name: action.name,
      path: action._id.slice(action._id.indexOf('/') + 1),
      subject: caller.namespace,
      version: action.version,
      ...(cause ? { cause } : {}),
      ...rest,
    };
    this.#activations.add(activation);
    return activation;
  }
}

function newParts(): Parts {
  return { start: Date.now(), ids: [], duration: 0, memory: 0 };
}

/** The annotations that say how an action came to be run. */
function originOf({ cause, target }: Invocation): Parameter[] {
  return [
    ...(cause ? [{ key: 'causedBy', value: 'sequence' }] : []),
    ...(target.binding ? [{ key: 'binding', value: target.binding }] : []),
  ];
}

function annotationsOf(
  invocation: Invocation,
  run: { waitTime: number; timedOut: boolean; initTime?: number | undefined },
): Parameter[] {
  const { action } = invocation.target;
  return [
    ...originOf(invocation),
    { key: 'path', value: action._id },
    { key: 'waitTime', value: run.waitTime },
    { key: 'kind', value: action.exec.kind },
    { key: 'timeout', value: run.timedOut },
    { key: 'limits', value: action.limits },
    ...(run.initTime === undefined ? [] : [{ key: 'initTime', value: run.initTime }]),
  ];
}

/** What a runtime is told of the call, as members of /run and, in capitals, as environment. */
function contextOf(activationId: string, { caller, target, transactionId }: Invocation): Record<string, string> {
  const { action } = target;
  return {
    namespace: caller.namespace,
    action_name: `/${action._id}`,
    action_version: action.version,
    activation_id: activationId,
    transaction_id: transactionId,
    deadline: String(Date.now() + action.limits.timeout),
    ...(isTruthy(annotationOf(action, 'provide-api-key')) ? { api_key: caller.authKey } : {}),
  };
}
