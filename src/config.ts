import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { alarmRowsSchema } from './core/alarm.ts';
import { isCron } from './core/cron-times.ts';
import {
  type MqttRegistration,
  mqttRegistrationSchema,
  mqttRegistrations,
  triggerSchema,
} from './core/registration.ts';
import { WallClock } from './core/wall-clock.ts';

/**
 * The settings: one row each, from which parsing, the problems, `docs/configuration.md` and `configmap.yml` come.
 * Values are text, as in a ConfigMap's `data` and in the environment.
 */

export interface Setting<T> {
  readonly parse: z.ZodType<T, string>;
  /** What an absent key means; undefined where absence has a meaning of its own. */
  readonly fallback?: string;
  readonly secret?: true;
  readonly allowed: string;
  readonly help: string;
  readonly example?: string;
  /** What the sample ConfigMap says, where that is not the fallback. */
  readonly sample?: string;
}

const text = (allowed: string) => z.string().min(1, `must not be empty; allowed: ${allowed}`);

function oneOf<const T extends string>(...values: T[]) {
  return z.enum(values);
}

const port = z
  .string()
  .regex(/^\d+$/)
  .transform(Number)
  .refine((value) => value <= 65_535);

function whole(min: number, max: number) {
  return z
    .string()
    .regex(/^\d+$/)
    .transform(Number)
    .refine((value) => value >= min && value <= max);
}

/** The lines of a key file. */
const sharedKeys = z
  .string()
  .transform((value) =>
    value
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  )
  .refine((lines) => lines.length >= 1 && lines.length <= 2 && lines.every(({ length }) => length >= 32));

const boolean = oneOf('true', 'false').transform((value) => value === 'true');

const name = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/);

/** `http://host` is how the predecessor wrote its brokers. */
const mqttUrl = z.string().transform((value, context): string => {
  if (value === 'embedded') return value;
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const protocol = { 'http:': 'mqtt:', 'https:': 'mqtts:' }[url?.protocol ?? ''] ?? url?.protocol;
  if (!url?.hostname || !['mqtt:', 'mqtts:', 'ws:', 'wss:'].includes(protocol!)) {
    context.addIssue({ code: 'custom', message: 'is no MQTT URL' });
    return z.NEVER;
  }
  return `${protocol}${value.slice(value.indexOf('//'))}`;
});

/** A host, host:port or URL; https where the port is 443. */
function httpEndpoint(defaultPort?: number) {
  return z.string().transform((value, context): string => {
    if (value === 'embedded') return value;
    const withScheme = /^https?:\/\//.test(value) ? value : `${/:443$/.test(value) ? 'https' : 'http'}://${value}`;
    if (!URL.canParse(withScheme)) {
      context.addIssue({ code: 'custom', message: 'is no host or URL' });
      return z.NEVER;
    }
    const url = new URL(withScheme);
    if (defaultPort && !url.port && withScheme !== value) url.port = String(defaultPort);
    return url.toString().replace(/\/$/, '');
  });
}

/** JSON text of one shape. The problems name the member; of a secret they repeat nothing. */
function json<T>(schema: z.ZodType<T, unknown>, { isSecret = false } = {}) {
  return z.string().transform((value, context) => {
    let content: unknown;
    try {
      content = JSON.parse(value);
    } catch (error) {
      const reason = isSecret ? '' : `: ${(error as Error).message}`;
      context.addIssue({ code: 'custom', message: `is not JSON${reason}` });
      return z.NEVER;
    }
    const parsed = schema.safeParse(content);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) {
      context.addIssue({ code: 'custom', message: `${issue.path.join('.') || 'the whole'}: ${issue.message}` });
    }
    return z.NEVER;
  });
}

const openwhiskKey = z.string().regex(/^[^:\s]+:\S+$/, 'is no UUID:KEY');

