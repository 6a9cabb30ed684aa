import type { Store } from '../store.ts';
import type { Span } from './ast.ts';
import { Fault, FluxError, formatSpan } from './errors.ts';
import type { Table } from './table.ts';
import { FluxStream } from './values.ts';
import type { Bounds, Windows } from './window.ts';

/** One run of a script: where its data comes from and how much of it may be taken. */
export interface Run {
  readonly store: Store;
  /** Rows that may still be read from the store. */
  rowsLeft: number;
}

export type Tables = AsyncIterable<Table> | Iterable<Table>;

/** What the planner has to know of a stream's making to recognize `aggregateWindow`'s steps. */
export type Step =
  | { readonly kind: 'window'; readonly windows: Windows; readonly columns: WindowColumns }
  | { readonly kind: 'aggregate'; readonly name: string }
  | { readonly kind: 'fill' }
  | { readonly kind: 'duplicate'; readonly column: string; readonly as: string };

export interface WindowColumns {
  readonly timeColumn: string;
  readonly startColumn: string;
  readonly stopColumn: string;
  readonly createEmpty: boolean;
}

/** A stream of tables that is not there yet: what it would take to make it. */
export class Stream extends FluxStream {
  readonly operation: string;
  readonly step: Step | undefined;
  readonly inputs: readonly Stream[];
  /** How many streams are made of this one: InfluxDB's storage takes work in from one only. */
  uses = 0;
  /** The time range that its rows lie in, if a `range` set one. */
  readonly bounds: Bounds | undefined;
  readonly #read: (run: Run) => Tables;

  constructor(
    operation: string,
    inputs: readonly Stream[],
    read: (run: Run) => Tables,
    bounds = joinBounds(inputs),
    step?: Step,
  ) {
    super();
    this.step = step;
    this.operation = operation;
    this.inputs = inputs;
    for (const input of inputs) input.uses++;
    this.bounds = bounds;
    this.#read = read;
  }

  tables(run: Run): Tables {
    return this.#read(run);
  }
}

/** A stream made of another by `apply`, whose faults are reported with the name and place of the call. */
export function transformed(
  operation: string,
  span: Span,
  input: Stream,
  apply: (tables: Tables, run: Run) => Tables,
  { step, bounds = input.bounds }: { step?: Step; bounds?: Bounds | undefined } = {},
): Stream {
  const read = (run: Run) => located(operation, span, () => apply(input.tables(run), run));
  return new Stream(operation, [input], read, bounds, step);
}

/** As `transformed`, for what looks at one table at a time and makes at most one of it. */
export function mapTables(
  operation: string,
  span: Span,
  input: Stream,
  apply: (table: Table) => Table | undefined,
): Stream {
  return transformed(operation, span, input, async function* (tables) {
    for await (const table of tables) {
      const made = apply(table);
      if (made) yield made;
    }
  });
}

/** Runs `read`, turning the faults it meets into errors that name the operation. */
export async function* located(
  operation: string,
  span: Span,
  read: () => Tables,
  kind?: { status: number; code: string },
): AsyncGenerator<Table> {
  try {
    yield* read();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new FluxError(`runtime error @${formatSpan(span)}: ${operation}: ${error.message}`, kind);
  }
}

function joinBounds(inputs: readonly Stream[]): Bounds | undefined {
  const known = inputs.flatMap((input) => input.bounds ?? []);
  return known.reduce<Bounds | undefined>(
    (all, one) =>
      all === undefined
        ? one
        : { start: one.start < all.start ? one.start : all.start, stop: one.stop > all.stop ? one.stop : all.stop },
    undefined,
  );
}
