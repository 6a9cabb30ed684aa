import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AlarmFeedProblem, type AlarmFields, createdAlarm, updatedAlarm } from '../core/alarm-feed.ts';
import { FogwhiskError } from '../core/errors.ts';
import { type Caller, type Feed, FeedRefusal } from '../flows/feed.ts';
import { CenterError, type StoredDocument } from '../ports/documents.ts';
import { acceptEmptyJson, callerOf } from './feed-caller.ts';

export interface AlarmFeedParts {
  readonly feed: Feed;
  /** Bearer token of the operator, who may see, change and remove what any key made. */
  readonly token: string;
}

const createSchema = z.looseObject({
  feed: z.enum(['alarm', 'interval', 'once']),
  /** `/NAMESPACE/NAME`; the namespace `_` is that of the key. */
  trigger: z
    .string()
    .max(512)
    .regex(/^\/[^/]+\/[^/]+$/, 'must be /NAMESPACE/NAME'),
  sites: z.union([z.literal('*'), z.array(z.string()).max(10_000)]).optional(),
});
const updateSchema = z.looseObject({ sites: createSchema.shape.sites });

interface Named {
  Params: { namespace: string; trigger: string };
}

/**
 * The provider's side of the feeds of alarms, called by our feed actions with the user's OpenWhisk key as
 * `Authorization: Basic`: `POST /alarms` with `{feed, trigger, …parameters}`; `GET`, `PUT` (parameters) and `DELETE`
 * of `/alarms/NAMESPACE/TRIGGER`. Answers and texts are those of OpenWhisk's alarms package.
 */
export function addAlarmFeedRoutes(server: FastifyInstance, { feed, token }: AlarmFeedParts): void {
  void server.register(async (scope) => {
    acceptEmptyJson(scope);
    scope.setErrorHandler((error, _request, reply) => refuse(reply, error));

    scope.post('/alarms', async (request) => {
      const { trigger, feed: type, sites, ...params } = parsed(createSchema, request.body);
      const caller = callerOf(request, token);
      if (caller.kind !== 'key') throw new FeedRefusal('FORBIDDEN', KEY_NEEDED);
      const now = Date.now();
      const alarm = createdAlarm(type, params, now);
      const status = { active: true, dateChanged: now };
      const fields = { kind: 'alarm', alarm, status, ...(sites !== undefined && { sites }) };
      await feed.create(trigger, fields, caller.key, (current) => isSame(alarm, current, params));
      return { status: 'success' };
    });
    scope.get<Named>('/alarms/:namespace/:trigger', async (request) =>
      described(await readAlarm(feed, idOf(request), callerOf(request, token))),
    );
    scope.put<Named>('/alarms/:namespace/:trigger', async (request) => {
      const { sites, ...params } = parsed(updateSchema, request.body ?? {});
      await feed.update(idOf(request), callerOf(request, token), (current) => {
        const { status } = current as { status?: { reason?: { kind?: unknown } } };
        if (status?.reason?.kind === 'ADMIN') {
          throw new AlarmFeedProblem(`${current._id} cannot be updated because it was disabled by an admin.`);
        }
        const now = Date.now();
        const alarm = updatedAlarm(alarmOf(current), params, now);
        return { ...current, alarm, status: { active: true, dateChanged: now }, ...(sites !== undefined && { sites }) };
      });
      return { status: 'success' };
    });
    scope.delete<Named>('/alarms/:namespace/:trigger', async (request) => {
      const caller = callerOf(request, token);
      await readAlarm(feed, idOf(request), caller);
      await feed.remove(idOf(request), caller);
      return { status: 'success' };
    });
  });
}

const KEY_NEEDED = 'the OpenWhisk key is needed, as Authorization: Basic';

/** A registration of messages is none of these feeds'. */
async function readAlarm(feed: Feed, trigger: string, caller: Caller): Promise<StoredDocument> {
  const document = await feed.read(trigger, caller);
  alarmOf(document);
  return document;
}

function alarmOf(document: StoredDocument): AlarmFields {
  if (document.kind === 'alarm') return document.alarm as AlarmFields;
  throw new FeedRefusal('NOT_FOUND', `${document._id} is not registered with a feed of alarms`);
}

function idOf({ params }: FastifyRequest<Named>): string {
  return `/${params.namespace}/${params.trigger}`;
}

/** When it was made is no difference, nor is the start of an interval that was given none. */
function isSame(alarm: AlarmFields, current: StoredDocument, params: Readonly<Record<string, unknown>>): boolean {
  if (current.kind !== 'alarm') return false;
  const { createdAt: _, ...there } = current.alarm as AlarmFields;
  const wanted = { ...alarm, createdAt: undefined, ...(!params.startDate && { startDate: there.startDate }) };
  return canonical(wanted) === canonical(there);
}

function canonical(fields: AlarmFields): string {
  return JSON.stringify(
    Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .sort(),
  );
}

/** As the package's READ shows it, and what is ours. */
function described(document: StoredDocument) {
  const [, namespace, name] = document._id.split('/');
  const { createdAt: _, ...alarm } = alarmOf(document);
  const {
    active = true,
    dateChanged = 0,
    reason,
  } = (document.status ?? {}) as {
    active?: boolean;
    dateChanged?: number;
    reason?: unknown;
  };
  return {
    config: { name, namespace, ...alarm, ...(document.sites !== undefined && { sites: document.sites }) },
    status: {
      active,
      dateChanged,
      dateChangedISO: new Date(dateChanged).toISOString(),
      ...(reason !== undefined && { reason }),
    },
  };
}

function parsed<T>(schema: z.ZodType<T, unknown>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new AlarmFeedProblem(z.prettifyError(result.error));
}

function refuse(reply: FastifyReply, error: unknown) {
  if (error instanceof AlarmFeedProblem) return reply.status(400).send({ error: error.message });
  if (error instanceof CenterError) return reply.status(503).send({ error: error.message });
  if (error instanceof FeedRefusal) {
    const status = { INVALID: 400, FORBIDDEN: 401, NOT_FOUND: 404, CONFLICT: 409, PLATFORM_AWAY: 503 }[error.code];
    return reply.status(status).send({ error: error.message });
  }
  if (error instanceof FogwhiskError) return reply.status(500).send({ error: error.message });
  const { statusCode = 500, message } = error as { statusCode?: number; message: string };
  return reply.status(statusCode).send({ error: statusCode < 500 ? message : 'internal error' });
}