const namespaces = z
  .record(z.string().regex(/^(?!(?:guest|_)$)\w[\w.-]{0,63}$/), openwhiskKey)
  .refine((keys) => new Set(Object.values(keys)).size === Object.keys(keys).length, 'each needs a key of its own');

/** A program and its arguments; actions run in folders of their own, so a relative path is made absolute. */
const argv = z
  .tuple([z.string().min(1)], z.string())
  .transform(([program, ...args]) => [program.includes('/') ? resolve(program) : program, ...args]);

/** A folder stands for its program `exec`, as in the images that are built on OpenWhisk's docker skeleton. */
const imageProgram = z.union(
  [
    z.strictObject({ command: argv }),
    z.strictObject({ listens: argv }),
    z
      .string()
      .min(1)
      .transform((folder) => ({ command: [resolve(folder, 'exec')] })),
  ],
  'must be {"command": [PROGRAM, …]}, {"listens": [PROGRAM, …]} or a folder',
);

const hookSchema = z
  .strictObject({ name, trigger: triggerSchema.optional() })
  .transform(({ name, trigger = name }) => ({ name, trigger }));

function setting<T>(row: Setting<T>): Setting<T> {
  return row;
}

export const settings = {
  dataDir: setting({
    parse: text('a path'),
    fallback: './data',
    allowed: 'a folder',
    help: 'Folder of the journal, the credentials and the embedded parts.',
  }),
  datacenterId: setting({
    parse: name,
    fallback: '1',
    allowed: '1 to 64 letters, digits, . _ -',
    help: 'The id of this site; its readings carry it as `datacenter_id` where the sensor sends none.',
  }),
  replica: setting({
    parse: name,
    allowed: '1 to 64 letters, digits, . _ -',
    help: 'The name of this provider where the site has several of them. They share the messages (the broker must know shared subscriptions, as Mosquitto does) and, by claims in CouchDB, the alarms. Each needs a dataDir and a providerUrl of its own.',
    example: 'a',
  }),
  providerHost: setting({
    parse: text('a host name or address'),
    fallback: '127.0.0.1',
    allowed: 'a host name or address',
    help: 'Where the HTTP listener binds. `0.0.0.0` opens it to the network.',
  }),
  providerPort: setting({
    parse: port,
    fallback: '3000',
    allowed: '0 to 65535 (0 = any free port)',
    help: 'Port of the HTTP listener.',
  }),
  providerUrl: setting({
    parse: httpEndpoint(),
    allowed: 'a URL',
    help: 'How actions reach the HTTP listener for receipts and parameters; by default providerHost and providerPort.',
    example: 'http://mqtt-provider:3000',
  }),
  providerToken: setting({
    parse: z.string().min(16),
    secret: true,
    allowed: 'at least 16 characters',
    help: 'Bearer token of the HTTP listener. Made at the first start if absent.',
  }),
  mqttUrl: setting({
    parse: mqttUrl,
    fallback: 'embedded',
    secret: true,
    allowed:
      '`embedded`, or mqtt://, mqtts://, ws://, wss:// (http:// is taken as mqtt://), with user:password@ if needed; mqtt://USER:PASSWORD@embedded is the embedded broker with a login',
    help: "The site's MQTT broker.",
  }),
  mqttTlsCertFile: setting({
    parse: text('a path'),
    allowed: 'a PEM file',
    help: 'The certificate that is shown to MQTT brokers, where they want one.',
    example: '/etc/fogwhisk/mqtt-client.pem',
  }),
  mqttTlsKeyFile: setting({
    parse: text('a path'),
    allowed: 'a PEM file',
    help: 'Its private key; by default in the same file.',
    example: '/etc/fogwhisk/mqtt-client.key',
  }),
  mqttTopics: setting({
    parse: json(z.array(mqttRegistrationSchema)),
    fallback: '[{"topic":"test"}]',
    allowed: 'a JSON list of {"topic", "qos", "trigger", "name", "batch", "ordered"}; only topic is required',
    help: 'What to subscribe to, and which trigger each topic fires.',
    example: '[{"topic":"test","qos":1,"trigger":"addReadingToDbTrigger"}]',
  }),
  readingTrigger: setting({
    parse: text('a trigger name'),
    fallback: 'addReadingToDbTrigger',
    allowed: 'a trigger name',
    help: 'The trigger of topics that name none.',
  }),
  alarms: setting({
    parse: json(alarmRowsSchema),
    fallback: '[]',
    allowed:
      'a JSON list of {"name", "trigger", and one of "cron", "minutes", "date"}; for the rest see docs/alarms.md',
    help: 'Which triggers are fired when, besides the alarms that are registered in the center.',
    example: '[{"name":"hourly","cron":"0 * * * *","timezone":"Europe/Berlin","trigger":"hourlyTrigger","payload":{}}]',
    sample: '[]',
  }),
  receiptTimeoutSeconds: setting({
    parse: whole(1, 3_600),
    fallback: '30',
    allowed: '1 to 3600',
    help: "How long an action's receipt is waited for before its batch is fired again.",
  }),
  journalMaxBytes: setting({
    parse: whole(1_048_576, Number.MAX_SAFE_INTEGER),
    fallback: '1073741824',
    allowed: 'bytes, at least 1048576',
    help: 'Size of the journal at which no more is read from the broker.',
  }),
  journalWhenFull: setting({
    parse: oneOf('stop', 'expireOldest'),
    fallback: 'stop',
    allowed: '`stop` or `expireOldest`',
    help: 'What a full journal does: stop reading from the broker, which keeps the rest, or give up the oldest events for new ones (they are counted).',
  }),
  parkedMaxBytes: setting({
    parse: whole(1_048_576, Number.MAX_SAFE_INTEGER),
    fallback: '268435456',
    allowed: 'bytes, at least 1048576',
    help: 'Size of the parked messages at which `parkedWhenFull` applies.',
  }),
  parkedWhenFull: setting({
    parse: oneOf('stop', 'expireOldest'),
    fallback: 'stop',
    allowed: '`stop` or `expireOldest`',
    help: 'What happens when too much is parked: nothing more is read from the broker, or the oldest are given up (they are counted).',
  }),
  dedupeWindowMs: setting({
    parse: whole(0, 86_400_000),
    fallback: '0',
    allowed: '0 (off) to 86400000',
    help: 'Equal messages of one topic within this time count as one.',
  }),
  statusEvents: setting({
    parse: boolean,
    fallback: 'false',
    allowed: '`true` or `false`',
    help: 'Whether the triggers of topics are fired with `{"type":"status","body":"connected"}` (or `disconnected`) when their broker comes or goes.',
  }),
  hooks: setting({
    parse: json(z.array(hookSchema)).refine(
      (hooks) => new Set(hooks.map(({ name }) => name)).size === hooks.length,
      'each needs a name of its own',
    ),
    fallback: '[]',
    allowed: 'a JSON list of {"name", "trigger"}; the trigger is that of the name where none is given',
    help: 'Webhooks: `POST /hooks/NAME` with the token that `fogwhisk hooks` prints fires the trigger.',
    example: '[{"name":"flare-data-repo-push-fcre"}]',
  }),
  timezone: setting({
    parse: z.string().refine(WallClock.isZone, 'is no IANA time zone'),
    fallback: 'UTC',
    allowed: 'a name such as `Europe/Rome`',
    help: "The site's time zone: by its clocks days begin, and aggregatesCron rings.",
    example: 'Europe/Rome',
    sample: 'UTC',
  }),
  aggregatesCron: setting({
    parse: z.string().refine((cron) => cron === 'off' || isCron(cron), 'is no cron pattern'),
    fallback: '0 3 * * *',
    allowed: 'a cron of 5 or 6 fields, or `off`',
    help: 'When `aggregatesTrigger` is fired: each time for the closed window before, a day for a daily cron, else the time since the last one.',
    example: '*/30 * * * *',
    sample: '0 3 * * *',
  }),
  forecastCron: setting({
    parse: z.string().refine((cron) => cron === 'off' || isCron(cron), 'is no cron pattern'),
    fallback: '0 6 * * *',
    allowed: 'a cron of 5 or 6 fields, or `off`',
    help: "When `flareForecastTrigger` is fired, which forecasts the water temperatures of the site's lake from its readings `wtr_<depth>`; see docs/forecast.md.",
  }),
  oneStatisticActions: setting({
    parse: boolean,
    fallback: 'false',
    allowed: '`true` or `false`',
    help: "Whether the predecessor's nine actions of one statistic (aggregatesGasAvgAction, …) are deployed too, with their rules on aggregatesTrigger.",
  }),
  forwardRaw: setting({
    parse: json(z.array(z.string().min(1).max(256)).max(1_000)),
    fallback: '[]',
    allowed: 'a JSON list of measurements; `*` stands for any characters',
    help: 'Readings that are forwarded, hour by hour, to the bucket of the same name in the central InfluxDB. Aggregates are forwarded in any case.',
    example: '["wtr_*"]',
    sample: '[]',
  }),
  confirmBy: setting({
    parse: oneOf('receipt', 'activation', 'accepted'),
    fallback: 'receipt',
    allowed: '`receipt`, `activation` or `accepted`',
    help: "What confirms a firing: the action's receipt; the activation records that say the action succeeded; or the platform's having accepted it, which says nothing of the action.",
  }),
  tlsCaFile: setting({
    parse: text('a path'),
    allowed: 'a PEM file',
    help: 'Certificates of further authorities that are trusted for MQTT, CouchDB, OpenWhisk and InfluxDB. Certificates are always verified.',
    example: '/etc/fogwhisk/ca.pem',
  }),
  drainSeconds: setting({
    parse: whole(0, 3_600),
    fallback: '4',
    allowed: '0 to 3600',
    help: 'How long a stop waits for accepted events to be confirmed.',
  }),
  apiHost: setting({
    parse: httpEndpoint(),
    fallback: 'embedded',
    allowed: '`embedded`, or host, host:port, URL',
    help: 'The OpenWhisk API.',
  }),
  owAuth: setting({
    parse: openwhiskKey,
    secret: true,
    allowed: 'UUID:KEY',
    help: 'The OpenWhisk key. Made at the first start for the embedded OpenWhisk, where it is that of the namespace `guest`.',
  }),
  owSystemAuth: setting({
    parse: openwhiskKey,
    secret: true,
    allowed: 'UUID:KEY',
    help: "The key of the namespace `whisk.system`, into which `fogwhisk deploy` puts the feeds of alarms. Without it they go into owAuth's namespace. The embedded OpenWhisk has it already.",
  }),
  couchdbGateway: setting({
    parse: httpEndpoint(),
    fallback: 'embedded',
    allowed: '`embedded`, or host, host:port, URL',
    help: 'The central CouchDB.',
  }),
  couchdbExtPort: setting({
    parse: port,
    allowed: '1 to 65535',
    help: 'Port of couchdbGateway where that names none; 443 means https.',
    example: '5984',
  }),
  couchdbUsername: setting({
    parse: text('a user name'),
    fallback: 'fogwhisk',
    allowed: 'a user name',
    help: 'User of CouchDB.',
  }),
  couchdbPassword: setting({
    parse: z.string().min(1),
    secret: true,
    allowed: 'a password',
    help: 'Password of CouchDB. Made at the first start for the embedded one.',
  }),
  sharedKey: setting({
    parse: sharedKeys,
    secret: true,
    allowed: 'one or two lines of at least 32 characters: the current key and, while it is changed, the previous one',
    help: 'The key file that the sites and the center share: secrets in CouchDB are sealed with it. Needed for secrets in a CouchDB that is not embedded. `openssl rand -base64 32` makes one.',
  }),
  secretsDir: setting({
    parse: text('a path'),
    allowed: 'a folder',
    help: "Folder of this site's own secrets, a file each, to which documents of the center refer by name; the environment variable `secret_NAME` does as well.",
    example: '/etc/fogwhisk/secrets',
  }),
  stateCouchdbUrl: setting({
    parse: httpEndpoint(),
    allowed: '`embedded`, or host, host:port, URL',
    help: "CouchDB of the state of this site's own lakes, with the user of couchdbGateway, which is the default. `embedded` keeps their workflows running while the center is away.",
    example: 'embedded',
  }),
  influxLocalUrl: setting({
    parse: httpEndpoint(),
    fallback: 'embedded',
    allowed: '`embedded`, or host, host:port, URL',
    help: "The site's InfluxDB 2.",
  }),
  influxLocalToken: setting({
    parse: z.string().min(1),
    secret: true,
    allowed: 'an API token',
    help: "Token of the site's InfluxDB. Made at the first start for the embedded one.",
  }),
  influxLocalOrg: setting({
    parse: text('an organization'),
    fallback: 'influxdata',
    allowed: 'an organization',
    help: "Organization in the site's InfluxDB.",
  }),
  influxLocalBucket: setting({
    parse: text('a bucket'),
    fallback: 'measure',
    allowed: 'a bucket',
    help: 'Bucket of the readings.',
  }),
  influxCentralUrl: setting({
    parse: httpEndpoint(),
    allowed: 'host, host:port, URL',
    help: "The central InfluxDB 2; by default the site's own.",
  }),
  influxCentralToken: setting({
    parse: z.string().min(1),
    secret: true,
    allowed: 'an API token',
    help: 'Token of the central InfluxDB.',
  }),
  influxCentralOrg: setting({
    parse: text('an organization'),
    fallback: 'influxdata',
    allowed: 'an organization',
    help: 'Organization in the central InfluxDB.',
  }),
  influxCentralBucket: setting({
    parse: text('a bucket'),
    fallback: 'aggregates',
    allowed: 'a bucket',
    help: 'Bucket of the aggregates.',
  }),
  workdirStore: setting({
    parse: z.string().regex(/^(fs|git\+file|git\+ssh|s3):./),
    allowed:
      '`fs:FOLDER`, `git+file:PATH/{lake}.git`, `git+ssh://USER@HOST/PATH/{lake}.git` or `s3:https://HOST/BUCKET`',
    help: 'Where working directories of lakes are kept, by default `fs:` and the folder `workdirs` of dataDir. How to log in: docs/workdirs.md.',
    example: 'git+ssh://git@lan-host/srv/git/{lake}.git',
  }),
  workdirRetentionDays: setting({
    parse: whole(1, 36_500),
    fallback: '14',
    allowed: '1 to 36500',
    help: 'How many days working directories are kept. The newest of a container is never removed.',
  }),
  workdirKeep: setting({
    parse: whole(1, 1_000_000),
    fallback: '100',
    allowed: '1 to 1000000',
    help: 'How many working directories of a container are kept at most.',
  }),
  parameters: setting({
    parse: json(z.record(z.string().min(1), z.unknown()), { isSecret: true }),
    fallback: '{}',
    secret: true,
    allowed: 'a JSON object',
    help: "Parameters of this site's actions; they win over those of the center.",
  }),
  injectInflux: setting({
    parse: boolean,
    fallback: 'false',
    allowed: '`true` or `false`',
    help: "Whether the InfluxDB connections ride in the trigger's payload under the predecessor's names (`influx_url`, …), for actions that do not ask for their parameters.",
  }),
  embeddedHost: setting({
    parse: text('a host name or address'),
    fallback: '127.0.0.1',
    allowed: 'a host name or address',
    help: 'Where the embedded parts listen. `0.0.0.0` opens them to the network; the embedded broker then needs a login in mqttUrl.',
  }),
  embeddedMqttPort: setting({
    parse: port,
    fallback: '1883',
    allowed: '0 to 65535 (0 = any free port)',
    help: 'Port of the embedded broker.',
  }),
  embeddedOpenwhiskPort: setting({
    parse: port,
    fallback: '3233',
    allowed: '0 to 65535 (0 = any free port)',
    help: 'Port of the embedded OpenWhisk.',
  }),
  embeddedCouchdbPort: setting({
    parse: port,
    fallback: '5984',
    allowed: '0 to 65535 (0 = any free port)',
    help: 'Port of the embedded CouchDB.',
  }),
  embeddedInfluxdbPort: setting({
    parse: port,
    fallback: '8086',
    allowed: '0 to 65535 (0 = any free port)',
    help: 'Port of the embedded InfluxDB.',
  }),
  embeddedNamespaces: setting({
    parse: json(namespaces, { isSecret: true }),
    fallback: '{}',
    secret: true,
    allowed: 'a JSON object {"name": "UUID:KEY"}; not `guest`, whose key is owAuth',
    help: 'Further namespaces of the embedded OpenWhisk.',
  }),
  embeddedImages: setting({
    parse: json(z.record(z.string().min(1), imageProgram)),
    fallback: '{}',
    allowed:
      'a JSON object of image names; each {"command": [PROGRAM, ARGUMENT, …]} (arguments as JSON on stdin and, if short, as the last argument; result on the last line of stdout), {"listens": [PROGRAM, ARGUMENT, …]} (speaks /init and /run on the port in the environment variable PORT) or a folder with a program `exec`',
    help: 'What runs the blackbox actions of an image in the embedded OpenWhisk.',
    example: '{"flare/noaa":{"command":["/opt/flare/noaa.sh"]}}',
  }),
  embeddedContainers: setting({
    parse: oneOf('none', 'docker', 'podman'),
    fallback: 'none',
    allowed: '`none`, `docker` or `podman`',
    help: 'What runs the blackbox actions of images that embeddedImages does not name.',
  }),
  embeddedLimits: setting({
    parse: oneOf('generous', 'openwhisk'),
    fallback: 'generous',
    allowed: '`generous` or `openwhisk`',
    help: "The embedded OpenWhisk's limits: more than a site needs, or Apache OpenWhisk's own (60 fires and 60 invocations per minute, 30 at once).",
  }),
  maxPacketBytes: setting({
    parse: whole(1_024, 268_435_455),
    fallback: '16777216',
    allowed: '1024 to 268435455',
    help: 'The largest MQTT packet that the embedded broker takes.',
  }),
  simulate: setting({
    parse: boolean,
    fallback: 'false',
    sample: 'true',
    allowed: '`true` or `false`',
    help: 'Whether an imitated station (a lake buoy and a room sensor) publishes to the broker.',
  }),
  logLevel: setting({
    parse: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    fallback: 'info',
    allowed: 'trace, debug, info, warn, error, fatal, silent',
    help: 'The least severe log lines that are written.',
  }),
};

