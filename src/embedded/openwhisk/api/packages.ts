import { ApiError, forbidden, malformed, notFound, wrongCollection } from '../api-error.ts';
import {
  annotationOf,
  isBinding,
  isTruthy,
  mergeParameters,
  type Package,
  type Parameter,
  shown,
} from '../entities/entities.ts';
import { type EntityPath, entityId } from '../entities/names.ts';
import { checkOwner, resolvePackage } from '../entities/packages.ts';
import { nextVersion, parseCommon } from '../entities/parse.ts';
import { isObject } from '../json.ts';
import { type Answer, type Call, flag, json, paging, readJson } from './call.ts';
import type { Platform } from './platform.ts';

/** GET /packages: one's own, or what somebody else has published. */
export function listPackages({ store }: Platform, call: Call): Answer {
  const { limit, skip, count } = paging(call.query, 'packages');
  const own = call.namespace === call.caller.namespace;
  const packages = store
    .list('package', call.namespace)
    .filter((entity) => own || (entity.publish && !isBinding(entity)));
  if (count) return json({ packages: Math.max(0, packages.length - skip) });
  return json(
    packages.slice(skip, skip + limit).map(({ name, binding, updated, namespace, publish, annotations, version }) => {
      return { name, binding: 'name' in binding ? binding : false, updated, namespace, publish, annotations, version };
    }),
  );
}

/** GET /packages/NAME, with the actions and feeds in it */
export function getPackage({ store }: Platform, call: Call, path: EntityPath): Answer {
  const id = entityId(path);
  try {
    const { entity, container, parameters } = resolvePackage(store, call.caller, path.namespace, path.name);
    const contents = store.list('action', container);
    const isFeed = (action: (typeof contents)[number]) => isTruthy(annotationOf(action, 'feed'));
    const line = ({ annotations, name, version }: (typeof contents)[number]) => ({ annotations, name, version });
    const actions = contents.filter((action) => !isFeed(action)).map(line);
    return json({ ...shown(entity), parameters, actions, feeds: contents.filter(isFeed).map(line) });
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    throw new ApiError(404, `The requested resource '${id}' does not exist.`);
  }
}

/** PUT /packages/NAME: a package, or a binding to one */
export async function putPackage(platform: Platform, call: Call, path: EntityPath): Promise<Answer> {
  const { store } = platform;
  const id = entityId(path);
  checkOwner(call.caller, path.namespace, id);
  const overwrite = flag(call.query, 'overwrite');
  const { content, common } = parseCommon(await readJson(call.request));
  const givenBinding = content.binding === undefined ? undefined : parseBinding(content.binding, call.caller.namespace);
  if (path.name === 'default') throw new ApiError(400, "Package name 'default' is reserved.");

  const existing = store.get(id);
  if (existing && existing.entityType !== 'package') throw wrongCollection();
  if (existing && !overwrite) throw new ApiError(409, 'resource already exists');
  if (givenBinding) {
    checkBinding(platform, call, givenBinding);
    if (existing && !isBinding(existing)) {
      throw new ApiError(409, 'Resource is a package and cannot be converted into a binding.');
    }
  }
  const binding = givenBinding ?? existing?.binding ?? {};
  const stored = await store.put<Package>({
    _id: id,
    ...(existing?._rev ? { _rev: existing._rev } : {}),
    entityType: 'package',
    annotations: withBindingAnnotation(common.annotations ?? existing?.annotations ?? [], binding),
    binding,
    name: path.name,
    namespace: path.namespace,
    parameters: common.parameters ?? existing?.parameters ?? [],
    publish: common.publish ?? existing?.publish ?? false,
    updated: Date.now(),
    version: common.version ?? (existing ? nextVersion(existing.version) : '0.0.1'),
  });
  return json(shown(stored));
}

/** DELETE /packages/NAME: an empty one, or with `force=true` all that is in it */
export async function deletePackage({ store }: Platform, call: Call, path: EntityPath): Promise<Answer> {
  const id = entityId(path);
  checkOwner(call.caller, path.namespace, id);
  const force = flag(call.query, 'force');
  const existing = store.get(id);
  if (!existing) throw notFound();
  if (existing.entityType !== 'package') throw wrongCollection();
  const contents = store.list('action', id);
  if (contents.length > 0 && !force) {
    const amount = contents.length === 1 ? '1 entity' : `${contents.length} entities`;
    throw new ApiError(409, `Package not empty (contains ${amount}). Set force param or delete package contents.`);
  }
  for (const action of contents) await store.remove(action);
  await store.remove(existing);
  return json(shown(existing));
}

/** `{}` is no binding. @throws ApiError 400 */
function parseBinding(value: unknown, callerNamespace: string): { namespace: string; name: string } | undefined {
  if (!isObject(value)) throw malformed("Object expected in field 'namespace'");
  if (Object.keys(value).length === 0) return undefined;
  for (const member of ['namespace', 'name']) {
    if (typeof value[member] !== 'string') throw malformed(`Object is missing required member '${member}'`);
  }
  const { namespace, name } = value as { namespace: string; name: string };
  return { name, namespace: namespace === '_' ? callerNamespace : namespace };
}

function checkBinding(
  { store }: Platform,
  { caller }: Call,
  { namespace, name }: { namespace: string; name: string },
): void {
  const target = store.get(`${namespace}/${name}`);
  const shared = target?.entityType === 'package' && target.publish;
  if (namespace !== caller.namespace && !shared) throw forbidden(`${namespace}/${name}`);
  if (!target) throw new ApiError(400, 'Binding references a package that does not exist.');
  if (target.entityType !== 'package') throw new ApiError(409, 'Cannot bind to a resource that is not a package.');
  if (isBinding(target)) throw new ApiError(400, 'Cannot bind to another package binding.');
}

function withBindingAnnotation(annotations: readonly Parameter[], binding: Package['binding']): readonly Parameter[] {
  return 'name' in binding ? mergeParameters(annotations, [{ key: 'binding', value: binding }]) : annotations;
}
