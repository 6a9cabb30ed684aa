import { z } from 'zod';
import { revealed, type Seal, type Sealed, type Secrets, secretSchema } from './sealed.ts';

/**
 * Parameters of actions that differ from site to site. Those of an action itself are global, since the sites share the
 * center's CouchDB; so a firing names its site, and the action asks that for what holds there.
 */

export type Parameters = Readonly<Record<string, unknown>>;

/** Where a parameter may be given, the weakest first. */
export interface ParameterLayers {
  /** What the action was created with (`--param`). */
  readonly action?: Parameters;
  /** What a site has where nobody says otherwise: its embedded parts, its id. */
  readonly site?: Parameters;
  /** The center's document `*`. */
  readonly everySite?: Parameters;
  /** The center's document of this site. */
  readonly thisSite?: Parameters;
  readonly configMap?: Parameters;
  readonly payload?: Parameters;
}

/** Each parameter from the strongest layer that gives it. */
export function resolveParameters({
  action,
  site,
  everySite,
  thisSite,
  configMap,
  payload,
}: ParameterLayers): Parameters {
  return { ...action, ...site, ...everySite, ...thisSite, ...configMap, ...payload };
}

/**
 * Parameters that come from settings: what the configuration sets is stronger than the center, a default is not.
 * @param rows by parameter: its setting and value; absent values are left out
 */
export function settingParameters(
  rows: Readonly<Record<string, readonly [setting: string, value: unknown]>>,
  given: ReadonlySet<string>,
): { readonly defaults: Parameters; readonly configMap: Parameters } {
  const entries = Object.entries(rows).filter(([, [, value]]) => value !== undefined);
  const pick = (isGiven: boolean) =>
    Object.fromEntries(
      entries.filter(([, [setting]]) => given.has(setting) === isGiven).map(([name, [, value]]) => [name, value]),
    );
  return { defaults: pick(false), configMap: pick(true) };
}

/** The document of the database `parameters` that is for every site. */
export const EVERY_SITE = '*';

/** `values` holds plain values, `secrets` sealed ones and references by the names of their parameters. */
const documentSchema = z.object({
  _id: z.string(),
  values: z.record(z.string().max(256), z.unknown()).default({}),
  secrets: z.record(z.string().max(256), z.unknown()).default({}),
});

export interface ReadParameters {
  readonly parameters: Parameters;
  /** Parameters that are left out, and why. */
  readonly problems: readonly string[];
}

/** Reads a document of parameters; never throws. What can't be had is left out alone. */
export function readParameters(document: Readonly<Record<string, unknown>>, secrets: Secrets): ReadParameters {
  const parsed = documentSchema.safeParse(document);
  if (!parsed.success) {
    return {
      parameters: {},
      problems: parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
    };
  }
  const { _id, values } = parsed.data;
  const parameters: Record<string, unknown> = { ...values };
  const problems: string[] = [];
  for (const [name, value] of Object.entries(parsed.data.secrets)) {
    const secret = secretSchema.safeParse(value);
    if (!secret.success) {
      problems.push(`secrets.${name}: ${secret.error.issues[0]?.message}`);
      continue;
    }
    try {
      const text = revealed(secret.data, secrets, secretPlace(_id, name));
      parameters[name] = 'sealed' in secret.data ? (JSON.parse(text) as unknown) : text;
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  return { parameters, problems };
}

/** A secret parameter as the document `id` may hold it. @throws FogwhiskError `SHARED_KEY_MISSING` */
export function sealedParameter(value: unknown, id: string, name: string, seal: Seal): Sealed {
  return seal.seal(JSON.stringify(value), secretPlace(id, name));
}

export function secretPlace(id: string, name: string) {
  return { document: id, field: `secrets.${name}` };
}

const CONNECTION = ['url', 'token', 'org', 'bucket'];

/**
 * The InfluxDB connections as they ride in the payload where `injectInflux` is set, under the names by which the
 * predecessor's actions take them: those of readings know the site's alone, those of its alarms the central one too.
 */
export function injectedParameters(current: Parameters, kind: 'mqtt' | 'alarm' | 'next'): Parameters {
  const rows = CONNECTION.flatMap((name) => {
    const local = current[`influx_${name}`];
    return kind === 'alarm'
      ? [
          [`local_${name}`, current[`local_${name}`] ?? local],
          [`central_${name}`, current[`central_${name}`]],
        ]
      : [[`influx_${name}`, local]];
  });
  if (kind === 'alarm') rows.push(['location', current.location ?? current.datacenter_id]);
  return Object.fromEntries(rows.filter(([, value]) => value !== undefined));
}
