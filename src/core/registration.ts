import { z } from 'zod';
import type { Alarm } from './alarm.ts';
import { topicFilterProblem } from './topic-filter.ts';

/** "When this happens, fire that trigger." */

export const batchSchema = z.strictObject({
  maxMessages: z.number().int().min(1).max(100_000).default(1_000),
  maxBytes: z.number().int().min(1_024).max(16_777_216).default(917_504),
  /** How long the first message of a batch waits for company, in ms. */
  lingerMs: z.number().int().min(0).max(3_600_000).default(25),
  /** `compat`: the predecessor's payload, one message per firing. */
  format: z.enum(['messages', 'compat']).default('messages'),
});

export type BatchOptions = z.output<typeof batchSchema>;

export const triggerSchema = z
  .string()
  .regex(/^(\/[^/]+\/)?[A-Za-z0-9_][A-Za-z0-9_@ .&-]*$/, 'must be a trigger name, or /NAMESPACE/NAME')
  .max(512);

export const topicSchema = z.string().superRefine((topic, context) => {
  const problem = topicFilterProblem(topic);
  if (problem) context.addIssue({ code: 'custom', message: problem });
});

export const mqttRegistrationSchema = z.strictObject({
  name: z.string().min(1).max(256).optional(),
  topic: topicSchema,
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).default(1),
  trigger: triggerSchema.optional(),
  batch: batchSchema.prefault({}),
  ordered: z.boolean().default(false),
});

/** What firing needs to know, whatever the event was. */
interface Fires {
  /** Unique at the site; what the books, the journal and the payload call it. */
  readonly name: string;
  /** `NAME` in the namespace of the key that fires, or `/NAMESPACE/NAME`. */
  readonly trigger: string;
  /** The OpenWhisk key (UUID:KEY) that fires; the site's own where absent. Secret. */
  readonly auth?: string;
  readonly batch: BatchOptions;
  /** One firing in flight, so that events are fired in the order in which they came. */
  readonly ordered: boolean;
  /** How long a receipt is waited for, in ms, where that is not the site's setting: a long-running action needs longer. */
  readonly receiptTimeoutMs?: number;
  /** Further members of the trigger's payload. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Why its events are kept in the journal and not fired, until it is enabled again. */
  readonly held?: string;
}

/** Messages that arrive on these topics. */
export interface MqttRegistration extends Fires {
  readonly kind: 'mqtt';
  /** Which broker: '' is the site's own, otherwise its URL without credentials. */
  readonly broker: string;
  /** How to log in to another broker than the site's own. Secret. */
  readonly login?: { readonly username: string; readonly password: string };
  /** The topic filters subscribed to, `$share/GROUP/` included where they are shared. A message counts once. */
  readonly topics: readonly string[];
  readonly qos: 0 | 1 | 2;
}

/** Instants of a schedule. */
export interface AlarmRegistration extends Fires {
  readonly kind: 'alarm';
  readonly alarm: Alarm;
}

/** The next steps that actions' receipts ask for. */
export interface NextRegistration extends Fires {
  readonly kind: 'next';
}

export type Registration = MqttRegistration | AlarmRegistration | NextRegistration;

/** Events that are fired one at a time, with a payload of their own. */
export const SINGLE: BatchOptions = { maxMessages: 1, maxBytes: 16_777_216, lingerMs: 0, format: 'messages' };

/**
 * The registrations of a configuration, with the defaults filled in: the name is the topic, made unique
 * by the trigger where one topic is registered twice.
 */
export function mqttRegistrations(
  rows: ReadonlyArray<z.output<typeof mqttRegistrationSchema>>,
  defaultTrigger: string,
): MqttRegistration[] {
  const names = new Set<string>();
  return rows.map(({ name, topic, trigger = defaultTrigger, ...row }) => {
    let unique = name ?? (names.has(topic) ? `${topic} > ${trigger}` : topic);
    for (let n = 2; names.has(unique); n++) unique = `${name ?? topic} (${n})`;
    names.add(unique);
    const batch = row.batch.format === 'compat' ? { ...row.batch, maxMessages: 1 } : row.batch;
    return { ...row, kind: 'mqtt', broker: '', topics: [topic], name: unique, trigger, batch };
  });
}

/**
 * The registration of the next steps that actions ask for: one for each trigger, or for each trigger and parent where
 * the parent fires with a key of its own. Its name says all of it, so that its events find it after a restart.
 */
export function nextRegistration(trigger: string, parent?: Registration): NextRegistration {
  // Of a step's step, too, it is the first parent that has the key.
  const own =
    parent?.auth === undefined ? undefined : { auth: parent.auth, of: triggerOfNext(parent.name)?.of ?? parent.name };
  return {
    kind: 'next',
    name: `next: ${trigger}${own ? ` of ${own.of}` : ''}`,
    trigger,
    ...(own && { auth: own.auth }),
    batch: { ...SINGLE, maxMessages: 1_000 },
    ordered: false,
  };
}

/** What the name of a next step's registration says; undefined for any other name. */
export function triggerOfNext(name: string): { trigger: string; of?: string } | undefined {
  const [, trigger, of] = /^next: (.+?)(?: of (.+))?$/s.exec(name) ?? [];
  return trigger === undefined ? undefined : { trigger, ...(of !== undefined && { of }) };
}
