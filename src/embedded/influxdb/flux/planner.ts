import { isKnown } from './aggregate-sql.ts';
import type { Aggregate, Selector } from './aggregates.ts';
import type { Expression, Span } from './ast.ts';
import { FluxError } from './errors.ts';
import { predicateOf, type Session } from './interpreter.ts';
import { splitFilter } from './predicate.ts';
import { BucketSource, Read } from './source.ts';
import type { Step, Stream, WindowColumns } from './stream.ts';
import type { FluxFunction } from './values.ts';
import type { Bounds, Windows } from './window.ts';
import { AggregateRead } from './windowed-read.ts';
import { cutIntoWindows } from './windowing.ts';

/**
 * The transformations that a read can take in: `range`, `filter`, `group`, `window`, aggregates and what
 * `aggregateWindow` is made of. Applied to a read, they make a read that asks SQL for less; applied to any other
 * stream, they work on its tables in memory. Streams are unread values, so deciding this while the script runs is all
 * the planning there is.
 */

/** @throws FluxError for an empty range */
export function planRange(input: Stream, bounds: Bounds, inMemory: () => Stream): Stream {
  if (bounds.stop <= bounds.start) {
    throw new FluxError('error in building plan while starting program: cannot query an empty range');
  }
  if (!(input instanceof BucketSource)) return inMemory();
  return new Read({ bucketId: input.bucketId, range: bounds, filters: [] });
}

/** @param inMemory filters by what the store can't answer (undefined: all of the function) */
export function planFilter(
  input: Stream,
  fn: FluxFunction,
  session: Session,
  inMemory: (input: Stream, rest: readonly Expression[] | undefined) => Stream,
): Stream {
  const filter = predicateOf(fn);
  if (!filter || !(input instanceof Read) || input.selection.groupBy) return inMemory(input, undefined);
  const { pushed, rest } = splitFilter(filter, session);
  const read = pushed.length > 0 ? input.filtered(pushed) : input;
  return rest.length > 0 ? inMemory(read, rest) : read;
}

/** `group(columns:, mode: "by")` of a read becomes part of it if it groups by what series have; the last one counts. */
export function planGroup(input: Stream, columns: readonly string[], inMemory: () => Stream): Stream {
  const ofSeries = columns.every((label) => label !== '_time' && label !== '_value');
  if (!(input instanceof Read) || !ofSeries) return inMemory();
  return new Read({ ...input.selection, groupBy: columns });
}

/** `window`: into the read if what it is made of is windowed aggregates that only have to be joined to series again. */
export function planWindow(input: Stream, windows: Windows, columns: WindowColumns, span: Span): Stream {
  const inner = aggregateBeneath(input);
  const rejoins = windows.isInfinite && isDefault(columns) && !columns.createEmpty;
  if (rejoins && inner && input.step?.kind === 'duplicate') {
    const timeFrom = input.step.column === '_start' ? '_start' : '_stop';
    if (inner instanceof AggregateRead) return new AggregateRead({ ...inner.spec, timeFrom });
    return cutIntoWindows(input, windows, columns, span, true);
  }
  return cutIntoWindows(input, windows, columns, span, false);
}

/** Under a `duplicate` of a window's bound as `_time`: the windowed aggregate, of a read or (counts, sums and means) not. */
function aggregateBeneath({ step, inputs }: Stream): Stream | undefined {
  if (step?.kind !== 'duplicate' || step.as !== '_time' || (step.column !== '_start' && step.column !== '_stop'))
    return undefined;
  let below = inputs[0]!;
  if (below instanceof AggregateRead) {
    const { windows, timeFrom } = below.spec;
    return windows && !windows.isInfinite && timeFrom === undefined ? below : undefined;
  }
  if (below.step?.kind === 'fill') below = below.inputs[0]!;
  const isAggregate = below.step?.kind === 'aggregate' && TIME_FIRST.has(below.step.name);
  return isAggregate && below.inputs[0]!.step?.kind === 'window' ? below : undefined;
}

const TIME_FIRST = new Set(['count', 'sum', 'mean']);

function isDefault({ timeColumn, startColumn, stopColumn }: WindowColumns): boolean {
  return timeColumn === '_time' && startColumn === '_start' && stopColumn === '_stop';
}

/** An aggregate or selector: computed by SQL if it is of a read's `_value`, cut into windows or not. */
export function planAggregate(
  input: Stream,
  fn: Aggregate | Selector,
  column: string,
  call: { readonly name: string; readonly span: Span },
  inMemory: (step: Step) => Stream,
): Stream {
  const { step } = input;
  const source = step?.kind === 'window' ? input.inputs[0] : input;
  if (column === '_value' && source instanceof Read && isKnown(fn)) {
    if (source === input) source.uses++;
    const base = { read: source, fn, call, fillEmpty: false, timeFrom: undefined };
    if (!step) return new AggregateRead({ ...base, windows: undefined, createEmpty: false });
    if (step.kind === 'window' && isDefault(step.columns)) {
      return new AggregateRead({ ...base, windows: step.windows, createEmpty: step.columns.createEmpty });
    }
  }
  return inMemory({ kind: 'aggregate', name: fn.name });
}

/** Windows without rows become rows of nulls. */
export function planFill(input: Stream, inMemory: (step: Step) => Stream): Stream {
  if (input instanceof AggregateRead) return new AggregateRead({ ...input.spec, fillEmpty: true });
  return inMemory({ kind: 'fill' });
}
