import { isObject } from '../json.ts';
import type { Activation } from './activation.ts';
import { MAX_RESULT_BYTES, type RuntimeOutcome } from './runtime-process.ts';

/** What a call came to, as far as the activation's record tells. */
export type Outcome = Pick<Activation, 'statusCode' | 'result' | 'size'> & { readonly timedOut?: boolean };

/** What came of /init; undefined if the action is ready to run. */
export function initOutcome(came: RuntimeOutcome, timeoutMs: number): Outcome | undefined {
  if (came.kind !== 'answered') {
    return noAnswer(
      came.kind,
      `${timeoutMs} milliseconds during initialization`,
      'The action did not initialize and exited unexpectedly.',
    );
  }
  if (came.status === 200) return undefined;
  const text = came.body.toString();
  const answer = parsed(text);
  const error = (isObject(answer) && answer.error) || `The action failed during initialization: ${text}`;
  return { statusCode: 2, result: errorResult(error), size: text.length };
}

/** What came of /run. */
export function runOutcome(came: RuntimeOutcome, timeoutMs: number): Outcome {
  if (came.kind !== 'answered') {
    return noAnswer(
      came.kind,
      `${timeoutMs} milliseconds`,
      'The action did not produce a valid response and exited unexpectedly.',
    );
  }
  const { status, body, bytes } = came;
  const text = body.toString();
  if (bytes > MAX_RESULT_BYTES) {
    const error = `The action produced a response that exceeded the allowed length: ${bytes} > ${MAX_RESULT_BYTES} bytes. The truncated response was: ${text}`;
    return { statusCode: 1, result: errorResult(error), size: bytes };
  }
  const size = text.length;
  const value = parsed(text);
  if (status === 200 && Array.isArray(value)) return { statusCode: 0, result: body, size };
  if (isObject(value) && 'error' in value) {
    return { statusCode: status === 200 ? 1 : 2, result: errorResult(value.error), size };
  }
  if (status === 200 && isObject(value)) return { statusCode: 0, result: body, size };
  const error = `The action did not produce a valid JSON or JSON Array response: ${text}`;
  return { statusCode: 2, result: errorResult(error), size };
}

function noAnswer(kind: Exclude<RuntimeOutcome['kind'], 'answered'>, limit: string, lost: string): Outcome {
  switch (kind) {
    case 'timed-out':
      return { statusCode: 2, result: errorResult(`The action exceeded its time limits of ${limit}.`), timedOut: true };
    case 'out-of-memory':
      return { statusCode: 2, result: errorResult('The action exhausted its memory and was aborted.') };
    case 'lost':
      return { statusCode: 2, result: errorResult(lost) };
  }
}

export function errorResult(error: unknown): Buffer {
  return Buffer.from(JSON.stringify({ error }));
}

/** The value of a JSON text, undefined if it is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
