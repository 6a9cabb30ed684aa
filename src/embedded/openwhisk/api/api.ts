import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Handler } from '../../http.ts';
import { ApiError, noSuchRoute } from '../api-error.ts';
import { checkName, isName } from '../entities/names.ts';
import { checkOwner, type Identity } from '../entities/packages.ts';
import * as actions from './actions.ts';
import * as activations from './activations.ts';
import { authenticate } from './authentication.ts';
import { type Answer, type Call, json, ProtocolError } from './call.ts';
import { apiInfo, limitsOf, platformInfo } from './info.ts';
import * as packages from './packages.ts';
import type { Platform } from './platform.ts';
import * as rules from './rules.ts';
import * as triggers from './triggers.ts';
import { parseWebTarget, webAction } from './web-actions.ts';

const API = '/api/v1';
const WEB = `${API}/web/`;
const MAX_TARGET_CHARS = 8_192;

const CORS: ReadonlyArray<readonly [string, string]> = [
  ['Access-Control-Allow-Origin', '*'],
  ['Access-Control-Allow-Headers', 'Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent'],
  ['Access-Control-Allow-Methods', 'GET, DELETE, POST, PUT, HEAD'],
];
const INFO_CORS = [CORS[0]!, CORS[1]!, ['Access-Control-Allow-Methods', 'OPTIONS, GET, POST'] as const];
const OK: Answer = { status: 200, body: 'OK', contentType: 'text/plain; charset=UTF-8' };

const DOCS = 'docs/index.html?url=/api/v1/api-docs';
const docs: Answer = {
  status: 308,
  body: `The request, and all future requests should be repeated using <a href="${DOCS}">this URI</a>.`,
  contentType: 'text/html; charset=UTF-8',
  headers: [...CORS, ['Location', DOCS]],
};

