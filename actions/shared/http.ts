import type { Reference } from './payload.ts';
import { ActionError } from './result.ts';

const TIMEOUT_MS = 10_000;

/**
 * Asks a reference with its token; follows no redirect, so that the token goes nowhere else.
 * @param code the code of the error if it can't be reached or doesn't answer 2xx
 * @throws ActionError
 */
export async function ask(reference: Reference, request: RequestInit, code: string): Promise<Response> {
  const { origin, pathname } = parseUrl(reference.url, 'the url of receipt and parameters', code);
  const meta = { url: origin + pathname };
  let response: Response;
  try {
    response = await fetch(reference.url, {
      ...request,
      headers: { ...request.headers, authorization: `Bearer ${reference.token}` },
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new ActionError(code, `${meta.url} can't be reached (${causeOf(error)}).`, meta);
  }
  if (!response.ok) {
    await response.body?.cancel();
    throw new ActionError(code, `${meta.url} answered ${response.status}.`, { ...meta, status: response.status });
  }
  return response;
}

/**
 * @param name what the URL is called; the text itself may hold a secret put in the wrong place
 * @throws ActionError with this code, if the text is no http(s) URL
 */
export function parseUrl(text: string, name: string, code: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new ActionError(code, `${name} must be an http:// or https:// URL.`);
  }
  return url;
}

/** The kind of a network error, e.g. `ECONNREFUSED`; fetch keeps it in the cause. */
export function causeOf(error: unknown): string {
  const { cause = error } = error as { cause?: unknown };
  const { code, name } = cause as { code?: unknown; name?: string };
  return typeof code === 'string' ? code : (name ?? 'Error');
}
