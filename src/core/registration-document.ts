import { z } from 'zod';
import type { Alarm } from './alarm.ts';
import { FogwhiskError } from './errors.ts';
import { batchSchema, type Registration, SINGLE, topicSchema } from './registration.ts';
import { revealed, type Seal, type Secrets, secretSchema } from './sealed.ts';

/**
 * The documents of the CouchDB database `topic_listeners`: the predecessor's `{_id, trigger, url, topic}` and further
 * fields of ours, of which each has a default, so its own documents are read as they are.
 */

const VERSION = 1;
const MAX_DOCUMENT_CHARACTERS = 1_048_576;

/** A trigger with its namespace: `_`, which stands for that of the caller, says nothing in a document. */
export const fullTriggerSchema = z
  .string()
  .max(512)
  .regex(/^\/(?!_\/)[^/]+\/[A-Za-z0-9_][A-Za-z0-9_@ .&-]*$/, 'must be /NAMESPACE/NAME');

const siteSchema = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/);

const statusSchema = z.object({
  active: z.boolean(),
  /** ms since 1970, as in the documents of OpenWhisk's alarms. */
  dateChanged: z.number().optional(),
  reason: z
    .object({
      /** `AUTO`: by a disable rule; `ADMIN`: by a person. */
      kind: z.enum(['AUTO', 'ADMIN']),
      statusCode: z.number().optional(),
      message: z.string().max(10_000),
    })
    .optional(),
});

export type RegistrationStatus = z.output<typeof statusSchema>;

const commonFields = {
  _id: z.string().min(1).max(512),
  trigger: fullTriggerSchema,
  sites: z.union([z.literal('*'), z.array(siteSchema).max(10_000)]).default('*'),
  /** The OpenWhisk key that fires. */
  auth: secretSchema.optional(),
  /** The halves of that key in the predecessor's documents. */
  username: z.string().max(1_000).optional(),
  password: z.string().max(1_000).optional(),
  parameters: z.record(z.string(), z.unknown()).optional(),
  receiptTimeoutSeconds: z.number().int().min(1).max(86_400).optional(),
  status: statusSchema.optional(),
  /** `anyone`: made the predecessor's way, and removed its way, without the key. */
  removableBy: z.literal('anyone').optional(),
  version: z.number().int().max(VERSION, 'was written by a newer fogwhisk').default(VERSION),
};

const mqttFields = {
  kind: z.literal('mqtt'),
  /** Absent: each site's own broker. */
  url: z.string().max(2_000).optional(),
  topic: z.union([topicSchema, z.array(topicSchema).min(1).max(1_000)]).optional(),
  topics: z.array(topicSchema).min(1).max(1_000).optional(),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(1),
  /** User and password of the broker: JSON of {@link BrokerLogin}. */
  login: secretSchema.optional(),
  batch: batchSchema.prefault({}),
  ordered: z.boolean().default(false),
};

const alarmFields = { kind: z.literal('alarm'), alarm: z.unknown() };

const documentSchema = z.preprocess(
  (document) => (typeof document === 'object' && document !== null ? { kind: 'mqtt', ...document } : document),
  z.discriminatedUnion('kind', [
    z.object({ ...commonFields, ...mqttFields }),
    z.object({ ...commonFields, ...alarmFields }),
  ]),
);

const loginSchema = z.object({ username: z.string(), password: z.string().default('') });

type BrokerLogin = z.output<typeof loginSchema>;

/** What a document means at one site. */
export type ReadDocument =
  | { readonly kind: 'registration'; readonly registration: Registration }
  /** It is meant for other sites. */
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'bad'; readonly problems: readonly string[] };

/** What is needed to read a document at a site. */
export interface DocumentReader {
  readonly site: string;
  readonly secrets: Secrets;
  /** The site's own broker, as {@link brokerAddress} gives it; documents that name it need no second connection. */
  readonly ownBroker: BrokerAddress | undefined;
  readonly alarmSchema: z.ZodType<Alarm, unknown>;
}

