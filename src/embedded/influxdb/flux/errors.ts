import type { Span } from './ast.ts';

/** A query that can't be answered, in the words, status and code in which InfluxDB reports it. */
export class FluxError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(message: string, { status = 400, code = 'invalid' }: { status?: number; code?: string } = {}) {
    super(message);
    this.name = 'FluxError';
    this.status = status;
    this.code = code;
  }
}

/** `line:column-line:column`, as Flux prints where something stands. */
export function formatSpan(span: Span): string {
  return `${span.start.line}:${span.start.column}-${span.end.line}:${span.end.column}`;
}

/** Wrong in the text itself: found before anything runs. */
export function syntaxError(span: Span, message: string): FluxError {
  return new FluxError(`compilation failed: error @${formatSpan(span)}: ${message}`);
}

/** Wrong in names, arguments or types: found before any data is read. */
export function semanticError(span: Span, message: string): FluxError {
  return new FluxError(`error @${formatSpan(span)}: ${message}`);
}

/** A call whose arguments make no sense, told by the called function. */
export function callError(name: string, span: Span, message: string): FluxError {
  return new FluxError(`error calling function "${name}" @${formatSpan(span)}: ${message}`);
}

/** Something in the data that a transformation can't go on with; what runs the transformation adds its name and place. */
export class Fault extends Error {}

/** Wrong in the data, told without a place. */
export function runtimeError(message: string): FluxError {
  return new FluxError(`runtime error: ${message}`);
}
