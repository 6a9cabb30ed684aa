import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { SecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { Entities } from './entities.ts';
import { type ManifestAction, type ManifestPackage, readManifest } from './manifest.ts';

export interface DeployOptions {
  /** `http(s)://HOST[:PORT][/PATH]`, without `/api/v1` */
  readonly url: string;
  /** `UUID:KEY` of the namespace that gets everything but what belongs into `whisk.system`. */
  readonly auth: string;
  /** The key of `whisk.system`; without it all goes into the one namespace. */
  readonly systemAuth?: string | undefined;
  /** What is trusted, where that is not what Node.js trusts by itself. */
  readonly secureContext?: SecureContext | undefined;
  /** The manifest's `PROVIDER_URL`: where actions reach the provider. */
  readonly providerUrl: string;
}

/** What became of an entity. */
export interface Deployed {
  readonly kind: 'package' | 'action' | 'trigger' | 'rule';
  /** `[/whisk.system/][PACKAGE/]NAME` */
  readonly name: string;
  readonly change: Change;
}

type Change = 'created' | 'updated' | 'unchanged';

/** An annotation that spares reading megabytes of code at each start only to find them unchanged. */
const CODE_DIGEST = 'code-sha256';

interface KeyValue {
  readonly key: string;
  readonly value: unknown;
}

interface PackageDocument {
  readonly publish: boolean;
  readonly parameters: readonly KeyValue[];
  readonly annotations: readonly KeyValue[];
}

interface ActionDocument {
  readonly exec: { readonly kind: string };
  readonly limits: { readonly timeout: number; readonly memory: number; readonly logs: number };
  readonly parameters: readonly KeyValue[];
  readonly annotations: readonly KeyValue[];
}

/**
 * Puts a manifest's packages, actions, triggers and rules on an OpenWhisk through its public API. What is there already,
 * and equal, stays as it is; so do parameters and annotations that the manifest does not name, and all that it does not
 * name at all.
 * @throws OpenwhiskRefusal, or the network's error
 */
export async function deploy(manifestFile: string, options: DeployOptions): Promise<Deployed[]> {
  const { url, auth, systemAuth, secureContext, providerUrl } = options;
  const manifest = await readManifest(manifestFile, { PROVIDER_URL: providerUrl });
  using own = new Entities(url, auth, secureContext);
  using system = systemAuth === undefined ? undefined : new Entities(url, systemAuth, secureContext);

  const deployed: Deployed[] = [];
  for (const [name, content] of manifest) {
    const place =
      content.namespace && system
        ? { entities: system, shownBefore: `/${content.namespace}/` }
        : { entities: own, shownBefore: '' };
    deployed.push(...(await deployPackage(place, name, content)));
  }
  // Rules come last: they bind what may be in several packages.
  for (const { rules } of manifest.values()) {
    for (const [name, rule] of Object.entries(rules)) {
      deployed.push({ kind: 'rule', name, change: await deployRule(own, name, rule) });
    }
  }
  return deployed;
}

/** `shownBefore` stands before the names that people are shown. */
async function deployPackage(
  { entities, shownBefore }: { entities: Entities; shownBefore: string },
  name: string,
  content: ManifestPackage,
): Promise<Deployed[]> {
  const deployed: Deployed[] = [];
  const prefix = name === 'default' ? '' : `${name}/`;
  if (prefix !== '') {
    const change = await deployEmptyPackage(entities, name, content);
    deployed.push({ kind: 'package', name: shownBefore + name, change });
  }
  // One after the other: an action's code may have megabytes.
  for (const [action, wanted] of Object.entries(content.actions)) {
    const change = await deployAction(entities, prefix + action, wanted);
    deployed.push({ kind: 'action', name: shownBefore + prefix + action, change });
  }
  for (const trigger of Object.keys(content.triggers)) {
    deployed.push({ kind: 'trigger', name: trigger, change: await deployTrigger(entities, trigger) });
  }
  return deployed;
}

async function deployEmptyPackage(entities: Entities, name: string, wanted: ManifestPackage): Promise<Change> {
  const path = `packages/${name}`;
  const there = await entities.get<PackageDocument>(path);
  const isEqual =
    there?.publish === wanted.public &&
    holds(there.parameters, wanted.inputs) &&
    holds(there.annotations, wanted.annotations);
  if (isEqual) return 'unchanged';
  const document: PackageDocument = {
    publish: wanted.public,
    parameters: merged(there?.parameters, wanted.inputs),
    annotations: merged(there?.annotations, wanted.annotations),
  };
  await entities.put(path, document);
  return there ? 'updated' : 'created';
}

async function deployAction(entities: Entities, name: string, wanted: ManifestAction): Promise<Change> {
  const path = `actions/${name}`;
  const { timeout, memorySize: memory, logSize: logs } = wanted.limits;
  const code = await readFile(wanted.function, 'utf8');
  const digest = { [CODE_DIGEST]: createHash('sha256').update(code).digest('hex') };
  const there = await entities.get<ActionDocument>(`${path}?code=false`);
  const hasInputs = holds(there?.parameters, wanted.inputs);
  const isEqual =
    there?.exec.kind === wanted.runtime &&
    there.limits.timeout === timeout &&
    there.limits.memory === memory &&
    there.limits.logs === logs &&
    hasInputs &&
    holds(there.annotations, wanted.annotations) &&
    (holds(there.annotations, digest) || (await codeOf(entities, path)) === code);
  if (isEqual) return 'unchanged';
  await entities.put(path, {
    exec: { kind: wanted.runtime, code },
    limits: { timeout, memory, logs },
    // What is not sent stays. What a GET shows can't be sent back: the package's parameters are among it.
    ...(!hasInputs && { parameters: merged([], wanted.inputs) }),
    annotations: merged([], { ...wanted.annotations, ...digest }),
  });
  return there ? 'updated' : 'created';
}

async function codeOf(entities: Entities, path: string): Promise<string | undefined> {
  return (await entities.get<{ exec: { code?: string } }>(path))?.exec.code;
}

async function deployTrigger(entities: Entities, name: string): Promise<Change> {
  const path = `triggers/${name}`;
  if (await entities.get(path)) return 'unchanged';
  await entities.put(path, {});
  return 'created';
}

async function deployRule(
  entities: Entities,
  name: string,
  wanted: { trigger: string; action: string },
): Promise<Change> {
  type Entity = { path: string; name: string };
  const path = `rules/${name}`;
  const there = await entities.get<{ trigger: Entity; action: Entity }>(path);
  // A path is the namespace, and the package if the action is in one.
  const nameInNamespace = (entity: Entity) => [...entity.path.split('/').slice(1), entity.name].join('/');
  if (there && nameInNamespace(there.trigger) === wanted.trigger && nameInNamespace(there.action) === wanted.action)
    return 'unchanged';
  await entities.put(path, { trigger: `/_/${wanted.trigger}`, action: `/_/${wanted.action}` });
  return there ? 'updated' : 'created';
}

function holds(there: readonly KeyValue[] = [], wanted: Readonly<Record<string, unknown>>): boolean {
  const values = new Map(there.map(({ key, value }) => [key, value]));
  return Object.entries(wanted).every(([key, value]) => isDeepStrictEqual(values.get(key), value));
}

function merged(there: readonly KeyValue[] = [], wanted: Readonly<Record<string, unknown>>): KeyValue[] {
  const values = new Map(there.map(({ key, value }) => [key, value]));
  for (const [key, value] of Object.entries(wanted)) values.set(key, value);
  return [...values].map(([key, value]) => ({ key, value }));
}
