import { ApiError, forbidden, notFound, wrongCollection } from '../api-error.ts';
import { type Action, isBinding, mergeParameters, type Package, type Parameter } from './entities.ts';
import type { EntityStore } from './entity-store.ts';
import { type EntityPath, entityId } from './names.ts';

/** Who asks: the owner of a namespace. */
export interface Identity {
  readonly namespace: string;
  /** `uuid:key` */
  readonly authKey: string;
}

/** A package as its reader sees it: a binding stands for the package that it is bound to, with parameters of its own. */
export interface ResolvedPackage {
  /** The package or binding that was asked for. */
  readonly entity: Package;
  /** `namespace/package` in which the actions are. */
  readonly container: string;
  readonly parameters: Parameter[];
  /** `namespace/binding`, if it is one. */
  readonly binding?: string;
}

/** An action with all that its package and binding give it. */
export interface ResolvedAction {
  readonly action: Action;
  readonly parameters: Parameter[];
  readonly binding?: string;
}

/**
 * Finds a package for reading: one's own, or a published one of somebody else.
 * @throws ApiError 403 for what is not shared with the caller, 404, 409 for something that is no package
 */
export function resolvePackage(store: EntityStore, caller: Identity, namespace: string, name: string): ResolvedPackage {
  const id = `${namespace}/${name}`;
  const entity = store.get(id);
  const own = namespace === caller.namespace;
  if (!own && !(entity?.entityType === 'package' && entity.publish)) throw forbidden(id);
  if (!entity) throw notFound();
  if (entity.entityType !== 'package') throw wrongCollection();
  if (!isBinding(entity)) return { entity, container: id, parameters: [...entity.parameters] };
  const providerId = `${entity.binding.namespace}/${entity.binding.name}`;
  const provider = store.get(providerId);
  const shared = provider?.entityType === 'package' && provider.publish;
  if (entity.binding.namespace !== caller.namespace && !shared) throw forbidden(id);
  if (provider?.entityType !== 'package') throw notFound();
  return {
    entity,
    container: providerId,
    parameters: mergeParameters(provider.parameters, entity.parameters),
    binding: id,
  };
}

/** Finds an action for reading or invoking. @throws ApiError 403, 404, 409 */
export function resolveAction(store: EntityStore, caller: Identity, path: EntityPath): ResolvedAction {
  if (path.package === undefined) {
    if (path.namespace !== caller.namespace) throw forbidden(entityId(path));
    const action = actionAt(store, entityId(path));
    return { action, parameters: [...action.parameters] };
  }
  const { container, parameters, binding } = resolvePackage(store, caller, path.namespace, path.package);
  const action = actionAt(store, `${container}/${path.name}`);
  return { action, parameters: mergeParameters(parameters, action.parameters), ...(binding ? { binding } : {}) };
}

/** @throws ApiError 403 unless the namespace is the caller's */
export function checkOwner(caller: Identity, namespace: string, what = namespace): void {
  if (caller.namespace !== namespace) throw forbidden(what);
}

/** A package into which its owner may put actions. @throws ApiError 400 for a binding, 403, 404, 409 */
export function writablePackage(store: EntityStore, id: string): Package {
  const entity = store.get(id);
  if (!entity) throw notFound();
  if (entity.entityType !== 'package') throw wrongCollection();
  if (isBinding(entity)) throw new ApiError(400, 'Operation not permitted on package binding.');
  return entity;
}

function actionAt(store: EntityStore, id: string): Action {
  const entity = store.get(id);
  if (!entity) throw notFound();
  if (entity.entityType !== 'action') throw wrongCollection();
  return entity;
}
