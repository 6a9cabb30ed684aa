import { ApiError, malformedQuery, notFound, wrongCollection } from '../api-error.ts';
import {
  type Action,
  annotationOf,
  type Exec,
  isConductor,
  isSequence,
  mergeParameters,
  type Parameter,
  shown,
} from '../entities/entities.ts';
import type { EntityStore } from '../entities/entity-store.ts';
import { containerOf, type EntityPath, entityId, parseQualifiedName } from '../entities/names.ts';
import { checkOwner, type Identity, resolveAction, resolvePackage, writablePackage } from '../entities/packages.ts';
import { checkCodeSize, checkLimits, nextVersion, parseCommon, parseExec, parseLimits } from '../entities/parse.ts';
import { recordJson } from '../invocation/activation.ts';
import type { Running } from '../invocation/invoker.ts';
import { MAX_BLOCKING_WAIT_MS } from '../limits.ts';
import { type Answer, type Call, flag, json, paging, readArguments, readJson } from './call.ts';
import type { Platform } from './platform.ts';

/** GET /actions[/PACKAGE/] */
export function listActions({ store }: Platform, call: Call, packageName: string | undefined): Answer {
  let container = call.namespace;
  if (packageName === undefined) checkOwner(call.caller, call.namespace);
  else container = resolvePackage(store, call.caller, call.namespace, packageName).container;
  const { limit, skip, count } = paging(call.query, 'actions');
  const actions = store.list('action', container);
  if (count) return json({ actions: Math.max(0, actions.length - skip) });
  return json(actions.slice(skip, skip + limit).map(summary));
}

/** GET /actions/[PACKAGE/]NAME */
export function getAction({ store }: Platform, call: Call, path: EntityPath): Answer {
  const withCode = flag(call.query, 'code', true);
  const { action, parameters } = resolveAction(store, call.caller, path);
  const answer = { ...shown(action), parameters };
  if (withCode || !('code' in action.exec)) return json(answer);
  const { code, ...exec } = action.exec;
  return json({ ...answer, exec });
}

/** PUT /actions/[PACKAGE/]NAME */
export async function putAction(platform: Platform, call: Call, path: EntityPath): Promise<Answer> {
  const { store, kinds, limits: allowed } = platform;
  const id = entityId(path);
  checkOwner(call.caller, path.namespace, id);
  const overwrite = flag(call.query, 'overwrite');
  const { content, common } = parseCommon(await readJson(call.request));
  const givenExec = content.exec == null ? undefined : parseExec(content.exec, kinds, call.caller.namespace);
  const givenLimits = content.limits == null ? {} : parseLimits(content.limits);
  const removed = Array.isArray(content.delAnnotations) ? content.delAnnotations : [];

  if (path.package !== undefined) writablePackage(store, `${path.namespace}/${path.package}`);
  const existing = store.get(id);
  if (existing && existing.entityType !== 'action') throw wrongCollection();
  if (existing && !overwrite) throw new ApiError(409, 'resource already exists');
  const exec = givenExec ?? existing?.exec;
  if (!exec) throw new ApiError(400, 'exec undefined');
  checkCodeSize(exec);
  checkLimits(givenLimits, allowed);
  if (givenExec && isSequence(givenExec)) checkSequence(platform, call.caller, id, givenExec.components);

  const defaults = {
    concurrency: 1,
    logs: allowed.logs.default,
    memory: allowed.memory.default,
    timeout: allowed.timeout.default,
  };
  const merged = mergeParameters(existing?.annotations ?? [], common.annotations ?? []);
  const annotations = merged.filter(({ key }) => !removed.includes(key));
  const stored = await store.put<Action>({
    _id: id,
    ...(existing?._rev ? { _rev: existing._rev } : {}),
    entityType: 'action',
    annotations: withSystemAnnotations(annotations, exec, existing === undefined),
    exec,
    limits: { ...(existing?.limits ?? defaults), ...givenLimits },
    name: path.name,
    namespace: containerOf(path),
    parameters: parametersOf(exec, givenExec, common.parameters, existing),
    publish: common.publish ?? existing?.publish ?? false,
    updated: Date.now(),
    version: common.version ?? (existing ? nextVersion(existing.version) : '0.0.1'),
  });
  return json(shown(stored));
}

/** DELETE /actions/[PACKAGE/]NAME */
export async function deleteAction({ store }: Platform, call: Call, path: EntityPath): Promise<Answer> {
  const id = entityId(path);
  checkOwner(call.caller, path.namespace, id);
  if (path.package !== undefined) writablePackage(store, `${path.namespace}/${path.package}`);
  const existing = store.get(id);
  if (!existing) throw notFound();
  if (existing.entityType !== 'action') throw wrongCollection();
  await store.remove(existing);
  return json(shown(existing));
}

