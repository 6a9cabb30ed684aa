import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { Activation } from '../invocation/activation.ts';
import { isObject, type JsonObject, prettyJson } from '../json.ts';
import { type Answer, ProtocolError } from './call.ts';
import { isJson, isText } from './web-request.ts';

/** What a web action's caller asked for, by the extension of its name. */
export type Extension = 'http' | 'json' | 'text' | 'html' | 'svg';

const MEDIA_TYPES: Readonly<Record<Extension, string>> = {
  http: 'message/http',
  json: 'application/json',
  text: 'text/plain; charset=UTF-8',
  html: 'text/html; charset=UTF-8',
  svg: 'image/svg+xml',
};

/** These belong to the connection, not to the action. */
const NOT_FOR_ACTIONS = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade']);

/** A result that can't be shown as what was asked for. */
class UnfitResult extends Error {}

/** The answer that an action's result makes. @throws ProtocolError 500 for an array (as OpenWhisk answers it) */
export function answerOf(activation: Activation, extension: Extension, transactionId: string): Answer {
  const { activationId, statusCode } = activation;
  try {
    if (statusCode > 1) throw new UnfitResult('There was an error processing your request.');
    const result = JSON.parse(activation.result.toString()) as unknown;
    if (Array.isArray(result)) throw new ProtocolError(500, 'There was an internal server error.');
    return { ...shownAs(extension, statusCode === 1 ? (result as JsonObject).error : result), activationId };
  } catch (error) {
    if (!(error instanceof UnfitResult)) throw error;
    return { status: 400, body: prettyJson({ code: transactionId, error: error.message }), activationId };
  }
}

function shownAs(extension: Extension, value: unknown): Answer {
  if (extension === 'http') return httpAnswer(value);
  if (extension === 'json') {
    if (!isObject(value)) throw unfit(extension);
    return { status: 200, body: prettyJson(value) };
  }
  const field = isObject(value) ? (value[extension] ?? value.body) : value;
  if (field === undefined || field === null || (extension !== 'text' && typeof field !== 'string'))
    throw unfit(extension);
  const body = typeof field === 'string' ? field : prettyJson(field);
  return { status: 200, body, contentType: MEDIA_TYPES[extension] };
}

/** `{statusCode?, headers?, body?}` as an HTTP answer. */
function httpAnswer(value: unknown): Answer {
  if (!isObject(value)) throw unfit('http');
  const { body } = value;
  const given = headersOf(value.headers);
  const headers = given.filter(([name]) => name.toLowerCase() !== 'content-type');
  const status = statusOf(value.statusCode);
  if (body === undefined || body === null) return { status: status ?? 204, headers };
  const contentType = given.find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  return { status: status ?? 200, headers, ...bodyOf(body, contentType) };
}

function bodyOf(body: unknown, contentType: string | undefined): Pick<Answer, 'body' | 'contentType'> {
  const mediaType = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (mediaType !== undefined && !/^[\w.+-]+\/[\w.+-]+$/.test(mediaType)) {
    throw new UnfitResult('Response did not specify a known content-type.');
  }
  const mismatch = () => new UnfitResult('Response type in header did not match generated content type.');
  if (typeof body !== 'string') {
    if (mediaType !== undefined && !isJson(mediaType)) throw mismatch();
    return { body: prettyJson(body), contentType: contentType ?? 'application/json' };
  }
  if (contentType === undefined || mediaType === undefined) return { body, contentType: MEDIA_TYPES.html };
  if (isJson(mediaType)) {
    if (!isJsonText(body)) throw mismatch();
    return { body, contentType };
  }
  if (isText(mediaType)) {
    return {
      body,
      contentType:
        /;\s*charset=/i.test(contentType) || mediaType === MEDIA_TYPES.svg
          ? contentType
          : `${contentType}; charset=UTF-8`,
    };
  }
  if (body.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(body)) throw mismatch();
  return { body: Buffer.from(body, 'base64'), contentType };
}

function statusOf(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const status = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 599) throw unfit('http');
  return status;
}

function headersOf(value: unknown): Array<readonly [string, string]> {
  if (value === undefined) return [];
  if (!isObject(value)) throw unfit('http');
  const headers: Array<readonly [string, string]> = [];
  for (const [name, given] of Object.entries(value)) {
    for (const item of Array.isArray(given) ? given : [given]) {
      if (!['string', 'number', 'boolean'].includes(typeof item)) throw unfit('http');
      try {
        validateHeaderName(name);
        validateHeaderValue(name, String(item));
      } catch {
        throw unfit('http');
      }
      if (!NOT_FOR_ACTIONS.has(name.toLowerCase())) headers.push([name, String(item)]);
    }
  }
  return headers;
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function unfit(extension: Extension): UnfitResult {
  return new UnfitResult(`Response is not valid '${MEDIA_TYPES[extension].split(';')[0]}'.`);
}