type Settings = typeof settings;
export type SettingKey = keyof Settings;

/** A row without a fallback may be absent. */
type Values = {
  readonly [K in SettingKey]: Settings[K] extends Setting<infer T>
    ? T | (K extends OptionalKey ? undefined : never)
    : never;
};
type OptionalKey =
  | 'providerUrl'
  | 'providerToken'
  | 'replica'
  | 'tlsCaFile'
  | 'mqttTlsCertFile'
  | 'mqttTlsKeyFile'
  | 'owAuth'
  | 'owSystemAuth'
  | 'couchdbExtPort'
  | 'couchdbPassword'
  | 'sharedKey'
  | 'secretsDir'
  | 'influxLocalToken'
  | 'influxCentralUrl'
  | 'workdirStore'
  | 'stateCouchdbUrl'
  | 'influxCentralToken';

export interface Config extends Values {
  readonly registrations: readonly MqttRegistration[];
  /** Settings that were given another value than the default: the sample ConfigMap spells out every default. */
  readonly given: ReadonlySet<string>;
}

/** One thing that is wrong with a configuration. */
export interface ConfigProblem {
  readonly key: string;
  readonly value?: string;
  readonly message: string;
}

/** Everything that is wrong with a configuration, at once. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];
  constructor(source: string, problems: readonly ConfigProblem[]) {
    const lines = problems.map(
      ({ key, value, message }) => `  ${key}${value === undefined ? '' : ` = ${JSON.stringify(value)}`}: ${message}`,
    );
    super(
      `the configuration ${source} has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${lines.join('\n')}`,
    );
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/**
 * Reads a ConfigMap (or a plain map of the same keys) and the environment, which wins.
 * @throws ConfigError with every problem
 */
