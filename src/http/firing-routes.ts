import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { nextRegistration, triggerSchema } from '../core/registration.ts';
import type { EventIntake } from '../ports/event-intake.ts';

const firingSchema = z.strictObject({
  trigger: triggerSchema,
  payload: z.record(z.string(), z.unknown()),
  key: z.string().min(1).max(1_024),
});

/**
 * `POST /firings` with `{trigger, payload, key}` fires a trigger by way of the journal: 202 with `{accepted}` once it is
 * durable, false where the key was fired before. What commands of people start survives a crash so, and is in the books.
 */
export function addFiringRoutes(server: FastifyInstance, intake: Pick<EventIntake, 'accept'>): void {
  server.post('/firings', async (request, reply) => {
    const firing = firingSchema.safeParse(request.body);
    if (!firing.success) return reply.status(400).send({ error: `not a firing: ${z.prettifyError(firing.error)}` });
    const { trigger, payload, key } = firing.data;
    const registration = nextRegistration(trigger).name;
    const event = { registration, key: `firing ${trigger} ${key}`, payload: JSON.stringify(payload) };
    return reply.status(202).send({ accepted: await intake.accept(event) });
  });
}
