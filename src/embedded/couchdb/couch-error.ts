/** An answer other than success, in CouchDB's words: a status, an `error` for programs, a `reason` for people. */
export class CouchError extends Error {
  readonly status: number;
  readonly error: string;
  readonly headers: Record<string, string>;

  constructor(status: number, error: string, reason: string, headers: Record<string, string> = {}) {
    super(reason);
    this.status = status;
    this.error = error;
    this.headers = headers;
  }

  get body(): { error: string; reason: string } {
    return { error: this.error, reason: this.message };
  }
}

export const badRequest = (reason: string) => new CouchError(400, 'bad_request', reason);
export const notFound = (reason = 'missing') => new CouchError(404, 'not_found', reason);
export const conflict = () => new CouchError(409, 'conflict', 'Document update conflict.');
export const queryError = (reason: string) => new CouchError(400, 'query_parse_error', reason);
export const methodNotAllowed = (allowed: string) =>
  new CouchError(405, 'method_not_allowed', `Only ${allowed} allowed`, { allow: allowed });
