import { z } from 'zod';
import { topicFilterProblem } from './topic-filter.ts';

/** "When a message arrives on these topics, fire that trigger." */

const batchSchema = z.strictObject({
  maxMessages: z.number().int().min(1).max(100_000).default(1_000),
  maxBytes: z.number().int().min(1_024).max(16_777_216).default(917_504),
  /** How long the first message of a batch waits for company, in ms. */
  lingerMs: z.number().int().min(0).max(3_600_000).default(25),
  /** `compat`: the predecessor's payload, one message per firing. */
  format: z.enum(['messages', 'compat']).default('messages'),
});

export type BatchOptions = z.output<typeof batchSchema>;

const triggerSchema = z
  .string()
  .regex(/^(\/[^/]+\/)?[A-Za-z0-9_][A-Za-z0-9_@ .&-]*$/, 'must be a trigger name, or /NAMESPACE/NAME')
  .max(512);

const topicSchema = z.string().superRefine((topic, context) => {
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

export interface Registration {
  /** Unique at the site; what the books, the journal and the payload call it. */
  readonly name: string;
  /** The topic filter subscribed to, `$share/GROUP/` included where it is shared. */
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  /** `NAME` in the namespace of the site's key, or `/NAMESPACE/NAME`. */
  readonly trigger: string;
  readonly batch: BatchOptions;
  /** One firing in flight, so that messages are fired in the order in which they came. */
  readonly ordered: boolean;
}

/**
 * The registrations of a configuration, with the defaults filled in: the name is the topic, made unique
 * by the trigger where one topic is registered twice.
 */
export function mqttRegistrations(
  rows: ReadonlyArray<z.output<typeof mqttRegistrationSchema>>,
  defaultTrigger: string,
): Registration[] {
  const names = new Set<string>();
  return rows.map(({ name, trigger = defaultTrigger, ...row }) => {
    let unique = name ?? (names.has(row.topic) ? `${row.topic} > ${trigger}` : row.topic);
    for (let n = 2; names.has(unique); n++) unique = `${name ?? row.topic} (${n})`;
    names.add(unique);
    const batch = row.batch.format === 'compat' ? { ...row.batch, maxMessages: 1 } : row.batch;
    return { ...row, name: unique, trigger, batch };
  });
}
