import { createHmac, randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { nextRegistration } from '../core/registration.ts';
import { hookToken, isSameSecret } from '../core/token.ts';
import type { EventIntake } from '../ports/event-intake.ts';

/** A webhook: who has its token may fire its trigger. */
export interface Hook {
  readonly name: string;
  readonly trigger: string;
}

export interface HookParts {
  readonly hooks: readonly Hook[];
  /** The key that the hooks' tokens are made from. */
  readonly siteKey: string;
  readonly intake: Pick<EventIntake, 'accept'>;
  /** ms since 1970 */
  readonly now: () => number;
}

/** A firing's payload may have 1 MB. */
const MAX_BODY_BYTES = 512 * 1024;
const MAX_DELIVERY_LENGTH = 200;

/**
 * `POST /hooks/NAME` fires a trigger by way of the journal: 202 once the event is durable. The hook's token proves who may:
 * as `Authorization: Bearer`, as the last part of the path, as GitLab's `X-Gitlab-Token`, or as the key of GitHub's
 * `X-Hub-Signature-256`, where it does not travel at all. A delivery that comes again (GitHub's, GitLab's and the
 * `Idempotency-Key`) fires once.
 */
export function addHookRoutes(server: FastifyInstance, parts: HookParts): void {
  void server.register(async (scope) => {
    // Signatures are over the bytes as they came.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_BODY_BYTES }, (_request, body, done) =>
      done(null, body),
    );
    for (const path of ['/hooks/:name', '/hooks/:name/:token']) {
      scope.post<{ Params: { name: string; token?: string } }>(path, async (request, reply) => {
        const hook = parts.hooks.find(({ name }) => name === request.params.name);
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        if (!hook || !isAllowed(request, body, hookToken(parts.siteKey, hook.name))) {
          return reply.status(401).send({ error: 'no such hook, or the token or signature is not that of this hook' });
        }
        const accepted = await parts.intake.accept({
          registration: nextRegistration(hook.trigger).name,
          key: `hook ${hook.name} ${deliveryOf(request)}`,
          payload: JSON.stringify({
            type: 'hook',
            hook: hook.name,
            scheduledFor: new Date(parts.now()).toISOString(),
            ...eventOf(request),
            body: readBody(body),
          }),
        });
        return reply.status(202).send({ accepted });
      });
    }
  });
}

function isAllowed(
  request: FastifyRequest<{ Params: { name: string; token?: string } }>,
  body: Buffer,
  token: string,
): boolean {
  const signature = header(request, 'x-hub-signature-256');
  // A signature that is there counts, and nothing beside it.
  if (signature !== undefined) {
    return isSameSecret(signature, `sha256=${createHmac('sha256', token).update(body).digest('hex')}`);
  }
  const [scheme, bearer] = (request.headers.authorization ?? '').split(' ');
  const given = [
    scheme?.toLowerCase() === 'bearer' ? bearer : undefined,
    header(request, 'x-gitlab-token'),
    request.params.token,
  ];
  return given.some((text) => text !== undefined && isSameSecret(text, token));
}

/** What tells a delivery from its repetition. */
function deliveryOf(request: FastifyRequest): string {
  const given = ['x-github-delivery', 'x-gitlab-event-uuid', 'idempotency-key'].map((name) => header(request, name));
  return given.find((id) => id !== undefined && id.length <= MAX_DELIVERY_LENGTH) ?? randomUUID();
}

/** GitHub's and GitLab's name of what happened, e.g. `push`. */
function eventOf(request: FastifyRequest): { event?: string } {
  const event = header(request, 'x-github-event') ?? header(request, 'x-gitlab-event');
  return event === undefined ? {} : { event: event.slice(0, MAX_DELIVERY_LENGTH) };
}

/** JSON as what it says, anything else as text. */
function readBody(body: Buffer): unknown {
  const text = body.toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}