export function loadConfig(file: string | undefined, environment: NodeJS.ProcessEnv): Config {
  const problems: ConfigProblem[] = [];
  const given = new Map<string, string>();
  if (file !== undefined) readConfigMap(file, given, problems);
  readEnvironment(environment, given, problems);
  return parseConfig(file ?? 'of the environment', given, problems);
}

function parseConfig(source: string, given: ReadonlyMap<string, string>, problems: ConfigProblem[]): Config {
  const values: Record<string, unknown> = {};
  for (const [key, row] of Object.entries(settings) as Array<[SettingKey, Setting<unknown>]>) {
    const value = given.get(key) ?? row.fallback;
    if (value === undefined) continue;
    const parsed = row.parse.safeParse(value);
    if (parsed.success) {
      values[key] = parsed.data;
      continue;
    }
    for (const issue of parsed.error.issues) {
      const detail = issue.code === 'custom' && issue.message !== 'Invalid input' ? `${issue.message}; ` : '';
      problems.push({ key, ...(!row.secret && { value }), message: `${detail}allowed: ${row.allowed}` });
    }
  }
  problems.push(...missing(values, given), ...openBroker(values));
  if (problems.length > 0) throw new ConfigError(source, problems);
  const config = values as Values;
  return {
    ...config,
    couchdbGateway: withPort(config.couchdbGateway, config.couchdbExtPort),
    registrations: mqttRegistrations(config.mqttTopics, config.readingTrigger),
    given: new Set([...given.keys()].filter((key) => isSetting(key) && given.get(key) !== fallbackOf(key))),
  };
}

