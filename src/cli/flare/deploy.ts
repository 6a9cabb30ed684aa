import { isDeepStrictEqual } from 'node:util';
import { Entities } from '../../adapters/openwhisk/entities.ts';
import { callFeed, FeedAbsent, type FeedAccess } from '../../adapters/openwhisk/feed.ts';
import { certificateProblem } from '../../core/certificate-problem.ts';
import { FogwhiskError } from '../../core/errors.ts';
import { deploymentOf, type FlareAlarm, type FlareDeployment } from '../../core/flare.ts';
import { hookUrl } from '../hooks.ts';
import { readLakes } from './lakes-file.ts';
import { siteAccess } from './site.ts';

type Change = 'created' | 'updated' | 'unchanged' | 'missing';

interface KeyValue {
  readonly key: string;
  readonly value: unknown;
}

/** The feed of every OpenWhisk's alarms; the site's own keeps them over restarts. */
const ALARM_FEED = '/whisk.system/alarms/alarm';

/**
 * `fogwhisk flare deploy`: makes what lakes need in OpenWhisk: blackbox actions, sequences, and for each lake triggers with the
 * steps' parameters, their rules and alarms. What is there and equal stays as it is. An alarm is `missing` where OpenWhisk
 * has no feed of alarms.
 * @throws FogwhiskError `DEPLOY_FAILED`
 */
export async function deployLakes(file: string, options: { config?: string }): Promise<void> {
  const lakes = await readLakes(file);
  const deployment = deploymentOf(lakes);
  const { config, credentials, openwhisk } = await siteAccess(options);
  const { secureContext } = credentials.tls;
  using entities = new Entities(openwhisk.url, openwhisk.auth, secureContext);
  try {
    const access = { ...openwhisk, secureContext, site: config.datacenterId };
    await deploy(entities, access, deployment, (change, kind, name) =>
      process.stdout.write(`${change.padEnd(10)} ${kind.padEnd(8)} ${name}\n`),
    );
  } catch (error) {
    const reason = certificateProblem(error) ?? (error as Error).message;
    throw new FogwhiskError('DEPLOY_FAILED', { url: openwhisk.url, reason }, { cause: error });
  }
  const notes: string[] = [];
  for (const { name, hook } of deployment.triggers) {
    if (!hook) continue;
    const isThere = config.hooks.some(({ trigger }) => trigger === name);
    notes.push(
      isThere
        ? `POST ${hookUrl(config, name)} begins ${name}; its token is what fogwhisk hooks prints.`
        : `Nothing begins ${name} yet: add {"name":"${name}"} to the setting hooks, or fire it.`,
    );
  }
  const shared = Object.keys(lakes.lakes).filter((lake) => lakes.lakes[lake]!.shared);
  if (shared.length > 0) notes.push(`Shared by several sites, state in the central CouchDB: ${shared.join(', ')}.`);
  if (notes.length > 0) process.stdout.write(`\n${notes.join('\n')}\n`);
}

async function deploy(
  entities: Entities,
  access: FeedAccess & { readonly site: string },
  { actions, triggers }: FlareDeployment,
  print: (change: Change, kind: string, name: string) => void,
): Promise<void> {
  // Sequences after the actions that they consist of.
  for (const action of [...actions].sort((a, b) => Number('components' in a) - Number('components' in b))) {
    print(await deployAction(entities, action), 'components' in action ? 'sequence' : 'action', action.name);
  }
  for (const trigger of triggers) {
    print(await deployTrigger(entities, trigger), 'trigger', trigger.name);
    const rule = `${trigger.name}-rule`;
    print(await deployRule(entities, rule, trigger.name, trigger.action), 'rule', rule);
  }
  // Last, and only now: an alarm that rings finds everything in its place.
  for (const trigger of triggers) {
    if (!trigger.alarm) continue;
    const change = await deployAlarm(access, trigger.name, trigger.alarm).catch((error: unknown) => {
      if (error instanceof FeedAbsent) return 'missing' as const;
      throw error;
    });
    print(change, 'alarm', `${trigger.name} at ${trigger.alarm.cron}, ${trigger.alarm.timezone}`);
  }
}

async function deployAction(entities: Entities, wanted: FlareDeployment['actions'][number]): Promise<Change> {
  const path = `actions/${wanted.name}`;
  type There = { exec: { kind: string; image?: string; components?: string[] }; limits: { timeout: number } };
  const there = await entities.get<There>(path);
  if ('components' in wanted) {
    const names = there?.exec.components?.map((component) => component.split('/').at(-1));
    if (isDeepStrictEqual(names, wanted.components)) return 'unchanged';
    const components = wanted.components.map((component) => `/_/${component}`);
    await entities.put(path, { exec: { kind: 'sequence', components } });
  } else {
    const { image, timeoutMs: timeout } = wanted;
    if (there?.exec.image === image && there.limits.timeout === timeout) return 'unchanged';
    // Where FLARE's own containers fire the next trigger by themselves, they need a key for it.
    const annotations = [{ key: 'provide-api-key', value: true }];
    await entities.put(path, { exec: { kind: 'blackbox', image }, limits: { timeout }, annotations });
  }
  return there ? 'updated' : 'created';
}

async function deployTrigger(entities: Entities, wanted: FlareDeployment['triggers'][number]): Promise<Change> {
  const path = `triggers/${wanted.name}`;
  const there = await entities.get<{ parameters: KeyValue[] }>(path);
  const isEqual = there && isDeepStrictEqual(objectOf(there.parameters), wanted.parameters);
  if (isEqual) return 'unchanged';
  const parameters = Object.entries(wanted.parameters).map(([key, value]): KeyValue => ({ key, value }));
  await entities.put(path, { parameters });
  return there ? 'updated' : 'created';
}

async function deployRule(entities: Entities, name: string, trigger: string, action: string): Promise<Change> {
  const path = `rules/${name}`;
  const there = await entities.get<{ trigger: { name: string }; action: { name: string } }>(path);
  if (there?.trigger.name === trigger && there.action.name === action) return 'unchanged';
  await entities.put(path, { trigger: `/_/${trigger}`, action: `/_/${action}` });
  return there ? 'updated' : 'created';
}

/** Where sites share a center, an alarm is rung where its lake lives. */
async function deployAlarm(
  { site, ...access }: FeedAccess & { readonly site: string },
  triggerName: string,
  { cron, timezone, atEverySite }: FlareAlarm,
): Promise<Change> {
  const wanted = { cron, timezone, sites: atEverySite ? '*' : [site] };
  const there = (await callFeed(ALARM_FEED, access, { lifecycleEvent: 'READ', triggerName })) as
    | { config?: Record<string, unknown> }
    | undefined;
  const config = there?.config ?? {};
  const isEqual = Object.entries(wanted).every(([name, value]) => isDeepStrictEqual(config[name], value));
  if (isEqual) return 'unchanged';
  await callFeed(ALARM_FEED, access, { lifecycleEvent: there ? 'UPDATE' : 'CREATE', triggerName, ...wanted });
  return there ? 'updated' : 'created';
}

function objectOf(parameters: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(parameters.map(({ key, value }) => [key, value]));
}
