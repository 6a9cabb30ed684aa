import { ApiError, malformed } from '../api-error.ts';

const NAME = /^(?:\w|\w[\w@ .&-]{0,254}[\w@.&-])$/;
export const MAX_NAME_CHARS = 256;

/** Whether OpenWhisk accepts this as the name of an entity, package or namespace. */
export function isName(name: string): boolean {
  return name.length <= MAX_NAME_CHARS && NAME.test(name);
}

/** @throws ApiError 400 for a name that OpenWhisk does not accept */
export function checkName(name: string): void {
  if (name.length > MAX_NAME_CHARS) {
    throw new ApiError(400, `Name segement longer than allowed: ${name.length} > ${MAX_NAME_CHARS}.`, {
      routed: false,
    });
  }
  if (!NAME.test(name))
    throw new ApiError(400, 'The name of the entity contains illegal characters.', { routed: false });
}

/** An entity's place: `namespace` is the root namespace, `package` is absent for what is in none. */
export interface EntityPath {
  readonly namespace: string;
  readonly package?: string;
  readonly name: string;
}

/** `namespace/[package/]name`: the key of the entity's document, unique over all collections. */
export function entityId(path: EntityPath): string {
  return `${containerOf(path)}/${path.name}`;
}

/** `namespace[/package]`, what entities show as their `namespace`. */
export function containerOf({ namespace, package: packageName }: EntityPath): string {
  return packageName === undefined ? namespace : `${namespace}/${packageName}`;
}

export function pathOf(id: string): EntityPath {
  const [namespace, second, third] = id.split('/') as [string, string, string?];
  return third === undefined ? { namespace, name: second } : { namespace, package: second, name: third };
}

/**
 * A fully qualified name from a body: `/ns/name`, `ns/pkg/name`, or `{path, name}`; `_` is the caller's namespace.
 * @throws ApiError 400
 */
export function parseQualifiedName(value: unknown, callerNamespace: string): EntityPath {
  let text: string;
  if (typeof value === 'string') text = value;
  else {
    const { path, name } = (value ?? {}) as { path?: unknown; name?: unknown };
    if (typeof path !== 'string' || typeof name !== 'string') throw malformed('fully qualified name malformed');
    text = `${path}/${name}`;
  }
  const parts = text.replace(/^\//, '').split('/');
  if (parts.length < 2 || parts.length > 3) {
    throw malformed(
      'requirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity.',
    );
  }
  if (!parts.every(isName))
    throw malformed(`requirement failed: path contains invalid parts ArraySeq(${parts.join(', ')})`);
  const [namespace, second, third] = parts as [string, string, string?];
  const root = namespace === '_' ? callerNamespace : namespace;
  return third === undefined ? { namespace: root, name: second } : { namespace: root, package: second, name: third };
}