/** Secrets that an outside endpoint needs and nobody can make up. */
function missing(values: Record<string, unknown>, given: ReadonlyMap<string, string>): ConfigProblem[] {
  const needs: Array<[endpoint: SettingKey, secret: SettingKey]> = [
    ['apiHost', 'owAuth'],
    ['couchdbGateway', 'couchdbPassword'],
    ['influxLocalUrl', 'influxLocalToken'],
    ['influxCentralUrl', 'influxCentralToken'],
  ];
  return needs
    .filter(
      ([endpoint, secret]) => values[endpoint] !== undefined && values[endpoint] !== 'embedded' && !given.has(secret),
    )
    .map(([endpoint, secret]) => ({
      key: secret,
      message: `is needed because ${endpoint} is not embedded; give it as ${secret} or, in a file, as ${secret}_FILE`,
    }));
}

/** An embedded broker that the network reaches and anybody may use. */
function openBroker({ embeddedHost, mqttUrl }: Record<string, unknown>): ConfigProblem[] {
  const isLoopback = /^(127\.|::1$|localhost$)/.test(String(embeddedHost));
  if (isLoopback || !/^(\w+:\/\/)?embedded(?![\w.-])/.test(String(mqttUrl))) return [];
  const message =
    'needs a login, because embeddedHost opens the embedded broker to the network: mqtt://USER:PASSWORD@embedded';
  return [{ key: 'mqttUrl', message }];
}

