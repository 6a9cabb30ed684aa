import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isSameSecret } from '../core/token.ts';
import type { Caller } from '../flows/feed.ts';

/** Who asks: an OpenWhisk key as `Authorization: Basic`, the operator with the provider's bearer token, or nobody known. */
export function callerOf(request: FastifyRequest, providerToken: string): Caller {
  const [scheme = '', value] = (request.headers.authorization ?? '').split(' ');
  if (value && /^basic$/i.test(scheme)) return { kind: 'key', key: Buffer.from(value, 'base64').toString('utf8') };
  if (value && /^bearer$/i.test(scheme) && isSameSecret(value, providerToken)) return { kind: 'operator' };
  return { kind: 'anonymous' };
}

/** Lets a DELETE say that its body is JSON and have none, as HTTP clients of feed actions do. */
export function acceptEmptyJson(server: FastifyInstance): void {
  server.removeContentTypeParser('application/json');
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text === '' ? undefined : JSON.parse(text as string));
    } catch {
      done(Object.assign(new Error('the body is no JSON'), { statusCode: 400 }));
    }
  });
}
