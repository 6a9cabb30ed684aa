import { z } from 'zod';
import { triggerSchema } from './registration.ts';

/**
 * The forecast workflows of lakes (`lakes.yml`): which steps there are, what begins each, and for which lakes. From it come
 * OpenWhisk's triggers and rules for each lake, and the step that manual mode runs.
 */

/** Lakes and containers are path segments and parts of names. */
const nameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/, 'must be 1 to 63 letters, digits and hyphens');

const wordsSchema = z.union([z.string().transform((words) => words.split(/\s+/).filter(Boolean)), z.array(z.string())]);

const configSchema = z.record(z.string(), z.unknown());

/** A step is one container's work; the keys with hyphens are those of FLARE's flare-config.yml. */
const stepSchema = z
  .strictObject({
    /** Program and arguments; `./` is the folder of the file. Without one, the image's own is run. */
    program: z.array(z.string().min(1)).min(1).optional(),
    /** The image of a blackbox action; without one, the program is run where the site's action host is. */
    image: z.string().min(1).optional(),
    'timeout-seconds': z.number().int().min(1).max(3_600).default(300),
    'container-dependencies': wordsSchema.pipe(z.array(nameSchema)).default([]),
    'days-look-back': z.number().int().min(0).max(366).default(0),
    /** Begins the step at these instants (cron, in the lake's time zone). */
    alarm: z.string().min(1).optional(),
    /** Begins the step when `POST /hooks/<hook>-<lake>` comes. */
    hook: nameSchema.optional(),
    /** Makes it a compound trigger: it waits for these types. */
    inputs: z.array(z.string().min(1)).min(1).optional(),
    'expires-after-hours': z.number().positive().optional(),
    /** FLARE's functions, one after the other in a sequence. */
    functions: z.array(z.number().int().min(1).max(4)).min(1).optional(),
    /** The trigger's name is completed by the lake's. */
    'next-trigger': z
      .strictObject({ name: triggerSchema, container_name: nameSchema, type: z.string().min(1).optional() })
      .optional(),
    attempts: z.number().int().min(1).max(1_000).optional(),
    'retry-after-seconds': z.number().int().min(1).max(86_400).optional(),
    config: configSchema.default({}),
  })
  .refine((step) => !step.inputs || (step['next-trigger'] && !step.program && !step.image && !step.functions), {
    message: 'a compound trigger has inputs and a next-trigger, and runs no program',
  });

const lakeSchema = z.strictObject({
  timezone: z.string().refine(isTimezone, 'must be an IANA time zone like America/New_York').default('UTC'),
  /** ISO 8601; the cycles' length. */
  period: z.string().regex(/^P/, 'must be an ISO 8601 duration like P1D or PT6H').default('P1D'),
  /** Whether several sites work on it: then its state is kept in the central CouchDB. */
  shared: z.boolean().default(false),
  config: configSchema.default({}),
});

const lakesSchema = z
  .strictObject({ steps: z.record(nameSchema, stepSchema), lakes: z.record(nameSchema, lakeSchema) })
  .superRefine(({ steps }, context) => {
    for (const problem of graphProblems(steps)) context.addIssue({ code: 'custom', path: ['steps'], message: problem });
  });

export type Lakes = z.output<typeof lakesSchema>;
type FlareStep = z.output<typeof stepSchema>;

/** Lakes and their workflow, or every problem with what is given. */
export function parseLakes(content: unknown): { lakes: Lakes } | { problems: string[] } {
  const parsed = lakesSchema.safeParse(content);
  if (parsed.success) return { lakes: parsed.data };
  const problems = parsed.error.issues.map((issue) => {
    // Of a name that is none, zod says why one level deeper.
    const { message } = issue.code === 'invalid_key' ? issue.issues[0]! : issue;
    return `${issue.path.join('.') || 'the whole'}: ${message}`;
  });
  return { problems };
}

function graphProblems(steps: Readonly<Record<string, FlareStep>>): string[] {
  const problems: string[] = [];
  const begun = new Set<string>();
  for (const [name, step] of Object.entries(steps)) {
    if (step.alarm || step.hook) begun.add(name);
    const next = step['next-trigger'];
    const target = next && steps[next.container_name];
    if (next && !target) problems.push(`${name}: its next-trigger begins ${next.container_name}, which is no step`);
    if (next) begun.add(next.container_name);
    if (target?.inputs && !target.inputs.includes(next?.type ?? '')) {
      problems.push(`${name}: type of its next-trigger must be one of ${target.inputs.join(', ')}`);
    }
    for (const dependency of step['container-dependencies']) {
      if (!steps[dependency]) problems.push(`${name}: depends on ${dependency}, which is no step`);
    }
  }
  for (const name of Object.keys(steps)) {
    if (!begun.has(name)) problems.push(`${name}: nothing begins it: no alarm, no hook, no next-trigger`);
  }
  return problems;
}