/** Reads a document; never throws. Every problem is told at once. */
export function readDocument(document: Readonly<Record<string, unknown>>, reader: DocumentReader): ReadDocument {
  if (JSON.stringify(document).length > MAX_DOCUMENT_CHARACTERS) {
    return { kind: 'bad', problems: [`the document is larger than ${MAX_DOCUMENT_CHARACTERS} characters`] };
  }
  const parsed = documentSchema.safeParse(document);
  if (!parsed.success) return { kind: 'bad', problems: problemsOf(parsed.error) };
  const fields = parsed.data;
  if (fields.sites !== '*' && !fields.sites.includes(reader.site)) return { kind: 'elsewhere' };
  const key = keyOf(fields, reader.secrets);
  const held = key.problem ?? heldBy(fields.status);
  const common = {
    name: fields._id,
    trigger: fields.trigger,
    ...(key.auth !== undefined && { auth: key.auth }),
    ...(fields.receiptTimeoutSeconds !== undefined && { receiptTimeoutMs: fields.receiptTimeoutSeconds * 1_000 }),
    ...(fields.parameters && { parameters: fields.parameters }),
    ...(held !== undefined && { held }),
  };
  if (fields.kind === 'alarm') {
    const alarm = reader.alarmSchema.safeParse(fields.alarm);
    if (!alarm.success) return { kind: 'bad', problems: problemsOf(alarm.error, ['alarm']) };
    const registration: Registration = {
      ...common,
      kind: 'alarm',
      alarm: alarm.data,
      batch: SINGLE,
      ordered: alarm.data.overlap === 'queue',
    };
    return { kind: 'registration', registration };
  }
  return readMqtt(fields, common, reader);
}

type MqttFields = Extract<z.output<typeof documentSchema>, { kind: 'mqtt' }>;
type Common = Pick<Registration, 'name' | 'trigger' | 'auth' | 'receiptTimeoutMs' | 'parameters' | 'held'>;

function readMqtt(fields: MqttFields, common: Common, reader: DocumentReader): ReadDocument {
  const { qos, ordered } = fields;
  const address = fields.url === undefined ? undefined : brokerAddress(fields.url);
  const problems = mqttProblems(fields);
  let login = address?.login;
  if (fields.login) {
    try {
      const text = revealed(fields.login, reader.secrets, { document: fields._id, field: 'login' });
      login = loginSchema.parse(JSON.parse(text));
    } catch (error) {
      problems.push(error instanceof FogwhiskError ? error.message : 'login: must hold {"username", "password"}');
    }
  }
  if (problems.length > 0) return { kind: 'bad', problems };
  const batch = fields.batch.format === 'compat' ? { ...fields.batch, maxMessages: 1 } : fields.batch;
  const isOwn = !address || isSameBroker(address.url, login, reader.ownBroker);
  const broker = isOwn ? '' : withUser(address.url, login);
  const registration: Registration = {
    ...common,
    kind: 'mqtt',
    broker,
    topics: [...new Set(topicsOf(fields))],
    ...(login && !isOwn && { login }),
    qos,
    batch,
    ordered,
  };
  return { kind: 'registration', registration };
}

type CommonFields = Pick<MqttFields, '_id' | 'auth' | 'username' | 'password'>;

