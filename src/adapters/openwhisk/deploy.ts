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
  readonly exec: { readonly kind: string; readonly code?: string };
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
  await using own = new Entities(url, auth, secureContext);
  await using system = systemAuth === undefined ? undefined : new Entities(url, systemAuth, secureContext);

  const perPackage = await Promise.all(
    [...manifest].map(([name, content]) =>
      content.namespace && system
        ? deployPackage(system, `/${content.namespace}/`, name, content)
        : deployPackage(own, '', name, content),
    ),
  );
  // Rules come last: they bind what may be in several packages.
  const rules = [...manifest.values()].flatMap((content) => Object.entries(content.rules));
  const deployedRules = rules.map(async ([name, rule]): Promise<Deployed> => {
    return { kind: 'rule', name, change: await deployRule(own, name, rule) };
  });
  return [...perPackage.flat(), ...(await Promise.all(deployedRules))];
}

/** @param shownBefore what stands before the names that people are shown */
async function deployPackage(
  entities: Entities,
  shownBefore: string,
  name: string,
  content: ManifestPackage,
): Promise<Deployed[]> {
  const deployed: Deployed[] = [];
  const prefix = name === 'default' ? '' : `${name}/`;
  if (prefix !== '') {
    const change = await deployEmptyPackage(entities, name, content);
    deployed.push({ kind: 'package', name: shownBefore + name, change });
  }
  const actions = Object.entries(content.actions).map(async ([action, wanted]): Promise<Deployed> => {
    const change = await deployAction(entities, prefix + action, wanted);
    return { kind: 'action', name: shownBefore + prefix + action, change };
  });
  const triggers = Object.keys(content.triggers).map(async (trigger): Promise<Deployed> => {
    return { kind: 'trigger', name: trigger, change: await deployTrigger(entities, trigger) };
  });
  return [...deployed, ...(await Promise.all([...actions, ...triggers]))];
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
  const there = await entities.get<ActionDocument>(path);
  const hasInputs = holds(there?.parameters, wanted.inputs);
  const isEqual =
    there?.exec.kind === wanted.runtime &&
    there.exec.code === code &&
    there.limits.timeout === timeout &&
    there.limits.memory === memory &&
    there.limits.logs === logs &&
    hasInputs &&
    holds(there.annotations, wanted.annotations);
  if (isEqual) return 'unchanged';
  await entities.put(path, {
    exec: { kind: wanted.runtime, code },
    limits: { timeout, memory, logs },
    // What is not sent stays. What a GET shows can't be sent back: the package's parameters are among it.
    ...(!hasInputs && { parameters: merged([], wanted.inputs) }),
    annotations: merged([], wanted.annotations),
  });
  return there ? 'updated' : 'created';
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