/** POST /actions/[PACKAGE/]NAME: 202 at once, or with `blocking=true` what came of it. */
export async function invokeAction(platform: Platform, call: Call, path: EntityPath): Promise<Answer> {
  const blocking = flag(call.query, 'blocking');
  const resultOnly = flag(call.query, 'result');
  const wait = waitOf(call.query);
  platform.throttle.invoke(call.caller.namespace);
  const { object, bytes } = await readArguments(call.request);
  const target = resolveAction(platform.store, call.caller, path);
  const { caller, transactionId } = call;
  const running = platform.invoker.invoke({ caller, target, payload: bytes, transactionId }, object);
  const accepted = { ...json({ activationId: running.activationId }, 202), activationId: running.activationId };
  if (!blocking) return accepted;
  const activation = await within(running, wait);
  if (!activation) return accepted;
  const { activationId, statusCode, result } = activation;
  const status = statusCode === 0 ? 200 : statusCode === 3 ? 500 : 502;
  const isArray = statusCode === 0 && result[0] === 0x5b;
  // What a sequence or composition lists as logs are its parts, which are known by now.
  const hasParts = isSequence(target.action.exec) || isConductor(target.action);
  const body = resultOnly || isArray ? result : recordJson(activation, hasParts ? activation.logs : []);
  return { status, body, activationId };
}

/** What a call came to, or undefined when it is not over in time. */
export async function within(running: Running, waitMs: number): ReturnType<typeof race> {
  return race(running, waitMs);
}

async function race({ done }: Running, waitMs: number) {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, waitMs, undefined);
  });
  try {
    return await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}

function waitOf(query: URLSearchParams): number {
  const given = query.get('timeout');
  if (given === null) return MAX_BLOCKING_WAIT_MS;
  const wait = /^\d+$/.test(given) ? Number(given) : 0;
  if (wait < 1 || wait > MAX_BLOCKING_WAIT_MS) {
    throw malformedQuery('timeout', `Timeout must be number of milliseconds up to ${MAX_BLOCKING_WAIT_MS}.`);
  }
  return wait;
}

function summary({ name, updated, exec, limits, namespace, publish, annotations, version }: Action) {
  const binary = 'binary' in exec ? exec.binary : false;
  return { name, updated, exec: { binary }, limits, namespace, publish, annotations, version };
}

/** Every action says which kind it is; a new one also that it gets no API key, unless its maker said otherwise. */
function withSystemAnnotations(annotations: Parameter[], exec: Exec, isNew: boolean): Parameter[] {
  const apiKey = isNew && annotationOf({ annotations }, 'provide-api-key') === undefined;
  const system: Parameter[] = [
    ...(apiKey ? [{ key: 'provide-api-key', value: false }] : []),
    { key: 'exec', value: exec.kind },
  ];
  return mergeParameters(annotations, system);
}

/** A sequence's parameters are its components and nothing else. */
function parametersOf(
  exec: Exec,
  givenExec: Exec | undefined,
  given: readonly Parameter[] | undefined,
  existing: Action | undefined,
): readonly Parameter[] {
  if (isSequence(exec)) return [{ key: '_actions', value: exec.components }];
  const wasSequence = givenExec !== undefined && existing !== undefined && isSequence(existing.exec);
  return given ?? (wasSequence ? [] : (existing?.parameters ?? []));
}

/** @throws ApiError unless the components exist, may be used, and do not lead back to the sequence */
function checkSequence({ store, limits }: Platform, caller: Identity, id: string, components: readonly string[]): void {
  if (components.length === 0) throw new ApiError(400, 'No component specified for the sequence.');
  if (components.length > limits.sequenceLength) throw new ApiError(400, 'Too many actions in the sequence.');
  let atoms = 0;
  const visit = (component: string) => {
    const path = parseQualifiedName(component, caller.namespace);
    if (entityId(path) === id) throw new ApiError(400, 'Sequence may not refer to itself.');
    const { action } = findComponent(store, caller, path);
    if (isSequence(action.exec)) {
      if (action._id === id) throw new ApiError(400, 'Sequence may not refer to itself.');
      action.exec.components.forEach(visit);
    } else if (++atoms > limits.sequenceLength) throw new ApiError(400, 'Too many actions in the sequence.');
  };
  components.forEach(visit);
}

function findComponent(store: EntityStore, caller: Identity, path: EntityPath) {
  if (path.package !== undefined) resolvePackage(store, caller, path.namespace, path.package);
  try {
    return resolveAction(store, caller, path);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404)
      throw new ApiError(400, 'Sequence component does not exist.');
    throw error;
  }
}