/** Events are kept rather than lost where the key that fires them can't be had. */
function keyOf(fields: CommonFields, secrets: Secrets): { auth?: string; problem?: string } {
  const { _id, auth, username, password } = fields;
  if (!auth) return username !== undefined && password !== undefined ? { auth: `${username}:${password}` } : {};
  try {
    return { auth: revealed(auth, secrets, { document: _id, field: 'auth' }) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

/** The OpenWhisk key that a document's registration belongs to; undefined where it has none, or none that can be had. */
export function documentKey(document: PlainDocument, secrets: Secrets): string | undefined {
  const parsed = documentSchema.safeParse(document);
  return parsed.success ? keyOf(parsed.data, secrets).auth : undefined;
}

/** What is wrong with a document that is to be stored, but for what only its sites can tell. */
export function documentProblems(document: PlainDocument): string[] {
  const parsed = documentSchema.safeParse(document);
  if (!parsed.success) return problemsOf(parsed.error);
  return parsed.data.kind === 'mqtt' ? mqttProblems(parsed.data) : [];
}

function topicsOf({ topic, topics }: MqttFields): readonly string[] {
  return topics ?? (Array.isArray(topic) ? topic : topic === undefined ? [] : [topic]);
}

function mqttProblems(fields: MqttFields): string[] {
  const isBroker = fields.url === undefined || brokerAddress(fields.url) !== null;
  return [
    ...(topicsOf(fields).length === 0 ? ['topic: is missing'] : []),
    ...(isBroker ? [] : ['url: must be mqtt://, mqtts://, ws://, wss:// (or http:// for mqtt://)']),
  ];
}

function heldBy(status: RegistrationStatus | undefined): string | undefined {
  if (status === undefined || status.active) return undefined;
  return status.reason ? `disabled: ${status.reason.message}` : 'disabled';
}

function problemsOf(error: z.ZodError, place: readonly string[] = []): string[] {
  return error.issues.slice(0, 20).map(({ path, message }) => `${[...place, ...path].join('.')}: ${message}`);
}

/** A broker's URL without user and password, port always named, and its login. */
export interface BrokerAddress {
  readonly url: string;
  readonly login?: BrokerLogin;
}

const PROTOCOLS: Record<string, { protocol: string; port: string }> = {
  'mqtt:': { protocol: 'mqtt', port: '1883' },
  'mqtts:': { protocol: 'mqtts', port: '8883' },
  'ws:': { protocol: 'ws', port: '80' },
  'wss:': { protocol: 'wss', port: '443' },
  // How the predecessor wrote its brokers.
  'http:': { protocol: 'mqtt', port: '1883' },
  'https:': { protocol: 'mqtts', port: '8883' },
};

/** The broker that a URL names; null for text that names none. */
export function brokerAddress(text: string): BrokerAddress | null {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const known = url && PROTOCOLS[url.protocol];
  if (!url?.hostname || !known) return null;
  // The URL parser leaves out a port that is HTTP's own, which `http://broker:80` means all the same.
  const port = url.port || (/^http:\/\/[^/]*:80(?:\/|$)/.test(text) ? '80' : known.port);
  const path = url.pathname === '/' ? '' : url.pathname;
  const login = url.username ? { username: decode(url.username), password: decode(url.password) } : undefined;
  return { url: `${known.protocol}://${url.hostname}:${port}${path}${url.search}`, ...(login && { login }) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % is a % that was not encoded
  }
}

function isSameBroker(url: string, login: BrokerLogin | undefined, own: BrokerAddress | undefined): boolean {
  return own?.url === url && (!login || login.username === own.login?.username);
}

/** Two users of one broker are two connections. */
function withUser(url: string, login: BrokerLogin | undefined): string {
  return login ? url.replace('://', `://${encodeURIComponent(login.username)}@`) : url;
}

/** A document as CouchDB holds it. */
export interface PlainDocument {
  readonly _id: string;
  readonly [field: string]: unknown;
}

/**
 * The same document with its plain secrets sealed: the OpenWhisk key of `username` and `password`, and the login of `url`.
 * @throws FogwhiskError `SHARED_KEY_MISSING`
 */
export function withoutPlainSecrets<T extends PlainDocument>(document: T, seal: Seal): T {
  const { username, password, ...rest } = document;
  const place = (field: string) => ({ document: document._id, field });
  const address = typeof document.url === 'string' ? brokerAddress(document.url) : null;
  const key = typeof username === 'string' && typeof password === 'string' ? `${username}:${password}` : undefined;
  if (key === undefined && !address?.login) return document;
  const sealed = {
    ...(key !== undefined && { auth: seal.seal(key, place('auth')) }),
    ...(address?.login && { login: seal.seal(JSON.stringify(address.login), place('login')) }),
  };
  // What stands sealed or by reference already is what counts.
  return {
    ...sealed,
    ...(key === undefined ? document : rest),
    ...(address?.login && { url: withoutLogin(document.url as string) }),
  } as unknown as T;
}

/** Only the login goes: a URL that is written again as a whole may lose its port or gain a slash. */
function withoutLogin(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/?#]*@/i, '$1');
}
