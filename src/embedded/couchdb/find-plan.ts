import { compareIds, compareKeys } from './collation.ts';
import { CouchError } from './couch-error.ts';
import { columns, type Direction, type MangoIndex } from './mango-index.ts';
import type { Selector } from './selector.ts';
import { parsePath } from './selector.ts';

export type Sort = Array<[field: string, direction: Direction]>;

/** Which index answers a `_find`, and which range of it; pure. */
export interface Plan {
  readonly index: MangoIndex;
  /** Lowest and highest values of the index's first columns; rows in between still have to be matched. */
  readonly low: unknown[];
  readonly high: unknown[];
  readonly descending: boolean;
}

/** @throws CouchError 400 `no_usable_index` if only an index could sort so */
export function choosePlan(
  selector: Selector,
  sort: Sort,
  indexes: MangoIndex[],
  preferred?: (index: MangoIndex) => boolean,
): Plan {
  const present = new Set([...presentFields(selector), ...sort.map(([field]) => keyOf(field))]);
  const usable = indexes.filter((index) => {
    const names = columns(index);
    if (!sorts(names, sort, selector)) return false;
    if (index.type === 'special') return true;
    return !index.def.partial_filter_selector && names.every((name) => present.has(keyOf(name)));
  });
  const asked = preferred ? indexes.filter(preferred) : [];
  const named = asked.filter((index) => usable.includes(index) || isUsablePartial(index, present, sort, selector));
  const plans = (named.length > 0 ? named : usable).map((index) => planFor(index, selector, sort));
  const [best] = plans.sort(
    (a, b) =>
      Number(a.index.type === 'special') - Number(b.index.type === 'special') ||
      prefix(b) - prefix(a) ||
      a.index.def.fields.length - b.index.def.fields.length ||
      compareIds(a.index.ddoc ?? '', b.index.ddoc ?? ''),
  );
  if (best) return best;
  throw new CouchError(400, 'no_usable_index', 'No index exists for this sort, try indexing by the sort fields.');
}

/** Who names a partial index says that its filter is meant. */
function isUsablePartial(index: MangoIndex, present: Set<string>, sort: Sort, selector: Selector): boolean {
  const names = columns(index);
  return sorts(names, sort, selector) && names.every((name) => present.has(keyOf(name)));
}

function prefix({ low, high }: Plan): number {
  return Math.max(low.length, high.length);
}

function planFor(index: MangoIndex, selector: Selector, sort: Sort): Plan {
  const low: unknown[] = [];
  const high: unknown[] = [];
  for (const name of columns(index)) {
    const range = rangeOf(selector, keyOf(name));
    if ('low' in range && low.length === high.length) low.push(range.low);
    if ('high' in range && high.length <= low.length) high.push(range.high);
    if (!range.isEqual) break;
  }
  return { index, low, high, descending: sort[0]?.[1] === 'desc' };
}

/** Whether rows in the index's order are in the wanted one; columns that are held to one value don't count. */
function sorts(names: string[], sort: Sort, selector: Selector): boolean {
  let place = 0;
  for (const [field] of sort) {
    while (names[place] !== undefined && names[place] !== field && rangeOf(selector, keyOf(names[place]!)).isEqual) {
      place += 1;
    }
    if (names[place] !== field) return false;
    place += 1;
  }
  return true;
}

interface Range {
  low?: unknown;
  high?: unknown;
  isEqual: boolean;
}

/** The bounds that the selector sets for a field, as far as they hold for every match. */
function rangeOf(selector: Selector, key: string): Range {
  const range: Range = { isEqual: false };
  for (const { path, operator, argument, negated } of conjunction(selector)) {
    if (negated || JSON.stringify(path) !== key) continue;
    const isLow = operator === '$gt' || operator === '$gte' || operator === '$eq';
    const isHigh = operator === '$lt' || operator === '$lte' || operator === '$eq';
    if (isLow && (!('low' in range) || compareKeys(argument, range.low) > 0)) range.low = argument;
    if (isHigh && (!('high' in range) || compareKeys(argument, range.high) < 0)) range.high = argument;
    if (operator === '$eq') range.isEqual = true;
  }
  return range;
}

type Condition = Extract<Selector, { kind: 'condition' }>;

/** The conditions that all have to hold. */
function conjunction(selector: Selector): Condition[] {
  if (selector.kind === 'condition') return [selector];
  return selector.kind === 'and' ? selector.of.flatMap(conjunction) : [];
}

/** The fields that every match has. */
function presentFields(selector: Selector): Set<string> {
  if (selector.kind === 'condition') {
    const isAbsence = selector.operator === '$exists' && selector.argument === selector.negated;
    return new Set(isAbsence ? [] : [JSON.stringify(selector.path)]);
  }
  const sets = selector.of.map(presentFields);
  if (selector.kind === 'and') return new Set(sets.flatMap((set) => [...set]));
  const [first = new Set<string>(), ...others] = sets;
  return new Set([...first].filter((field) => others.every((set) => set.has(field))));
}

/** The fields of conditions that an index can narrow down, for `_explain`. */
export function indexableFields(selector: Selector): { indexable: string[]; unindexable: string[] } {
  const indexable = new Set<string>();
  const unindexable = new Set<string>();
  for (const { path, operator } of conjunction(selector)) {
    const isRange = ['$lt', '$lte', '$eq', '$gte', '$gt'].includes(operator);
    (isRange ? indexable : unindexable).add(path.join('.'));
  }
  return { indexable: [...indexable], unindexable: [...unindexable].filter((field) => !indexable.has(field)) };
}

function keyOf(field: string): string {
  return JSON.stringify(parsePath(field));
}