function withPort(gateway: string, extPort: number | undefined): string {
  if (gateway === 'embedded' || !extPort) return gateway;
  const url = new URL(gateway);
  if (!url.port) {
    if (extPort === 443) url.protocol = 'https:';
    url.port = String(extPort);
  }
  return url.toString().replace(/\/$/, '');
}

function readConfigMap(file: string, given: Map<string, string>, problems: ConfigProblem[]): void {
  let document: unknown;
  try {
    const content = readFileSync(file, 'utf8');
    if (content.length > MAX_CONFIG_BYTES) throw new Error(`larger than ${MAX_CONFIG_BYTES} bytes`);
    document = parseYaml(content, { logLevel: 'error' });
  } catch (error) {
    problems.push({ key: file, message: `can't be read: ${(error as Error).message}` });
    return;
  }
  const map = document as { kind?: unknown; data?: unknown } | null;
  const data = map?.kind === 'ConfigMap' ? map.data : map;
  if (data === null || data === undefined) return;
  if (typeof data !== 'object' || Array.isArray(data)) {
    problems.push({ key: file, message: 'must be a Kubernetes ConfigMap, or a map of settings' });
    return;
  }
  for (const [key, value] of Object.entries(data)) {
    if (!isSetting(key) && !isSetting(key.replace(/_FILE$/, ''))) {
      const nearest = nearestSetting(key);
      problems.push({ key, message: `is no setting${nearest ? `; did you mean ${nearest}?` : ''}` });
    } else if (typeof value !== 'string') {
      problems.push({
        key,
        value: JSON.stringify(value),
        message: 'must be text; put it in quotes, as Kubernetes demands',
      });
    } else {
      addValue(key, value, given, problems);
    }
  }
}