/** The REST API (https://github.com/apache/openwhisk/blob/master/docs/rest_api.md) as a handler of HTTP requests. */
export function createApi(platform: Platform, log: Logger): Handler {
  return async (request, response) => {
    const transactionId = transactionIdOf(request);
    try {
      const { path, query } = parseTarget(request.url!);
      await respond(platform, { request, response, path, query, transactionId });
    } catch (error) {
      if (error instanceof ApiError) {
        const headers = [...(error.routed ? CORS : []), ...Object.entries(error.headers)];
        send(response, transactionId, {
          ...json({ code: transactionId, error: error.message }, error.status),
          headers,
        });
      } else if (error instanceof ProtocolError) {
        response.writeHead(error.status, { 'content-type': 'text/plain; charset=UTF-8', connection: 'close' });
        response.end(error.message);
      } else if (!request.destroyed || request.complete) {
        log.error({ err: error, method: request.method, url: request.url }, 'OpenWhisk: a request failed');
        send(response, transactionId, {
          ...json({ code: transactionId, error: 'There was an internal server error.' }, 500),
          headers: CORS,
        });
      }
    }
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The request's path, not decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly transactionId: string;
}

async function respond(platform: Platform, exchange: Exchange): Promise<void> {
  const { request, response, path, transactionId } = exchange;
  if (path !== API && !path.startsWith(`${API}/`))
    return send(response, transactionId, infoRoute(platform, request, path));
  const target = path.startsWith(WEB) ? parseWebTarget(path.slice(WEB.length), decodeSegment) : undefined;
  if (target) {
    const answer = await webAction(platform, request, target, exchange.query, transactionId);
    checkAccept(request, answer);
    return send(response, transactionId, answer);
  }
  if (request.method === 'OPTIONS') return send(response, transactionId, { ...OK, headers: CORS });
  if (request.method === 'GET' && path === `${API}/docs`) return send(response, transactionId, docs);
  if (request.method === 'GET' && (path === API || path === `${API}/`)) {
    return send(response, transactionId, { ...json(apiInfo), headers: CORS });
  }
  const caller = authenticate(platform, request);
  const answer = await route(platform, exchange, caller);
  // Of a REST answer only JSON is negotiated: a rule's `OK` is text, whatever the client accepts.
  if (answer.contentType === undefined) checkAccept(request, answer);
  send(response, transactionId, { ...answer, headers: [...CORS, ...(answer.headers ?? [])] });
}

function infoRoute(platform: Platform, request: IncomingMessage, path: string): Answer {
  if (request.method === 'OPTIONS') return { ...OK, headers: INFO_CORS };
  const known: Record<string, () => Answer> = {
    '/': () => json(platformInfo(platform)),
    '/ping': () => ({ status: 200, body: 'pong', contentType: 'text/plain; charset=UTF-8' }),
    '/invokers': () => ({ ...json({}), headers: INFO_CORS }),
    '/invokers/ready': () => ({ ...json({ unhealthy: '0/0' }, 500), headers: INFO_CORS }),
    '/invokers/healthy/count': () => ({ ...json(0), headers: INFO_CORS }),
    '/activation/count': () => ({ ...json(0), headers: INFO_CORS }),
  };
  const answer = known[path];
  if (answer && request.method === 'GET') return answer();
  const allow = answer ? 'GET, OPTIONS' : 'OPTIONS';
  throw new ApiError(405, `HTTP method not allowed, supported methods: ${allow}`, {
    routed: false,
    headers: { Allow: allow },
  });
}

/** Everything under /api/v1 that needs a key. */
async function route(platform: Platform, exchange: Exchange, caller: Identity): Promise<Answer> {
  const { request, path, query, transactionId } = exchange;
  const method = request.method!;
  const [root, namespaceSegment, collection = '', ...rest] = path
    .slice(API.length + 1)
    .split('/')
    .map(decodeSegment);
  if (root !== 'namespaces') throw noSuchRoute();
  if (!namespaceSegment) {
    if (method !== 'GET' || collection !== '') throw noSuchRoute();
    return json([caller.namespace]);
  }
  if (!isName(namespaceSegment)) {
    throw new ApiError(400, 'The namespace contains illegal characters.', { routed: false });
  }
  const namespace = namespaceSegment === '_' ? caller.namespace : namespaceSegment;
  const call: Call = { request, method, query, caller, transactionId, namespace };
  switch (collection) {
    case 'limits':
      if (method !== 'GET' || rest.join('') !== '') throw noSuchRoute();
      checkOwner(caller, namespace);
      return json(limitsOf(platform.limits));
    case 'activations':
      return activationsRoute(platform, call, rest);
    case 'actions':
      return actionsRoute(platform, call, rest);
    case 'packages':
    case 'triggers':
    case 'rules':
      return plainRoute(platform, call, collection, rest);
    default:
      throw noSuchRoute();
  }
}

async function actionsRoute(platform: Platform, call: Call, segments: readonly string[]): Promise<Answer> {
  const [first, second] = segments;
  if (!first) {
    if (segments.length > 1 || call.method !== 'GET') throw noSuchRoute();
    return actions.listActions(platform, call, undefined);
  }
  if (segments.length > 2) throw noSuchRoute();
  if (second === '') {
    checkName(first);
    if (call.method !== 'GET') throw noSuchRoute();
    return actions.listActions(platform, call, first);
  }
  const { namespace } = call;
  const path = second === undefined ? { namespace, name: first } : { namespace, package: first, name: second };
  const handler = actionHandlers[call.method];
  if (!handler) throw noSuchRoute();
  segments.forEach(checkName);
  return handler(platform, call, path);
}

const actionHandlers: Readonly<Record<string, typeof actions.putAction>> = {
  GET: async (...request) => actions.getAction(...request),
  PUT: actions.putAction,
  POST: actions.invokeAction,
  DELETE: actions.deleteAction,
};

async function activationsRoute(
  platform: Platform,
  call: Call,
  [id = '', part, ...more]: readonly string[],
): Promise<Answer> {
  if (call.method !== 'GET' || more.length > 0) throw noSuchRoute();
  if (id !== '') return activations.getActivation(platform, call, id, part);
  if (part !== undefined) throw noSuchRoute();
  return activations.listActivations(platform, call);
}

type EntityHandler = (
  platform: Platform,
  call: Call,
  path: { namespace: string; name: string },
) => Answer | Promise<Answer>;

const collections = {
  packages: {
    list: packages.listPackages,
    GET: packages.getPackage,
    PUT: packages.putPackage,
    DELETE: packages.deletePackage,
  },
  triggers: {
    list: triggers.listTriggers,
    GET: triggers.getTrigger,
    PUT: triggers.putTrigger,
    POST: triggers.fireTrigger,
    DELETE: triggers.deleteTrigger,
  },
  rules: {
    list: rules.listRules,
    GET: rules.getRule,
    PUT: rules.putRule,
    POST: rules.setRuleStatus,
    DELETE: rules.deleteRule,
  },
} as const;

async function plainRoute(
  platform: Platform,
  call: Call,
  collection: keyof typeof collections,
  segments: readonly string[],
): Promise<Answer> {
  const [name] = segments;
  if (segments.length > 1) throw noSuchRoute();
  if (!name) {
    if (call.method !== 'GET') throw noSuchRoute();
    return collections[collection].list(platform, call);
  }
  const handlers: Readonly<Record<string, unknown>> = collections[collection];
  const handler = call.method === 'list' ? undefined : (handlers[call.method] as EntityHandler | undefined);
  if (!handler) throw noSuchRoute();
  checkName(name);
  return handler(platform, call, { namespace: call.namespace, name });
}

/** @throws ApiError 406 where the client takes nothing that the answer could be */
function checkAccept(request: IncomingMessage, answer: Answer): void {
  const accept = request.headers.accept;
  if (accept === undefined || accept.includes('*/*') || answer.body === undefined) return;
  const type = answer.contentType ?? 'application/json';
  const media = type.split(';')[0]!;
  const family = `${media.split('/')[0]}/*`;
  const accepted = accept.split(',').map((range) => range.split(';')[0]!.trim().toLowerCase());
  if (accepted.includes(media) || accepted.includes(family)) return;
  throw new ApiError(406, `Resource representation is only available with these types:\n${type}`, { routed: false });
}

function send(response: ServerResponse, transactionId: string, answer: Answer): void {
  const headers: string[] = ['X-Request-ID', transactionId];
  for (const [name, value] of answer.headers ?? []) headers.push(name, value);
  if (answer.activationId !== undefined) headers.push('x-openwhisk-activation-id', answer.activationId);
  if (answer.body !== undefined) {
    headers.push('Content-Type', answer.contentType ?? 'application/json');
    headers.push('Content-Length', String(Buffer.byteLength(answer.body)));
  } else if (answer.status !== 204) headers.push('Content-Length', '0');
  response.writeHead(answer.status, headers);
  response.end(answer.body);
}

/** The request's own id, or a new one of 32 letters and digits. */
function transactionIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  if (typeof given === 'string' && !given.startsWith('sid_')) return given;
  return randomBytes(16).toString('hex');
}

