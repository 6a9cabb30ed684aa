import { lowerBound } from './catalog.ts';
import { compareIds, compareKeys } from './collation.ts';
import { queryError } from './couch-error.ts';
import type { ViewArguments } from './view-arguments.ts';
import type { Row } from './view-index.ts';

/** Answers a view's query from its sorted rows; pure. */

export interface MapAnswer {
  total_rows: number;
  offset: number | null;
  rows: Row[];
}

export interface Group {
  readonly key: unknown;
  readonly rows: Row[];
}

/** @throws CouchError 400 for arguments that contradict each other or the view */
export function checkArguments(args: ViewArguments, hasReduce: boolean): { reduces: boolean } {
  const reduces = hasReduce && args.reduce !== false;
  if (args.reduce && !hasReduce) throw queryError('Reduce is invalid for map-only views.');
  if ((args.group || args.groupLevel !== undefined) && !reduces) {
    throw queryError('Invalid use of grouping on a map view.');
  }
  if (reduces && args.includeDocs) throw queryError('`include_docs` is invalid for reduce');
  if (reduces && (args.keys?.length ?? 0) > 1 && !args.group && args.groupLevel === undefined) {
    throw queryError('Multi-key fetches for reduce views must use `group=true`');
  }
  return { reduces };
}

/** @throws CouchError 400 */
export function checkRange({ startkey, endkey, descending, keys }: ViewArguments): void {
  if (keys || startkey === undefined || endkey === undefined) return;
  const order = compareKeys(startkey, endkey);
  if (descending ? order < 0 : order > 0) {
    throw queryError(
      `No rows can match your key range, reverse your start_key and end_key or set descending=${!descending}`,
    );
  }
}

export function queryMap(all: readonly Row[], args: ViewArguments): MapAnswer {
  if (args.keys) {
    const rows = args.keys.flatMap((key) => select(all, { ...args, startkey: key, endkey: key }).rows);
    const offset = args.keys.length > 0 ? select(all, { ...args, startkey: args.keys[0] }).offset : 0;
    return { total_rows: all.length, offset, rows: page(rows, args) };
  }
  const { rows, offset } = select(all, args);
  return { total_rows: all.length, offset: offset + args.skip, rows: page(rows, args) };
}

/** The groups of rows that are to be reduced, each to one row of the answer. */
export function queryGroups(all: readonly Row[], args: ViewArguments): Group[] {
  const grouped = args.group || (args.groupLevel ?? 0) > 0;
  const groups: Array<{ key: unknown; rows: Row[] }> = [];
  for (const keys of args.keys?.map((key) => ({ startkey: key, endkey: key })) ?? [{}]) {
    let group: { key: unknown; rows: Row[] } | undefined;
    for (const row of select(all, { ...args, ...keys }).rows) {
      const key = grouped ? groupKey(row.key, args.group ? undefined : args.groupLevel) : null;
      if (!group || (grouped && compareKeys(group.key, key) !== 0)) {
        group = { key, rows: [] };
        groups.push(group);
      }
      group.rows.push(row);
    }
  }
  return page(groups, args);
}

function groupKey(key: unknown, level: number | undefined): unknown {
  return level !== undefined && Array.isArray(key) ? key.slice(0, level) : key;
}

function page<T>(items: T[], { skip, limit }: ViewArguments): T[] {
  return skip === 0 && limit >= items.length ? items : items.slice(skip, skip + limit);
}

function select(all: readonly Row[], args: ViewArguments): { rows: Row[]; offset: number } {
  const { from, to } = range(
    all.length,
    (i, key, id) => compareKeys(all[i]!.key, key) || (id === undefined ? 0 : compareIds(all[i]!.id, id)),
    args,
  );
  const rows = all.slice(from, to);
  return args.descending ? { rows: rows.reverse(), offset: all.length - to } : { rows, offset: from };
}

/**
 * Where the rows between start and end are, in ascending places `from` to `to` (exclusive).
 * @param compare orders the row at a place against a key and, if given, a document id
 */
export function range(
  length: number,
  compare: (index: number, key: unknown, id: string | undefined) => number,
  { startkey, startkeyId, endkey, endkeyId, inclusiveEnd, descending }: ViewArguments,
): { from: number; to: number } {
  const before = (key: unknown, id?: string) => lowerBound(length, (i) => compare(i, key, id));
  const after = (key: unknown, id?: string) => lowerBound(length, (i) => (compare(i, key, id) <= 0 ? -1 : 1));
  let from = 0;
  let to = length;
  if (!descending) {
    if (startkey !== undefined) from = before(startkey, startkeyId);
    if (endkey !== undefined) to = inclusiveEnd ? after(endkey, endkeyId) : before(endkey, endkeyId);
    return { from, to: Math.max(from, to) };
  }
  if (startkey !== undefined) to = after(startkey, startkeyId);
  if (endkey !== undefined) from = inclusiveEnd ? before(endkey, endkeyId) : after(endkey, endkeyId);
  return { from: Math.min(from, to), to };
}
