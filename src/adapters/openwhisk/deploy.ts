import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Client } from 'openwhisk';
import { parse } from 'yaml';
import { z } from 'zod';

/** The part of wskdeploy's manifest that our actions use; `default` is the namespace without a package. */
const manifestSchema = z.object({
  project: z.object({
    packages: z.object({
      default: z.object({
        actions: z.record(
          z.string(),
          z.object({
            function: z.string(),
            runtime: z.string(),
            annotations: z.record(z.string(), z.unknown()).default({}),
            limits: z.object({ timeout: z.number(), memorySize: z.number(), logSize: z.number() }),
          }),
        ),
        triggers: z.record(z.string(), z.unknown()),
        rules: z.record(z.string(), z.object({ trigger: z.string(), action: z.string() })),
      }),
    }),
  }),
});

interface KeyValue {
  readonly key: string;
  readonly value: unknown;
}

interface ActionDocument {
  readonly exec: { readonly kind: string; readonly code: string };
  readonly limits: { readonly timeout: number; readonly memory: number; readonly logs: number };
  readonly annotations: readonly KeyValue[];
}

/**
 * Puts the manifest's actions, triggers and rules on an OpenWhisk through its public API; what is there already,
 * and equal, stays as it is.
 * @returns the names of what was created or updated
 */
export async function deploy(client: Client, manifestFile: string): Promise<string[]> {
  const manifest = manifestSchema.parse(parse(await readFile(manifestFile, 'utf8')));
  const { actions, triggers, rules } = manifest.project.packages.default;
  const changed: string[] = [];
  for (const [name, action] of Object.entries(actions)) {
    const { timeout, memorySize: memory, logSize: logs } = action.limits;
    const wanted: ActionDocument = {
      exec: { kind: action.runtime, code: await readFile(join(dirname(manifestFile), action.function), 'utf8') },
      limits: { timeout, memory, logs },
      annotations: Object.entries(action.annotations).map(([key, value]) => ({ key, value })),
    };
    const there = await found<ActionDocument>(client.actions.get({ name }));
    if (there && holdsAction(there, wanted)) continue;
    await client.actions.update({ name, action: wanted as never });
    changed.push(name);
  }
  for (const name of Object.keys(triggers)) {
    if (await found(client.triggers.get({ name }))) continue;
    await client.triggers.create({ name });
    changed.push(name);
  }
  for (const [name, { trigger, action }] of Object.entries(rules)) {
    const there = await found<{ trigger: { name: string }; action: { name: string } }>(client.rules.get({ name }));
    if (there?.trigger.name === trigger && there.action.name === action) continue;
    await client.rules.update({ name, trigger, action });
    changed.push(name);
  }
  return changed;
}

function holdsAction(there: ActionDocument, wanted: ActionDocument): boolean {
  return (
    there.exec.kind === wanted.exec.kind &&
    there.exec.code === wanted.exec.code &&
    there.limits.timeout === wanted.limits.timeout &&
    there.limits.memory === wanted.limits.memory &&
    there.limits.logs === wanted.limits.logs &&
    wanted.annotations.every(({ key, value }) =>
      there.annotations.some((each) => each.key === key && JSON.stringify(each.value) === JSON.stringify(value)),
    )
  );
}

/** What a GET finds; undefined for 404. */
async function found<T>(got: Promise<unknown>): Promise<T | undefined> {
  try {
    return (await got) as T;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return undefined;
    throw error;
  }
}
