/**
 * A request that is refused. `routed` says whether the request had reached its route: OpenWhisk sends its CORS headers with
 * those answers only, not with those of a request it could not understand or admit.
 */
export class ApiError extends Error {
  readonly status: number;
  readonly routed: boolean;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, text: string, options: { routed?: boolean; headers?: Record<string, string> } = {}) {
    super(text);
    this.status = status;
    this.routed = options.routed ?? true;
    this.headers = options.headers ?? {};
  }
}

/** 400: the body can't be read as what it should be. */
export function malformed(detail: string): ApiError {
  return new ApiError(400, `The request content was malformed:\n${detail}`, { routed: false });
}

/** 400: a query parameter has no meaning. */
export function malformedQuery(name: string, detail: string): ApiError {
  return new ApiError(400, `The query parameter '${name}' was malformed:\n${detail}`, { routed: false });
}

/** 404: the path or method means nothing here. */
export function noSuchRoute(): ApiError {
  return new ApiError(404, 'The requested resource could not be found.', { routed: false });
}

/** 404: there is no such entity. */
export function notFound(): ApiError {
  return new ApiError(404, 'The requested resource does not exist.');
}

/** 409: actions, packages, rules and triggers of a namespace share their names. */
export function wrongCollection(): ApiError {
  return new ApiError(409, 'Resource by this name exists but is not in this collection.');
}

/** 403: somebody else's. @param what `namespace` or `namespace/name` */
export function forbidden(what: string): ApiError {
  return new ApiError(403, `The supplied authentication is not authorized to access '${what}'.`);
}

/** 413 for a part of a request or entity. */
export function tooLarge(part: string, bytes: number, allowed: number): ApiError {
  return new ApiError(413, `${part} larger than allowed: ${bytes} > ${allowed} bytes.`);
}

/** 400: the arguments name something that the action keeps for itself. */
export function parametersNotAllowed(): ApiError {
  return new ApiError(400, 'Request defines parameters that are not allowed (e.g., reserved properties).');
}
