import type { IncomingMessage } from 'node:http';
import { BodyTooLarge, readBody } from '../../http.ts';
import { ApiError, malformed, malformedQuery, tooLarge } from '../api-error.ts';
import type { Identity } from '../entities/packages.ts';
import { isObject, type JsonObject, JsonSyntaxError, parseJson, validUtf8 } from '../json.ts';
import { MAX_BODY_BYTES, MAX_PAYLOAD_BYTES } from '../limits.ts';

/** An authenticated request to a namespace. */
export interface Call {
  readonly request: IncomingMessage;
  readonly method: string;
  readonly query: URLSearchParams;
  readonly caller: Identity;
  readonly transactionId: string;
  /** The namespace in the path, `_` resolved. */
  readonly namespace: string;
}

/** What is sent back. Without `contentType` the body is JSON; an empty body has none. */
export interface Answer {
  readonly status: number;
  readonly body?: string | Buffer;
  readonly contentType?: string;
  readonly activationId?: string;
  readonly headers?: ReadonlyArray<readonly [string, string]>;
}

export function json(value: unknown, status = 200): Answer {
  return { status, body: JSON.stringify(value) };
}

const YES = new Set(['true', 'yes', 'on', '1']);
const NO = new Set(['false', 'no', 'off', '0']);

/** A yes-or-no query parameter; one without a value counts as not given. @throws ApiError 400 */
export function flag(query: URLSearchParams, name: string, fallback = false): boolean {
  const value = query.get(name);
  if (value === null || value === '') return fallback;
  if (YES.has(value.toLowerCase())) return true;
  if (NO.has(value.toLowerCase())) return false;
  throw malformedQuery(name, `'${value}' is not a valid Boolean value`);
}

/** `limit`, `skip` and `count` of a list. @throws ApiError 400 */
export function paging(query: URLSearchParams, collection: string): { limit: number; skip: number; count: boolean } {
  const whole = (name: string, fallback: number) => {
    const value = query.get(name);
    if (value === null) return fallback;
    if (!/^-?\d+$/.test(value)) throw malformedQuery(name, `The value '${value}' is not an integer for ${collection}.`);
    return Number(value);
  };
  const limit = whole('limit', 30);
  if (limit < 0 || limit > 200) {
    throw malformedQuery('limit', `The value '${limit}' is not in the range of 0 to 200 for ${collection}.`);
  }
  const skip = whole('skip', 0);
  if (skip < 0)
    throw malformedQuery('skip', `The value '${skip}' is not greater than or equal to 0 for ${collection}.`);
  return { limit: limit === 0 ? 200 : limit, skip, count: flag(query, 'count') };
}

/** The media type of a body, lower case and without parameters; what OpenWhisk takes one for that is missing or none at all. */
export function mediaType(request: IncomingMessage): string {
  const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  return /^[\w.+-]+\/[\w.+*-]+$/.test(type) ? type : 'application/octet-stream';
}

/** The body of a PUT or of a rule's state: JSON of any kind. @throws ApiError 400, 415 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readAny(request);
  if (body.length > 0 || request.headers['content-type'] !== undefined) expectJson(request);
  return parse(body.toString());
}

/**
 * The arguments of an invocation or fire: a JSON object, `{}` if there is no body.
 * `bytes` is the object as it came, so that it can be passed on without being printed again.
 * @throws ApiError 400, 413, 415
 */
export async function readArguments(request: IncomingMessage): Promise<{ object: JsonObject; bytes: Buffer }> {
  const body = await readPayload(request);
  if (body.length > 0 || request.headers['content-type'] !== undefined) expectJson(request);
  if (body.length === 0) return { object: {}, bytes: Buffer.from('{}') };
  const text = body.toString();
  const object = parse(text);
  if (!isObject(object)) throw malformed('JSON object expected');
  return { object, bytes: validUtf8(body, text) };
}

/** A body of at most 1 MB. @throws ApiError 413 */
export async function readPayload(request: IncomingMessage): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > MAX_PAYLOAD_BYTES) throw tooLarge('Request', announced, MAX_PAYLOAD_BYTES);
  const body = await readAny(request);
  if (body.length > MAX_PAYLOAD_BYTES) throw tooLarge('Request', body.length, MAX_PAYLOAD_BYTES);
  return body;
}

/** Something that is wrong with the HTTP request itself: answered in plain text, and the connection is closed. */
export class ProtocolError extends Error {
  readonly status: number;
  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

async function readAny(request: IncomingMessage): Promise<Buffer> {
  try {
    if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw new BodyTooLarge(MAX_BODY_BYTES);
    return await readBody(request, MAX_BODY_BYTES);
  } catch (error) {
    if (error instanceof BodyTooLarge) throw new ProtocolError(400, 'Request too large');
    if ((error as NodeJS.ErrnoException).code?.startsWith('Z_'))
      throw malformed('the body is not what its encoding says');
    throw error;
  }
}

function expectJson(request: IncomingMessage): void {
  const type = mediaType(request);
  if (type === 'application/json') return;
  const text = `The request's Content-Type [${type}] is not supported. Expected:\napplication/json`;
  throw new ApiError(415, text, { routed: false });
}

function parse(text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw malformed(error.message);
    throw error;
  }
}
