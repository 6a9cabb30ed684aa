import { type Aggregate, type Selector } from './aggregates.ts';
import type { Expression, Span } from './ast.ts';
import { FluxError } from './errors.ts';
import { predicateOf, type Session } from './interpreter.ts';
import { splitFilter } from './predicate.ts';
import { BucketSource, Read } from './source.ts';
import { Fault, Stream, type Tables, transformed } from './stream.ts';
import { type Column, constant, GroupKey, type KeyColumn, Table, TableCollector } from './table.ts';
import { INFINITE } from './time.ts';
import type { Cell, FluxFunction } from './values.ts';
import { UTC, type Bounds, Windows } from './window.ts';
import { AggregateRead } from './windowed-read.ts';

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

/** `group(columns:, mode: "by")` of a read can be part of it if it groups by what series have. */
export function planGroup(input: Stream, columns: readonly string[], inMemory: () => Stream): Stream {
  const ofSeries = columns.every((label) => label !== '_time' && label !== '_value');
  if (!(input instanceof Read) || input.selection.groupBy || !ofSeries) return inMemory();
  return new Read({ ...input.selection, groupBy: columns });
}

export interface WindowOptions {
  readonly timeColumn: string;
  readonly startColumn: string;
  readonly stopColumn: string;
  readonly createEmpty: boolean;
}

const DEFAULT_COLUMNS = { timeColumn: '_time', startColumn: '_start', stopColumn: '_stop' };

/** A stream cut into windows, which an aggregate may still push into the read below. */
export class Windowed extends Stream {
  readonly windows: Windows;
  readonly options: WindowOptions;
  constructor(input: Stream, windows: Windows, options: WindowOptions, span: Span) {
    super('window', [input], transformed('window', span, input, (tables) => cut(tables, windows, options, input.bounds)).tables_);
    this.windows = windows;
    this.options = options;
  }
}
