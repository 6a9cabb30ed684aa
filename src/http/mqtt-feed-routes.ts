import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { FogwhiskError } from '../core/errors.ts';
import { batchSchema, topicSchema } from '../core/registration.ts';
import type { PlainDocument } from '../core/registration-document.ts';
import { type Feed, FeedRefusal } from '../flows/feed.ts';
import { CenterError, type StoredDocument } from '../ports/documents.ts';
import { acceptEmptyJson, callerOf } from './feed-caller.ts';

export interface MqttFeedParts {
  readonly feed: Feed;
  /** Bearer token of the operator, who may do what every key may. */
  readonly token: string;
}

const optionsSchema = z.object({
  url: z.string().max(2_000),
  topic: z.union([topicSchema, z.array(topicSchema).min(1).max(1_000)]),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).optional(),
  batch: batchSchema.partial().optional(),
  ordered: z.boolean().optional(),
  sites: z.union([z.literal('*'), z.array(z.string()).max(10_000)]).optional(),
  parameters: z.record(z.string(), z.unknown()).optional(),
  receiptTimeoutSeconds: z.number().optional(),
});

const createSchema = optionsSchema.extend({
  /** `_` is the namespace of the key: what `wsk` says where none is named. */
  trigger: z
    .string()
    .max(512)
    .regex(/^\/[^/]+\/[^/]+$/, 'must be /NAMESPACE/NAME'),
  /** The halves of the OpenWhisk key, where it is not in the header. */
  username: z.string().min(1).max(1_000).optional(),
  password: z.string().min(1).max(1_000).optional(),
});

const updateSchema = optionsSchema.partial().extend({ active: z.boolean().optional() });

/**
 * The provider's side of the feed of MQTT topics, as the predecessor's feed action calls it: `POST /mqtt` with
 * `{trigger, url, topic, username, password}` and `DELETE /mqtt/NAMESPACE/TRIGGER`, whose answers are 200 without a body
 * or 500 with its texts (`reason` is ours). `GET` and `PUT` are for the lifecycle events READ and UPDATE.
 * The key is in the header `Authorization: Basic`; {@link Feed} says when it may be absent.
 */
export function addMqttFeedRoutes(server: FastifyInstance, { feed, token }: MqttFeedParts): void {
  void server.register(async (scope) => {
    acceptEmptyJson(scope);
    const failed = (reply: FastifyReply, what: string, error: unknown) =>
      reply.status(500).send({ error: `failed to ${what} MQTT topic trigger`, reason: reasonOf(error) });

    scope.post('/mqtt', async (request, reply) => {
      try {
        const { username, password, ...registration } = parsed(createSchema, request.body);
        const caller = callerOf(request, token);
        const inBody = username !== undefined && password !== undefined ? `${username}:${password}` : undefined;
        const key = caller.kind === 'key' ? caller.key : inBody;
        if (key === undefined) throw new FeedRefusal('FORBIDDEN', 'the OpenWhisk key is needed: username and password');
        const { trigger, ...rest } = registration;
        const fields = { kind: 'mqtt', ...withTopics(rest) };
        const isSame = (current: StoredDocument) => isSameSource(fields, current);
        await feed.create(trigger, fields, key, isSame, { isKeyless: caller.kind !== 'key' });
        return await reply.status(200).send();
      } catch (error) {
        return failed(reply, 'add', error);
      }
    });
    scope.delete<Named>('/mqtt/:namespace/:trigger', async (request, reply) => {
      try {
        const caller = callerOf(request, token);
        if (caller.kind !== 'anonymous') onlyMqtt(await feed.read(idOf(request), caller));
        await feed.remove(idOf(request), caller);
        return await reply.status(200).send();
      } catch (error) {
        return failed(reply, 'remove', error);
      }
    });
    scope.get<Named>('/mqtt/:namespace/:trigger', async (request, reply) => {
      try {
        return described(onlyMqtt(await feed.read(idOf(request), callerOf(request, token))));
      } catch (error) {
        return reply.status(statusOf(error)).send({ error: reasonOf(error) });
      }
    });
    scope.put<Named>('/mqtt/:namespace/:trigger', async (request, reply) => {
      try {
        const { active = true, ...changes } = parsed(updateSchema, request.body ?? {});
        await feed.update(idOf(request), callerOf(request, token), (current) =>
          changed(onlyMqtt(current), changes, active),
        );
        return await reply.status(200).send();
      } catch (error) {
        return reply.status(statusOf(error)).send({ error: reasonOf(error) });
      }
    });
  });
}

