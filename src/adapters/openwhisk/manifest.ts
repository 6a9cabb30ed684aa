import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

/**
 * The part of wskdeploy's manifest that is used here, so that wskdeploy can read it as well.
 * What is not known is refused: an entity that is silently left out is missed much later.
 */

const values = z.record(z.string(), z.unknown()).default({});

const action = z.strictObject({
  /** The file of the code, relative to the manifest. */
  function: z.string(),
  /** OpenWhisk's kind. */
  runtime: z.string(),
  inputs: values,
  annotations: values,
  /** ms, MB, MB */
  limits: z.strictObject({ timeout: z.number(), memorySize: z.number(), logSize: z.number() }),
});

const wskPackage = z.strictObject({
  /** Only `whisk.system` is known here; the caller's own if absent. */
  namespace: z.literal('whisk.system').optional(),
  public: z.boolean().default(false),
  inputs: values,
  annotations: values,
  actions: z.record(z.string(), action).default({}),
  triggers: z.record(z.string(), z.null()).default({}),
  rules: z.record(z.string(), z.strictObject({ trigger: z.string(), action: z.string() })).default({}),
});

const manifestSchema = z.strictObject({
  project: z.strictObject({
    name: z.string(),
    /** By name; `default` is no package but the namespace itself. */
    packages: z.record(z.string(), wskPackage),
  }),
});

export type ManifestAction = z.output<typeof action>;
export type ManifestPackage = z.output<typeof wskPackage>;

/**
 * Reads a manifest; `${NAME}` in inputs stands for a variable, functions become absolute paths.
 * @throws Error if it can't be read, is none, or names an unknown variable
 */
export async function readManifest(
  file: string,
  variables: Readonly<Record<string, string>>,
): Promise<Map<string, ManifestPackage>> {
  const { packages } = manifestSchema.parse(parse(await readFile(file, 'utf8'), { merge: true })).project;
  for (const each of Object.values(packages)) {
    each.inputs = filledIn(each.inputs, variables);
    for (const action of Object.values(each.actions)) {
      action.inputs = filledIn(action.inputs, variables);
      action.function = resolve(dirname(file), action.function);
    }
  }
  return new Map(Object.entries(packages));
}

function filledIn(inputs: Record<string, unknown>, variables: Readonly<Record<string, string>>) {
  const fill = (_: string, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`the manifest names the variable ${name}, which nobody sets`);
    return value;
  };
  return Object.fromEntries(
    Object.entries(inputs).map(([key, value]) => [
      key,
      typeof value === 'string' ? value.replaceAll(/\$\{(\w+)\}/g, fill) : value,
    ]),
  );
}
