import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { receiptSchema } from '../core/firing.ts';
import { isSameSecret, type ParameterScope, parameterScope, receiptToken } from '../core/token.ts';
import type { Feed } from '../flows/feed.ts';
import type { EventIntake } from '../ports/event-intake.ts';
import { addAlarmFeedRoutes } from './alarm-feed-routes.ts';
import { addFiringRoutes } from './firing-routes.ts';
import { addHookRoutes, type Hook } from './hook-routes.ts';
import type { Metrics } from './metrics.ts';
import { addMqttFeedRoutes } from './mqtt-feed-routes.ts';
import { addParkedRoutes, type ParkedAccess } from './parked-routes.ts';
import type { ReceiptInbox } from './receipt-inbox.ts';
import type { SiteHealth, SiteStatus } from './site-status.ts';

/** What the HTTP face shows and asks; everything but health needs a token. */
export interface HttpParts {
  readonly inbox: ReceiptInbox;
  /** Bearer token of people and tools. */
  readonly token: string;
  /** The key that receipt and parameter tokens are made from. */
  readonly siteKey: string;
  /** What actions may ask for by the token of a firing. */
  readonly parameters: (scope: ParameterScope) => Readonly<Record<string, unknown>>;
  readonly feed: Feed;
  readonly health: () => SiteHealth;
  readonly status: () => SiteStatus;
  readonly parked: ParkedAccess;
  readonly hooks: readonly Hook[];
  readonly intake: Pick<EventIntake, 'accept'>;
}

const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** The provider's HTTP face, not listening yet. */
export function createServer(parts: HttpParts): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    keepAliveTimeout: 75_000,
    requestTimeout: 30_000,
    // A connection that never sent a request counts as busy and would hold up the stop.
    forceCloseConnections: true,
  });
  server.setErrorHandler((error: { statusCode?: number; message: string }, _request, reply) => {
    const status = error.statusCode ?? 500;
    return reply.status(status).send({ error: status < 500 ? error.message : 'internal error' });
  });

  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', (_request, reply) => {
    const problems = notReady(parts.health());
    return reply.status(problems.length === 0 ? 200 : 503).send({ ready: problems.length === 0, problems });
  });

  server.post('/receipts', (request, reply) => {
    const receipt = receiptSchema.safeParse(request.body);
    if (!receipt.success) {
      const problems = receipt.error.issues.slice(0, 20).map(({ path, message }) => `${path.join('.')}: ${message}`);
      return reply.status(400).send({ error: `not a receipt: ${problems.join('; ')}` });
    }
    if (!isSameSecret(bearer(request), receiptToken(parts.siteKey, receipt.data.batchId))) {
      return reply.status(401).send({ error: "the receipt's token is not that of its batch" });
    }
    parts.inbox.accept(receipt.data);
    return reply.status(204).send();
  });
  server.get('/parameters', (request, reply) => {
    const token = bearer(request);
    const scope = isSameSecret(token, parts.token) ? 'own' : parameterScope(parts.siteKey, token, Date.now() / 1_000);
    if (scope) return parts.parameters(scope);
    return reply.status(401).send({ error: "the token is not, or no longer, one for this site's parameters" });
  });

  addMqttFeedRoutes(server, { feed: parts.feed, token: parts.token });
  addAlarmFeedRoutes(server, { feed: parts.feed, token: parts.token });
  addHookRoutes(server, { hooks: parts.hooks, siteKey: parts.siteKey, intake: parts.intake, now: Date.now });

  let metrics: Promise<Metrics> | undefined;
  void server.register(async (guarded) => {
    guarded.addHook('onRequest', async (request, reply) => {
      if (isSameSecret(bearer(request), parts.token)) return;
      await reply
        .status(401)
        .header('www-authenticate', 'Bearer')
        .send({ error: 'a bearer token is needed: see providerToken' });
    });
    guarded.get('/status', () => parts.status());
    addParkedRoutes(guarded, parts.parked);
    addFiringRoutes(guarded, parts.intake);
    guarded.get('/metrics', async (_request, reply) => {
      metrics ??= import('./metrics.ts').then(({ createMetrics }) => createMetrics(parts.status));
      const { contentType, read } = await metrics;
      return reply.type(contentType).send(await read());
    });
  });
  return server;
}

/** Why the site is not ready, as sentences. */
function notReady({ broker, journal }: SiteHealth): string[] {
  const problems: string[] = [];
  if (broker === 'disconnected') problems.push('the MQTT broker is not connected');
  if (journal.full)
    problems.push('the journal is full: reading from the broker has stopped until events are confirmed');
  if (journal.stalledBy) problems.push(`the journal cannot be written: ${journal.stalledBy}`);
  return problems;
}

function bearer(request: FastifyRequest): string {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  return scheme?.toLowerCase() === 'bearer' && token ? token : '';
}
