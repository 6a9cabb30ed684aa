import type { Store } from '../store.ts';

/** How annotated CSV is to be written (`dialect` of `POST /api/v2/query`). */
export interface Dialect {
  header: boolean;
  delimiter: string;
  annotations: readonly ('datatype' | 'group' | 'default')[];
  commentPrefix?: string;
  dateTimeFormat?: 'RFC3339' | 'RFC3339Nano';
}

/** A query that can't be answered, as InfluxDB reports it. */
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

/**
 * Runs a Flux script and yields annotated CSV.
 * @throws FluxError before the first chunk for anything wrong with the query
 */
export async function* runFlux(
  _store: Store,
  _query: string,
  _options: { dialect: Dialect; now: bigint },
): AsyncGenerator<string> {
  yield* [];
  throw new FluxError('not yet');
}
