import { ApiError, malformed, notFound, wrongCollection } from '../api-error.ts';
import {
  type EntityType,
  type Reference,
  type Rule,
  type RuleStatus,
  referenceId,
  shown,
  type Trigger,
} from '../entities/entities.ts';
import type { EntityStore } from '../entities/entity-store.ts';
import { containerOf, type EntityPath, entityId, parseQualifiedName, pathOf } from '../entities/names.ts';
import { checkOwner, type Identity, resolvePackage } from '../entities/packages.ts';
import { nextVersion, parseCommon } from '../entities/parse.ts';
import { isObject } from '../json.ts';
import { type Answer, type Call, flag, json, paging, readJson } from './call.ts';
import type { Platform } from './platform.ts';

/** How often a change of a trigger's rules is repeated when somebody else changes that trigger at the same time. */
const LINK_ATTEMPTS = 5;

/** GET /rules (lists show no status) */
export function listRules({ store }: Platform, call: Call): Answer {
  checkOwner(call.caller, call.namespace);
  const { limit, skip, count } = paging(call.query, 'rules');
  const rules = store.list('rule', call.namespace);
  if (count) return json({ rules: Math.max(0, rules.length - skip) });
  return json(rules.slice(skip, skip + limit).map(shown));
}

/** GET /rules/NAME */
export function getRule({ store }: Platform, call: Call, path: EntityPath): Answer {
  const rule = ruleAt(store, call.caller, path);
  return json(withStatus(rule, statusOf(store, rule)));
}

/** PUT /rules/NAME: a new rule is active, an updated one keeps its status */
export async function putRule({ store }: Platform, call: Call, path: EntityPath): Promise<Answer> {
  const id = entityId(path);
  checkOwner(call.caller, path.namespace, id);
  const overwrite = flag(call.query, 'overwrite');
  const { content, common } = parseCommon(await readJson(call.request));
  const { namespace } = call.caller;
  const givenTrigger = content.trigger == null ? undefined : parseQualifiedName(content.trigger, namespace);
  const givenAction = content.action == null ? undefined : parseQualifiedName(content.action, namespace);
  const existing = store.get(id);
  if (existing && existing.entityType !== 'rule') throw wrongCollection();
  if (existing && !overwrite) throw new ApiError(409, 'resource already exists');
  const triggerPath = givenTrigger ?? (existing && pathOf(referenceId(existing.trigger)));
  const actionPath = givenAction ?? (existing && pathOf(referenceId(existing.action)));
  if (!triggerPath || !actionPath) throw new ApiError(400, 'rule requires a valid trigger and a valid action');
  checkOwner(call.caller, triggerPath.namespace, entityId(triggerPath));
  checkUsable(store, call.caller, triggerPath, actionPath);

  const status = existing ? statusOf(store, existing) : 'active';
  const rule = await store.put<Rule>({
    _id: id,
    ...(existing?._rev ? { _rev: existing._rev } : {}),
    entityType: 'rule',
    action: referenceTo(actionPath),
    annotations: common.annotations ?? existing?.annotations ?? [],
    name: path.name,
    namespace: path.namespace,
    publish: common.publish ?? existing?.publish ?? false,
    trigger: referenceTo(triggerPath),
    updated: Date.now(),
    version: common.version ?? (existing ? nextVersion(existing.version) : '0.0.1'),
  });
  if (existing && referenceId(existing.trigger) !== referenceId(rule.trigger)) await unlink(store, existing);
  await link(store, rule, status);
  return json(withStatus(rule, status));
}

/** POST /rules/NAME {"status": "active" | "inactive"} */
export async function setRuleStatus({ store }: Platform, call: Call, path: EntityPath): Promise<Answer> {
  checkOwner(call.caller, path.namespace, entityId(path));
  const status = parseStatus(await readJson(call.request));
  const rule = ruleAt(store, call.caller, path);
  if (statusOf(store, rule) !== status && !(await link(store, rule, status)) && status === 'active') {
    throw new ApiError(404, 'Only rules with existing triggers can be activated');
  }
  return { status: 200, body: 'OK', contentType: 'text/plain; charset=UTF-8' };
}