/** @throws ProtocolError */
function parseTarget(target: string): { path: string; query: URLSearchParams } {
  if (target.length > MAX_TARGET_CHARS) {
    throw new ProtocolError(414, `URI length exceeds the configured limit of ${MAX_TARGET_CHARS} characters`);
  }
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const bad = /%(?![0-9a-f]{2})/i.exec(path);
  if (bad) {
    const at = bad.index + (/[0-9a-f]/i.test(path[bad.index + 1] ?? '') ? 2 : 1);
    const what = at < path.length ? `Invalid input '${path[at]}'` : 'Unexpected end of input';
    throw new ProtocolError(400, `Illegal request-target: ${what}, expected HEXDIG (line 1, column ${at + 1})`);
  }
  const clean = path.includes('/.') ? withoutDotSegments(path) : path;
  return { path: clean, query: new URLSearchParams(mark < 0 ? '' : target.slice(mark)) };
}

/** RFC 3986, 5.2.4: wskdeploy names a feed of another namespace by `../..`. */
function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [at, segment] of segments.entries()) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if ((segment === '.' || segment === '..') && at === segments.length - 1) kept.push('');
  }
  return `/${kept.join('/')}`;
}

/** What is not UTF-8 becomes U+FFFD, which no name may have. */
function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return '\ufffd';
  }
}
