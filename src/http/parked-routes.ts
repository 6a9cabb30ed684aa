import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { ParkedRow } from '../ports/journal.ts';

/** What people and tools do with parked messages. */
export interface ParkedAccess {
  readonly count: () => number;
  readonly list: (filter: { registration?: string; code?: string; skip?: number; limit?: number }) => ParkedRow[];
  readonly get: (id: string) => Promise<{ row: ParkedRow; body: Buffer } | undefined>;
  /** Returns how many were fired again. */
  readonly redrive: (ids: readonly string[], body?: Uint8Array) => Promise<number>;
  /** Returns how many were deleted. */
  readonly discard: (ids: readonly string[]) => Promise<number>;
}

const MAX_LISTED = 1_000;

const filterSchema = z.object({ registration: z.string().optional(), code: z.string().optional() });
const listSchema = filterSchema.extend({
  skip: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(MAX_LISTED).default(100),
});
const editSchema = z.object({ body: z.string(), encoding: z.literal('base64').optional() }).optional();

/**
 * `GET /parked`, `GET /parked/ID`, `POST /parked/ID/redrive` (with a body to mend the message), `DELETE /parked/ID`;
 * `POST /parked/redrive` and `DELETE /parked` for all that a filter (`registration`, `code`) names.
 */
export function addParkedRoutes(server: FastifyInstance, parked: ParkedAccess): void {
  const idsOf = (query: unknown) => {
    const { registration, code } = filterSchema.parse(query);
    return parked
      .list({ ...(registration !== undefined && { registration }), ...(code !== undefined && { code }) })
      .map(({ id }) => id);
  };
  server.get('/parked', (request, reply) => {
    const query = listSchema.safeParse(request.query);
    if (!query.success) return reply.status(400).send({ error: z.prettifyError(query.error) });
    const { registration, code, skip, limit } = query.data;
    const filter = { ...(registration !== undefined && { registration }), ...(code !== undefined && { code }) };
    return { count: parked.count(), parked: parked.list({ ...filter, skip, limit }).map(described) };
  });
  server.get<{ Params: { id: string } }>('/parked/:id', async (request, reply) => {
    const found = await parked.get(request.params.id);
    if (!found) return reply.status(404).send({ error: `no message ${request.params.id} is parked` });
    const { row, body } = found;
    const text = isUtf8(body) ? { body: body.toString('utf8') } : { body: body.toString('base64'), encoding: 'base64' };
    return { ...described(row), ...text };
  });
  server.post<{ Params: { id: string } }>('/parked/:id/redrive', async (request, reply) => {
    const edit = editSchema.safeParse(request.body ?? undefined);
    if (!edit.success) return reply.status(400).send({ error: z.prettifyError(edit.error) });
    const body = edit.data && Buffer.from(edit.data.body, edit.data.encoding ?? 'utf8');
    const count = await parked.redrive([request.params.id], body);
    if (count === 0) return reply.status(404).send({ error: `no message ${request.params.id} is parked` });
    return { redriven: count };
  });
  server.post('/parked/redrive', async (request) => ({ redriven: await parked.redrive(idsOf(request.query)) }));
  server.delete<{ Params: { id: string } }>('/parked/:id', async (request, reply) => {
    const count = await parked.discard([request.params.id]);
    if (count === 0) return reply.status(404).send({ error: `no message ${request.params.id} is parked` });
    return { deleted: count };
  });
  server.delete('/parked', async (request) => ({ deleted: await parked.discard(idsOf(request.query)) }));
}

/** A row with its receive time as people read it. */
function described(row: ParkedRow): ParkedRow & { receivedAt: string } {
  return { ...row, receivedAt: new Date(Number(BigInt(row.id) / 1_000_000n)).toISOString() };
}