interface Named {
  Params: { namespace: string; trigger: string };
}

function idOf({ params }: FastifyRequest<Named>): string {
  return `/${params.namespace}/${params.trigger}`;
}

/** An alarm is none of this feed's. */
function onlyMqtt(document: StoredDocument): StoredDocument {
  if (document.kind === 'alarm') throw new FeedRefusal('NOT_FOUND', `${document._id} is no registration of topics`);
  return document;
}

/** One topic stands where the predecessor's tools look for it, several in a field of their own besides. */
function withTopics<T extends { topic?: string | string[] | undefined }>({ topic, ...rest }: T) {
  if (topic === undefined) return rest;
  return typeof topic === 'string' ? { ...rest, topic } : { ...rest, topic: topic[0], topics: topic };
}

type Fields = Readonly<Record<string, unknown>>;

function isSameSource(fields: Fields, current: StoredDocument): boolean {
  const source = ({ url, topic, topics }: Fields) =>
    JSON.stringify([typeof url === 'string' ? url.replace(/\/\/[^/?#]*@/, '//') : null, topic, topics]);
  return source(fields) === source(current);
}

function changed(
  current: StoredDocument,
  changes: Omit<z.output<typeof updateSchema>, 'active'>,
  active: boolean,
): PlainDocument {
  const { topics, login, status: _, ...rest } = current;
  const status = active
    ? { active, dateChanged: Date.now() }
    : { active, dateChanged: Date.now(), reason: { kind: 'ADMIN', message: 'by an update of the feed' } };
  return {
    ...rest,
    ...(topics !== undefined && changes.topic === undefined && { topics }),
    // A new URL brings its own login, or none.
    ...(login !== undefined && changes.url === undefined && { login }),
    ...withTopics(changes),
    status,
  };
}

/** A registration as its owner sees it: without secrets. */
function described(document: StoredDocument) {
  const { trigger, url, topic, topics, qos, batch, ordered, sites = '*', parameters, status } = document;
  const {
    active = true,
    dateChanged,
    reason,
  } = (status ?? {}) as { active?: boolean; dateChanged?: number; reason?: unknown };
  return {
    config: {
      trigger,
      url: typeof url === 'string' ? url.replace(/\/\/[^/?#]*@/, '//') : url,
      topic: topics ?? topic,
      qos,
      batch,
      ordered,
      sites,
      parameters,
    },
    status: {
      active,
      ...(dateChanged !== undefined && { dateChanged, dateChangedISO: new Date(dateChanged).toISOString() }),
      ...(reason !== undefined && { reason }),
    },
  };
}

function parsed<T>(schema: z.ZodType<T, unknown>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const problems = result.error.issues
    .slice(0, 20)
    .map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
  throw new FeedRefusal('INVALID', problems.join('; '));
}

/** What may be told; everything else is for the log of the site. */
function reasonOf(error: unknown): string {
  const isForCallers = error instanceof FeedRefusal || error instanceof CenterError || error instanceof FogwhiskError;
  return isForCallers ? error.message : 'internal error';
}

function statusOf(error: unknown): number {
  if (error instanceof CenterError) return 503;
  if (!(error instanceof FeedRefusal)) return 500;
  return { INVALID: 400, FORBIDDEN: 401, NOT_FOUND: 404, CONFLICT: 409, PLATFORM_AWAY: 503 }[error.code];
}
