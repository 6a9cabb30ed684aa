import type { ServerResponse } from 'node:http';

/** InfluxDB 2's error codes and the HTTP status of each. */
const STATUS = {
  invalid: 400,
  unauthorized: 401,
  'not found': 404,
  'method not allowed': 405,
  'request too large': 413,
  conflict: 422,
  'unprocessable entity': 422,
  'internal error': 500,
  'not implemented': 501,
  unavailable: 503,
};

/** A request that is answered with an error, as InfluxDB words it. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: keyof typeof STATUS, message: string) {
    super(message);
    this.code = code;
    this.status = STATUS[code];
  }
}

/** Answers `{"code", "message"}`. */
export function sendError(response: ServerResponse, status: number, code: string, message: string): void {
  response.setHeader('x-platform-error-code', code);
  sendJson(response, status, { code, message });
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}
