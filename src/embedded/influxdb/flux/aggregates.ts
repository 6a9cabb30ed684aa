import { TDigest } from './tdigest.ts';
import type { Cell, ScalarType } from './values.ts';

/**
 * The functions that make one value (aggregates) or choose one row (selectors) of many. `_value`s come in as the
 * cells of one column; nulls don't count.
 */

export type AggregateName = 'count' | 'sum' | 'mean' | 'spread' | 'stddev' | 'quantile';
export type SelectorName = 'first' | 'last' | 'min' | 'max' | 'quantile_selector';

export interface Aggregate {
  readonly name: AggregateName;
  /** The result's type, or undefined if values of this type can't be aggregated so. */
  resultType(type: ScalarType): ScalarType | undefined;
  compute(cells: readonly Cell[], type: ScalarType): Cell;
}

export interface Selector {
  readonly name: SelectorName;
  supports(type: ScalarType): boolean;
  /** The chosen row's number. */
  choose(cells: readonly Cell[]): number | undefined;
}

const isNumeric = (type: ScalarType) => type === 'float' || type === 'int' || type === 'uint';
const numberOrNothing = (type: ScalarType): ScalarType | undefined => (isNumeric(type) ? 'float' : undefined);
const present = (cells: readonly Cell[]) => cells.filter((cell) => cell !== null);
const numbers = (cells: readonly Cell[]) => present(cells).map(Number);

export const count: Aggregate = {
  name: 'count',
  resultType: () => 'int',
  compute: (cells) => BigInt(present(cells).length),
};

export const sum: Aggregate = {
  name: 'sum',
  resultType: (type) => (isNumeric(type) ? type : undefined),
  compute(cells, type) {
    const values = present(cells);
    if (values.length === 0) return null;
    if (type === 'float') return (values as number[]).reduce((total, value) => total + value, 0);
    return wrap(
      (values as bigint[]).reduce((total, value) => total + value, 0n),
      type,
    );
  },
};

export const mean: Aggregate = {
  name: 'mean',
  resultType: numberOrNothing,
  compute(cells) {
    const values = numbers(cells);
    return values.length === 0 ? null : values.reduce((total, value) => total + value, 0) / values.length;
  },
};

export const spread: Aggregate = {
  name: 'spread',
  resultType: (type) => (isNumeric(type) ? type : undefined),
  compute(cells, type) {
    const values = present(cells);
    if (values.length === 0) return null;
    const least = values.reduce((a, b) => (b < a ? b : a));
    const greatest = values.reduce((a, b) => (b > a ? b : a));
    return difference(greatest, least, type);
  },
};

/** Welford's way, in the order of the rows. One value alone has no sample deviation: NaN. */
export function stddev(mode: 'sample' | 'population'): Aggregate {
  return {
    name: 'stddev',
    resultType: numberOrNothing,
    compute(cells) {
      let n = 0;
      let average = 0;
      let squares = 0;
      for (const value of numbers(cells)) {
        n++;
        const delta = value - average;
        average += delta / n;
        squares += delta * (value - average);
      }
      if (n === 0) return null;
      const freedom = mode === 'sample' ? n - 1 : n;
      return freedom < 1 ? Number.NaN : Math.sqrt(squares / freedom);
    },
  };
}

/** The quantile that a t-digest of this compression estimates; with few values it interpolates between them. */
export function estimatedQuantile(q: number, compression: number): Aggregate {
  return {
    name: 'quantile',
    resultType: numberOrNothing,
    compute(cells) {
      const values = numbers(cells);
      if (values.length === 0) return null;
      const digest = new TDigest(compression);
      for (const value of values) digest.add(value);
      return digest.quantile(q);
    },
  };
}

/** The quantile by linear interpolation between the two nearest values; floats only, as in Flux. */
export function exactQuantile(q: number): Aggregate {
  return {
    name: 'quantile',
    resultType: (type) => (type === 'float' ? 'float' : undefined),
    compute(cells) {
      const values = numbers(cells).sort((a, b) => a - b);
      if (values.length === 0) return null;
      const at = q * (values.length - 1);
      const [low, high] = [Math.floor(at), Math.ceil(at)];
      return low === high ? values[low]! : values[low]! * (high - at) + values[high]! * (at - low);
    },
  };
}

export const selectors = {
  first: {
    name: 'first',
    supports: () => true,
    choose: (cells) => found(cells.findIndex((cell) => cell !== null)),
  },
  last: {
    name: 'last',
    supports: () => true,
    choose: (cells) => found(cells.findLastIndex((cell) => cell !== null)),
  },
  min: {
    name: 'min',
    supports: (type) => isNumeric(type) || type === 'time',
    choose: (cells) => extreme(cells, (cell, best) => cell < best),
  },
  max: {
    name: 'max',
    supports: (type) => isNumeric(type) || type === 'time',
    choose: (cells) => extreme(cells, (cell, best) => cell > best),
  },
} as const satisfies Record<string, Selector>;

function found(index: number): number | undefined {
  return index < 0 ? undefined : index;
}

function extreme(
  cells: readonly Cell[],
  beats: (cell: NonNullable<Cell>, best: NonNullable<Cell>) => boolean,
): number | undefined {
  let best: number | undefined;
  cells.forEach((cell, index) => {
    if (cell !== null && (best === undefined || beats(cell, cells[best]!))) best = index;
  });
  return best;
}

/** Integers overflow as 64-bit ones do. */
export function wrap(value: bigint, type: ScalarType): bigint {
  return type === 'uint' ? BigInt.asUintN(64, value) : BigInt.asIntN(64, value);
}

export function difference(a: NonNullable<Cell>, b: NonNullable<Cell>, type: ScalarType): Cell {
  return type === 'float' ? (a as number) - (b as number) : wrap((a as bigint) - (b as bigint), type);
}
