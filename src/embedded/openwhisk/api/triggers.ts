import { ApiError, notFound, wrongCollection } from '../api-error.ts';
import { argumentsOf, referenceId, shown, type Trigger } from '../entities/entities.ts';
import { type EntityPath, entityId, isName, pathOf } from '../entities/names.ts';
import { checkOwner, resolveAction } from '../entities/packages.ts';
import { nextVersion, parseCommon } from '../entities/parse.ts';
import { newActivationId } from '../invocation/activation.ts';
import type { JsonObject } from '../json.ts';
import { headersForAction } from './authentication.ts';
import { type Answer, type Call, flag, json, paging, readArguments, readJson } from './call.ts';
import type { Platform } from './platform.ts';

/** GET /triggers */
export function listTriggers({ store }: Platform, call: Call): Answer {
  checkOwner(call.caller, call.namespace);
  const { limit, skip, count } = paging(call.query, 'triggers');
  const triggers = store.list('trigger', call.namespace);
  if (count) return json({ triggers: Math.max(0, triggers.length - skip) });
  return json(
    triggers.slice(skip, skip + limit).map(({ name, updated, namespace, publish, annotations, version }) => {
      return { name, updated, namespace, publish, annotations, version };
    }),
  );
}

/** GET /triggers/NAME */
export function getTrigger(platform: Platform, call: Call, path: EntityPath): Answer {
  return json(shown(triggerAt(platform, call, path)));
}

/** PUT /triggers/NAME: the rules on it stay */
export async function putTrigger({ store }: Platform, call: Call, path: EntityPath): Promise<Answer> {
  const id = entityId(path);
  checkOwner(call.caller, path.namespace, id);
  const overwrite = flag(call.query, 'overwrite');
  const { common } = parseCommon(await readJson(call.request));
  const feed = common.annotations?.find(({ key }) => key === 'feed');
  if (feed && !isFeedName(feed.value)) throw new ApiError(400, 'Feed name is not valid');
  const existing = store.get(id);
  if (existing && existing.entityType !== 'trigger') throw wrongCollection();
  if (existing && !overwrite) throw new ApiError(409, 'resource already exists');
  const stored = await store.put<Trigger>({
    _id: id,
    ...(existing?._rev ? { _rev: existing._rev } : {}),
    entityType: 'trigger',
    annotations: common.annotations ?? existing?.annotations ?? [],
    limits: {},
    name: path.name,
    namespace: path.namespace,
    parameters: common.parameters ?? existing?.parameters ?? [],
    publish: common.publish ?? existing?.publish ?? false,
    ...(existing?.rules ? { rules: existing.rules } : {}),
    updated: Date.now(),
    version: common.version ?? (existing ? nextVersion(existing.version) : '0.0.1'),
  });
  return json(shown(stored));
}

/** DELETE /triggers/NAME: its rules stay, inactive */
export async function deleteTrigger(platform: Platform, call: Call, path: EntityPath): Promise<Answer> {
  const existing = triggerAt(platform, call, path);
  await platform.store.remove(existing);
  return json(shown(existing));
}

/** POST /triggers/NAME: 204 where no rule is active (nothing happens), else 202, and the active rules' actions are run, the newest rule first. */
export async function fireTrigger(platform: Platform, call: Call, path: EntityPath): Promise<Answer> {
  checkOwner(call.caller, path.namespace, entityId(path));
  platform.throttle.fire(call.caller.namespace);
  const { object, bytes } = await readArguments(call.request);
  const trigger = triggerAt(platform, call, path);
  const rules = Object.entries(trigger.rules ?? {}).reverse();
  if (!rules.some(([, { status }]) => status === 'active')) return { status: 204 };

  const activationId = newActivationId();
  const start = Date.now();
  const { 'content-type': _, ...headers } = headersForAction(call.request);
  const defaults = { ...argumentsOf(trigger.parameters), __ow_headers: headers };
  const logs = rules.map(([rule, link]) => {
    const action = referenceId(link.action);
    const refused = (error: string) => JSON.stringify({ statusCode: 1, success: false, rule, error, action });
    if (link.status === 'inactive') return refused(`Rule '${rule}' is inactive, action '${action}' was not activated.`);
    try {
      const run = invokeByRule(platform, call, action, { object, bytes, defaults });
      return JSON.stringify({ statusCode: 0, success: true, activationId: run, rule, action });
    } catch (error) {
      if (error instanceof ApiError) return refused(error.message);
      throw error;
    }
  });
  platform.activations.add({
    activationId,
    namespace: call.caller.namespace,
    name: trigger.name,
    path: trigger.name,
    subject: call.caller.namespace,
    version: trigger.version,
    annotations: [],
    start,
    statusCode: 0,
    result: bytes,
    logs,
  });
  return { ...json({ activationId }, 202), activationId };
}

/** Begins the action of one rule, as its own (throttled) invocation, and returns its activation's id. @throws ApiError */
function invokeByRule(
  { store, invoker, throttle }: Platform,
  { caller, transactionId }: Call,
  action: string,
  given: { object: JsonObject; bytes: Buffer; defaults: JsonObject },
): string {
  throttle.invoke(caller.namespace);
  const target = resolveAction(store, caller, pathOf(action));
  const invocation = { caller, target, payload: given.bytes, defaults: given.defaults, transactionId };
  return invoker.invoke(invocation, { ...given.defaults, ...given.object }).activationId;
}

function triggerAt({ store }: Platform, call: Call, path: EntityPath): Trigger {
  const id = entityId(path);
  checkOwner(call.caller, path.namespace, id);
  const entity = store.get(id);
  if (!entity) throw notFound();
  if (entity.entityType !== 'trigger') throw wrongCollection();
  return entity;
}

function isFeedName(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  const parts = value.replace(/^\//, '').split('/');
  return parts.length <= 3 && parts.every(isName);
}
