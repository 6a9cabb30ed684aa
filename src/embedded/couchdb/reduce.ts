import { CouchError } from './couch-error.ts';
import type { Sandbox } from './sandbox.ts';
import type { Group } from './view-query.ts';

export type ReducedRow = { key: unknown; value: unknown } | { key: unknown; error: string; reason: string };

const BUILT_IN: Record<string, (rows: Group['rows']) => unknown> = {
  _count: (rows) => rows.length,
  _sum: (rows) => rows.map(({ value }) => value).reduce(add, 0),
  _stats: (rows) => stats(rows.map(({ value }) => value)),
  // CouchDB estimates with a HyperLogLog; exact is closer still.
  _approx_count_distinct: (rows) => new Set(rows.map(({ key }) => JSON.stringify(key))).size,
};

export function isBuiltInReduce(source: string): boolean {
  return Object.hasOwn(BUILT_IN, source.trim());
}

/** Reduces each group to one row, by a built-in function or one that was defined in the sandbox under `key`. */
export function reduceGroups(groups: Group[], source: string, sandbox: () => Sandbox, key: string): ReducedRow[] {
  const builtIn = BUILT_IN[source.trim()];
  if (builtIn) {
    return groups.map((group) => {
      try {
        return { key: group.key, value: builtIn(group.rows) };
      } catch (error) {
        if (!(error instanceof ReduceError)) throw error;
        return { key: group.key, error: 'builtin_reduce_error', reason: error.message };
      }
    });
  }
  const input = groups.map(({ rows }) => ({
    keys: rows.map((row): [unknown, string] => [row.key, row.id]),
    values: rows.map(({ value }) => value),
  }));
  return sandbox()
    .reduce(key, input)
    .map((result, i) => ({ key: groups[i]!.key, ...('error' in result ? result : { value: result.value ?? null }) }));
}

class ReduceError extends Error {}

/** Numbers are added, arrays item by item, objects field by field. */
function add(total: unknown, value: unknown): unknown {
  if (typeof total === 'number' && typeof value === 'number') return total + value;
  if (Array.isArray(total) || Array.isArray(value)) {
    const [a, b] = [total, value].map((side) => (Array.isArray(side) ? side : [side])) as [unknown[], unknown[]];
    return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => add(a[i] ?? 0, b[i] ?? 0));
  }
  if (isObject(value) && (isObject(total) || total === 0)) {
    const sum: Record<string, unknown> = isObject(total) ? { ...total } : {};
    for (const [field, part] of Object.entries(value)) sum[field] = add(sum[field] ?? 0, part);
    return sum;
  }
  throw new ReduceError(
    `The _sum function requires that map values be numbers, arrays, or objects, not '${JSON.stringify(value)}'. ` +
      'Objects cannot be mixed with other data structures. Objects can be arbitrarily nested, provided that the values ' +
      'for all fields are themselves numbers, arrays, or objects.',
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stats(values: unknown[]): { sum: number; count: number; min: number; max: number; sumsqr: number } {
  const result = { sum: 0, count: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY, sumsqr: 0 };
  for (const value of values) {
    if (typeof value !== 'number') {
      throw new CouchError(500, 'invalid_value', `non-numeric _stats input: ${JSON.stringify(value)}`);
    }
    result.sum += value;
    result.count += 1;
    result.min = Math.min(result.min, value);
    result.max = Math.max(result.max, value);
    result.sumsqr += value * value;
  }
  return result;
}