/** DELETE /rules/NAME */
export async function deleteRule({ store }: Platform, call: Call, path: EntityPath): Promise<Answer> {
  const rule = ruleAt(store, call.caller, path);
  await unlink(store, rule);
  await store.remove(rule);
  return json(withStatus(rule, 'inactive'));
}

function ruleAt(store: EntityStore, caller: Identity, path: EntityPath): Rule {
  checkOwner(caller, path.namespace, entityId(path));
  const entity = store.get(entityId(path));
  if (!entity) throw notFound();
  if (entity.entityType !== 'rule') throw wrongCollection();
  return entity;
}

/** The trigger knows; without it, or if it does not know the rule, the rule is inactive. */
function statusOf(store: EntityStore, rule: Rule): RuleStatus {
  const trigger = store.get(referenceId(rule.trigger));
  return (trigger?.entityType === 'trigger' ? trigger.rules?.[rule._id]?.status : undefined) ?? 'inactive';
}

function withStatus(rule: Rule, status: RuleStatus) {
  return { ...shown(rule), status };
}

function parseStatus(body: unknown): RuleStatus {
  if (!isObject(body)) throw malformed(described(body));
  const { status } = body;
  if (status === undefined) throw malformed('key not found: status');
  if (typeof status !== 'string') throw malformed(described(status));
  if (status !== 'active' && status !== 'inactive') {
    throw malformed(`requirement failed: ${status} is not a recognized rule state`);
  }
  return status;
}

/** A value of the wrong type in OpenWhisk's words, which are those of its JSON library. */
function described(value: unknown): string {
  const type = value === null ? 'Null' : Array.isArray(value) ? 'Array' : typeof value;
  const name = `Js${type[0]!.toUpperCase()}${type.slice(1)}`;
  return `${JSON.stringify(value)} (of class spray.json.${name}${value === null ? '$' : ''})`;
}

/** The class names in this text are OpenWhisk's; scripts that look for it find it. */
function wrongType(is: EntityType, expected: 'WhiskTrigger' | 'WhiskActionMetaData'): ApiError {
  const classes = 'org.apache.openwhisk.core.entity.';
  const name = `Whisk${is[0]!.toUpperCase()}${is.slice(1)}`;
  return new ApiError(
    400,
    `document type class ${classes}${name} did not match expected type class ${classes}${expected}.`,
  );
}

function checkUsable(store: EntityStore, caller: Identity, triggerPath: EntityPath, actionPath: EntityPath): void {
  const triggerId = entityId(triggerPath);
  const trigger = store.get(triggerId);
  if (!trigger) throw new ApiError(400, `trigger /${triggerId} does not exist`);
  if (trigger.entityType !== 'trigger') throw wrongType(trigger.entityType, 'WhiskTrigger');
  let container = containerOf(actionPath);
  if (actionPath.package === undefined) checkOwner(caller, actionPath.namespace, entityId(actionPath));
  else container = resolvePackage(store, caller, actionPath.namespace, actionPath.package).container;
  const action = store.get(`${container}/${actionPath.name}`);
  if (!action) throw new ApiError(400, `action /${entityId(actionPath)} does not exist`);
  if (action.entityType !== 'action') throw wrongType(action.entityType, 'WhiskActionMetaData');
}

function referenceTo(path: EntityPath): Reference {
  return { name: path.name, path: containerOf(path) };
}

/** Enters the rule, with its status, in its trigger. False if there is no such trigger. */
function link(store: EntityStore, rule: Rule, status: RuleStatus): Promise<boolean> {
  return changeRules(store, referenceId(rule.trigger), (rules) => ({
    ...rules,
    [rule._id]: { action: rule.action, status },
  }));
}

function unlink(store: EntityStore, rule: Rule): Promise<boolean> {
  return changeRules(store, referenceId(rule.trigger), ({ [rule._id]: _, ...others }) => others);
}

type Links = NonNullable<Trigger['rules']>;

/** A trigger's rules are not its owner's content: its version and time stay, and a conflict is nobody's to see. */
async function changeRules(store: EntityStore, triggerId: string, change: (rules: Links) => Links): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    const trigger = store.get(triggerId);
    if (trigger?.entityType !== 'trigger') return false;
    try {
      await store.put({ ...trigger, rules: change(trigger.rules ?? {}) });
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 409 || attempt === LINK_ATTEMPTS) throw error;
    }
  }
}