/** What a step of a lake is told, whichever way it is run: the members of the payload that don't depend on the cycle. */
export function stepParameters({ steps, lakes }: Lakes, lakeName: string, container: string): Record<string, unknown> {
  const lake = lakes[lakeName]!;
  const step = steps[container]!;
  const next = step['next-trigger'];
  const openwhisk = {
    'days-look-back': step['days-look-back'],
    'container-dependencies': step['container-dependencies'].join(' '),
    ...(step.inputs && { inputs: step.inputs }),
    ...pick(step, 'attempts', 'retry-after-seconds', 'expires-after-hours'),
    ...(next && { 'next-trigger': { ...next, name: triggerOf(next.name, lakeName) } }),
  };
  return {
    lake: lakeName,
    container_name: container,
    timezone: lake.timezone,
    period: lake.period,
    ...(lake.shared && { shared: true }),
    ...(step.program && { program: step.program }),
    ...(step.functions && { function: step.functions[0] }),
    config: { ...lake.config, ...step.config, openwhisk },
  };
}

export interface FlareAlarm {
  readonly cron: string;
  readonly timezone: string;
  /** Rung at every site of the center, not only at the one that it is deployed from. */
  readonly atEverySite: boolean;
}

/** What OpenWhisk holds for the lakes. */
export interface FlareDeployment {
  /** Blackbox actions and sequences. */
  readonly actions: ReadonlyArray<
    | { readonly name: string; readonly image: string; readonly timeoutMs: number }
    | { readonly name: string; readonly components: readonly string[] }
  >;
  readonly triggers: ReadonlyArray<{
    readonly name: string;
    readonly parameters: Record<string, unknown>;
    /** The action that its rule starts. */
    readonly action: string;
    /** When it is fired, where that is an alarm. */
    readonly alarm?: FlareAlarm;
    /** Whether a webhook fires it. */
    readonly hook?: true;
  }>;
}

/** The actions that fogwhisk brings, by their names in `actions/manifest.yaml`. */
const FLARE_ACTION = 'flare';
const COMPOUND_ACTION = 'compoundTrigger';
/** Reports the cycles that wait in vain. */
const EXPIRY = { name: 'flare-expiry-alarm', cron: '5 * * * *' };

/** Everything that the lakes need in OpenWhisk, each name once. */
export function deploymentOf(all: Lakes): FlareDeployment {
  const actions: Array<FlareDeployment['actions'][number]> = [];
  const actionOf = new Map<string, string>();
  for (const [name, step] of Object.entries(all.steps)) {
    let action = step.inputs ? COMPOUND_ACTION : FLARE_ACTION;
    if (step.image) {
      action = name;
      actions.push({ name, image: step.image, timeoutMs: step['timeout-seconds'] * 1_000 });
    }
    if (step.functions) {
      const components = step.functions.map(() => action);
      action = `${name}-functions`;
      actions.push({ name: action, components });
    }
    actionOf.set(name, action);
  }
  const triggers = new Map<string, FlareDeployment['triggers'][number]>();
  for (const [lake, { timezone, shared }] of Object.entries(all.lakes)) {
    const add = (name: string, container: string, begin: { alarm?: FlareAlarm; hook?: true }) =>
      triggers.set(name, {
        name,
        parameters: stepParameters(all, lake, container),
        action: actionOf.get(container)!,
        ...begin,
      });
    for (const [container, { alarm, hook, 'next-trigger': next }] of Object.entries(all.steps)) {
      if (alarm) {
        const rung = { cron: alarm, timezone, atEverySite: shared };
        add(triggerOf(`${container}-alarm`, lake), container, { alarm: rung });
      }
      if (hook) add(triggerOf(hook, lake), container, { hook: true });
      if (next) add(triggerOf(next.name, lake), next.container_name, {});
    }
  }
  if (Object.values(all.steps).some(({ inputs }) => inputs)) {
    for (const shared of new Set(Object.values(all.lakes).map((lake) => lake.shared))) {
      const name = shared ? `${EXPIRY.name}-shared` : EXPIRY.name;
      const parameters = { expire: true, ...(shared && { shared }) };
      const alarm = { cron: EXPIRY.cron, timezone: 'UTC', atEverySite: true };
      triggers.set(name, { name, parameters, action: COMPOUND_ACTION, alarm });
    }
  }
  return { actions, triggers: [...triggers.values()] };
}

function triggerOf(name: string, lake: string): string {
  return `${name}-${lake}`;
}

/** The steps in the order in which a cycle passes them, each with those that begin it. */
export function stepsInOrder({ steps }: Pick<Lakes, 'steps'>): Array<{ name: string; after: string[] }> {
  const after = (name: string) =>
    Object.keys(steps).filter((other) => steps[other]!['next-trigger']?.container_name === name);
  const depth = (name: string, seen: readonly string[] = []): number =>
    seen.includes(name) ? 0 : Math.max(0, ...after(name).map((before) => 1 + depth(before, [...seen, name])));
  return Object.keys(steps)
    .map((name) => ({ name, after: after(name) }))
    .sort((a, b) => depth(a.name) - depth(b.name));
}

function pick<T extends object, K extends keyof T>(from: T, ...keys: K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])) as Partial<
    Pick<T, K>
  >;
}

function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
