import { malformed, parametersNotAllowed } from '../api-error.ts';
import { isObject, type JsonObject, JsonSyntaxError, parseJson } from '../json.ts';

/** The arguments that only the platform gives. */
const RESERVED = new Set(['__ow_method', '__ow_headers', '__ow_path', '__ow_user', '__ow_query', '__ow_body']);

export interface WebContent {
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly mediaType: string;
}

/**
 * Query and body as arguments, the body's before the query's; a body that is no form or JSON object is `__ow_body`.
 * @throws ApiError 400 for a JSON body that is none, and for arguments that only the platform gives
 */
export function argumentsOfContent({ query, body, mediaType }: WebContent): JsonObject {
  const content = contentOf(body, mediaType);
  const named = { ...Object.fromEntries(query), ...(isObject(content) ? content : {}) };
  if (Object.keys(named).some((key) => RESERVED.has(key))) throw parametersNotAllowed();
  return isObject(content) ? named : { ...named, __ow_body: content };
}

/** Query and body of an action with the annotation `raw-http`: uninterpreted, the body as text or base64. */
export function rawArguments({ query, body, mediaType }: WebContent): JsonObject {
  const asText = isText(mediaType) || mediaType === 'application/x-www-form-urlencoded';
  return { __ow_body: body.toString(asText ? 'utf8' : 'base64'), __ow_query: query.toString() };
}

/** Whether a body of this type is text; everything else is handed over, and taken, as base64. */
export function isText(mediaType: string): boolean {
  return /^text\/|^application\/(?:xml|javascript)$|\+xml$/.test(mediaType);
}

export function isJson(mediaType: string): boolean {
  return mediaType === 'application/json' || mediaType.endsWith('+json');
}

function contentOf(body: Buffer, mediaType: string): unknown {
  if (body.length === 0) return {};
  if (mediaType === 'application/x-www-form-urlencoded')
    return Object.fromEntries(new URLSearchParams(body.toString()));
  if (!isJson(mediaType)) return body.toString(isText(mediaType) ? 'utf8' : 'base64');
  try {
    return parseJson(body.toString());
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw malformed(error.message);
    throw error;
  }
}