function readEnvironment(environment: NodeJS.ProcessEnv, given: Map<string, string>, problems: ConfigProblem[]): void {
  for (const key of Object.keys(settings)) {
    for (const variable of [key, `${key}_FILE`]) {
      const value = environment[variable];
      if (value !== undefined && value !== '') addValue(variable, value, given, problems);
    }
  }
}

function addValue(key: string, value: string, given: Map<string, string>, problems: ConfigProblem[]): void {
  if (isSetting(key)) {
    given.set(key, value);
    return;
  }
  try {
    given.set(key.replace(/_FILE$/, ''), readFileSync(value, 'utf8').replace(/\r?\n$/, ''));
  } catch (error) {
    problems.push({ key, value, message: `the file can't be read: ${(error as Error).message}` });
  }
}

function fallbackOf(key: SettingKey): string | undefined {
  return (settings[key] as Setting<unknown>).fallback;
}

function isSetting(key: string): key is SettingKey {
  return Object.hasOwn(settings, key);
}

/** The known key with the fewest edits to `key`, if few enough to be a slip. */
function nearestSetting(key: string): string | undefined {
  const ranked = Object.keys(settings)
    .map((known) => ({ known, edits: editDistance(key.toLowerCase(), known.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0]!;
  return best.edits <= Math.max(2, key.length / 3) ? best.known : undefined;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

/** The effective configuration, secrets masked, as `key: value` lines. */
export function describeConfig(config: Config): string {
  return (Object.keys(settings) as SettingKey[]).map((key) => `${key}: ${masked(key, config[key])}`).join('\n');
}

function masked(key: SettingKey, value: unknown): string {
  if (value === undefined)
    return (settings[key] as Setting<unknown>).secret ? '(made at the first start)' : '(not set)';
  if (key === 'mqttUrl') return String(value).replace(/\/\/[^/]*@/, '//***@');
  if ((settings[key] as Setting<unknown>).secret) return '***';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
