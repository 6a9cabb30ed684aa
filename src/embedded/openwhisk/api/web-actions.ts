import type { IncomingMessage } from 'node:http';
import { ApiError, notFound } from '../api-error.ts';
import { type Action, annotationOf, isTruthy } from '../entities/entities.ts';
import { isName } from '../entities/names.ts';
import { type Identity, type ResolvedAction, resolveAction } from '../entities/packages.ts';
import { type JsonObject, prettyJson } from '../json.ts';
import { MAX_BLOCKING_WAIT_MS } from '../limits.ts';
import { within } from './actions.ts';
import { headersForAction, identityOf } from './authentication.ts';
import { type Answer, mediaType, readPayload } from './call.ts';
import type { Platform } from './platform.ts';
import { argumentsOfContent, rawArguments } from './web-request.ts';
import { answerOf, type Extension } from './web-response.ts';

const METHODS = ['GET', 'DELETE', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'PATCH'];

const CORS: ReadonlyArray<readonly [string, string]> = [
  ['Access-Control-Allow-Origin', '*'],
  ['Access-Control-Allow-Methods', 'OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH'],
];
const ALLOWED_HEADERS = 'Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent';

/** `NAMESPACE/PACKAGE/ACTION[.EXTENSION][/PATH]` after `/api/v1/web/`. */
export interface WebTarget {
  readonly namespace: string;
  readonly package: string;
  readonly name: string;
  readonly extension: Extension;
  /** What follows the action, not decoded: "" or with a leading slash. */
  readonly rest: string;
}

/** Reads what a path names; undefined if it is no web action's (and is then treated as any other path). */
export function parseWebTarget(path: string, decode: (segment: string) => string): WebTarget | undefined {
  const [namespaceSegment, packageSegment, actionSegment, ...rest] = path.split('/');
  if (actionSegment === undefined) return undefined;
  const namespace = decode(namespaceSegment!);
  const packageName = decode(packageSegment!);
  const action = decode(actionSegment);
  if (![namespace, packageName, action].every(isName)) return undefined;
  const [, name = action, extension = 'http'] = /^(.+)\.(http|json|text|html|svg)$/.exec(action) ?? [];
  return {
    namespace,
    package: packageName,
    name,
    extension: extension as Extension,
    rest: rest.length === 0 ? '' : `/${rest.join('/')}`,
  };
}

/** Runs a web action for anybody, as its owner, and answers as an HTTP server would. @throws ApiError */
export async function webAction(
  platform: Platform,
  request: IncomingMessage,
  target: WebTarget,
  query: URLSearchParams,
  transactionId: string,
): Promise<Answer> {
  const method = request.method!;
  if (!METHODS.includes(method)) {
    const allow = METHODS.join(', ');
    const text = `HTTP method not allowed, supported methods: ${allow}`;
    throw new ApiError(405, text, { routed: false, headers: { Allow: allow } });
  }
  const { owner, resolved } = findWebAction(platform, target);
  const { action } = resolved;
  const customOptions = isTruthy(annotationOf(action, 'web-custom-options'));
  const requested = request.headers['access-control-request-headers'];
  const cors = customOptions ? [] : [...CORS, ['Access-Control-Allow-Headers', requested ?? ALLOWED_HEADERS] as const];
  if (method === 'OPTIONS' && !customOptions) return { status: 200, headers: cors };

  const user = identityOf(platform, request);
  const refused = (status: number, error: string): Answer => {
    return { status, body: prettyJson({ code: transactionId, error }), headers: cors };
  };
  if (!isAllowed(annotationOf(action, 'require-whisk-auth'), request, user)) {
    return refused(401, 'Authentication is possible but has failed or not yet been provided.');
  }
  try {
    platform.throttle.invoke(owner.namespace);
    const { given, args } = await readArguments(request, target, query, action, user);
    const payload = Buffer.from(JSON.stringify(args));
    const invocation = { caller: owner, target: resolved, payload, transactionId };
    const running = platform.invoker.invoke(invocation, given);
    const activation = await within(running, MAX_BLOCKING_WAIT_MS);
    if (!activation) return { ...refused(202, 'Response not yet ready.'), activationId: running.activationId };
    const answer = answerOf(activation, target.extension, transactionId);
    return { ...answer, headers: [...cors, ...(answer.headers ?? [])] };
  } catch (error) {
    if (error instanceof ApiError && error.routed && error.status === 400) return refused(400, error.message);
    throw error instanceof ApiError ? new ApiError(error.status, error.message, { routed: false }) : error;
  }
}

/** @throws ApiError 404, without saying whether there is such an action */
function findWebAction(platform: Platform, { namespace, package: packageName, name }: WebTarget) {
  const missing = new ApiError(404, notFound().message, { routed: false });
  const owner = [...platform.identities.values()].find((identity) => identity.namespace === namespace);
  if (!owner) throw missing;
  let resolved: ResolvedAction;
  try {
    const path = packageName === 'default' ? { namespace, name } : { namespace, package: packageName, name };
    resolved = resolveAction(platform.store, owner, path);
  } catch (error) {
    throw error instanceof ApiError ? missing : error;
  }
  if (annotationOf(resolved.action, 'web-export') !== true) throw missing;
  return { owner, resolved };
}

/** `require-whisk-auth`: true wants a key of this platform, a text or number wants itself in a header. */
function isAllowed(required: unknown, request: IncomingMessage, user: Identity | undefined): boolean {
  if (required === true) return user !== undefined;
  if (typeof required !== 'string' && typeof required !== 'number') return true;
  return request.headers['x-require-whisk-auth'] === String(required);
}

async function readArguments(
  request: IncomingMessage,
  target: WebTarget,
  query: URLSearchParams,
  action: Action,
  user: Identity | undefined,
): Promise<{ given: JsonObject; args: JsonObject }> {
  const body = await readPayload(request);
  const content = { query, body, mediaType: mediaType(request) };
  const raw = isTruthy(annotationOf(action, 'raw-http'));
  const given = raw ? rawArguments(content) : argumentsOfContent(content);
  const headers = headersForAction(request);
  if (body.length > 0) headers['content-type'] ??= 'application/octet-stream';
  const args = {
    ...given,
    __ow_method: request.method!.toLowerCase(),
    __ow_headers: headers,
    __ow_path: target.rest,
    ...(user ? { __ow_user: user.namespace } : {}),
  };
  return { given: raw ? {} : given, args };
}
