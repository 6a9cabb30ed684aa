import { createHash } from 'node:crypto';
import { CouchError } from './couch-error.ts';
import type { Database } from './database.ts';
import type { Document } from './document.ts';
import { written } from './erlang-term.ts';
import { matches, parsePath, parseSelector, type Selector, valueAt } from './selector.ts';
import type { Mapper } from './view-index.ts';

/** An index that `_find` may use: a view of a design document in the language `query`, or `_all_docs`. */
export interface MangoIndex {
  readonly ddoc: string | null;
  readonly name: string;
  readonly type: 'json' | 'special';
  readonly partitioned?: false;
  readonly def: { readonly fields: Array<Record<string, Direction>>; readonly partial_filter_selector?: unknown };
}

export type Direction = 'asc' | 'desc';

export const ALL_DOCS: MangoIndex = {
  ddoc: null,
  name: '_all_docs',
  type: 'special',
  def: { fields: [{ _id: 'asc' }] },
};

interface MangoView {
  readonly map: { readonly fields: Record<string, Direction>; readonly partial_filter_selector?: unknown };
}

/** The names of an index's fields. */
export function columns(index: MangoIndex): string[] {
  return index.def.fields.map((field) => Object.keys(field)[0]!);
}

/** All indexes of a database, `_all_docs` first. */
export async function listIndexes(database: Database): Promise<MangoIndex[]> {
  const indexes = [ALL_DOCS];
  for (const id of database.designDocuments.ids) {
    const { document } = await database.designDocuments.get(id);
    if (document.language !== 'query') continue;
    for (const [name, view] of Object.entries((document.views ?? {}) as Record<string, MangoView>)) {
      const { fields = {}, partial_filter_selector: partial } = view.map ?? {};
      indexes.push({
        ddoc: id,
        name,
        type: 'json',
        partitioned: false,
        def: {
          fields: Object.entries(fields).map(([field, direction]) => ({ [field]: direction })),
          ...(isFilter(partial) && { partial_filter_selector: partial }),
        },
      });
    }
  }
  return indexes;
}

function isFilter(selector: unknown): boolean {
  return typeof selector === 'object' && selector !== null && Object.keys(selector).length > 0;
}

/** Emits, for each document that has all fields (and passes the partial filter), their values. */
export function mangoMapper(view: { readonly map: unknown }): Mapper {
  const { fields = {}, partial_filter_selector: partial } = view.map as MangoView['map'];
  const paths = Object.keys(fields).map(parsePath);
  const filter: Selector | undefined = isFilter(partial) ? parseSelector(partial) : undefined;
  return (documents) =>
    documents.map((document): Array<[unknown, unknown]> => {
      if (filter && !matches(filter, document)) return [];
      const key = paths.map((path) => valueAt(document, path));
      return key.includes(undefined) ? [] : [[key, null]];
    });
}

/** What somebody asked to be indexed, as the design document and view that keep it. @throws CouchError 400, 503 */
export function indexDefinition(body: Record<string, unknown>): { ddoc: string; name: string; view: MangoView } {
  const { index, type = 'json', ddoc, name } = body;
  if (index === undefined) throw missingKey('index');
  if (type === 'text') throw new CouchError(503, 'required index service unavailable', 'text');
  if (type !== 'json') throw new CouchError(400, 'invalid_index', `Invalid type for index: ${String(type)}`);
  for (const text of [ddoc, name]) {
    if (text !== undefined && typeof text !== 'string') {
      throw new CouchError(400, 'invalid_string', `Invalid string: ${written(text)}`);
    }
  }
  const { fields, partial_filter_selector: partial = {} } = index as Record<string, unknown>;
  if (fields === undefined) throw missingKey('fields');
  const sorted = parseSort(fields);
  parseSelector(partial);
  const generated = createHash('sha1')
    .update(JSON.stringify([fields, partial]))
    .digest('hex');
  const view = {
    map: { fields: Object.fromEntries(sorted), partial_filter_selector: partial },
    reduce: '_count',
    options: { def: { fields, ...(isFilter(partial) && { partial_filter_selector: partial }) } },
  };
  const id = (ddoc as string | undefined) ?? generated;
  return {
    ddoc: id.startsWith('_design/') ? id : `_design/${id}`,
    name: (name as string | undefined) ?? generated,
    view,
  };
}

/** Reads `["a", {"b": "asc"}]`. @throws CouchError 400 */
export function parseSort(sort: unknown): Array<[field: string, direction: Direction]> {
  if (!Array.isArray(sort)) {
    throw new CouchError(400, 'invalid_sort_json', `Sort must be an array of sort specs, not: ${written(sort, true)}`);
  }
  const fields = sort.map((item): [string, Direction] => {
    if (typeof item === 'string') return [item, 'asc'];
    const [entry, ...more] = Object.entries((item ?? {}) as Record<string, unknown>);
    if (entry && more.length === 0 && (entry[1] === 'asc' || entry[1] === 'desc')) return [entry[0], entry[1]];
    throw new CouchError(400, 'invalid_sort_field', `Invalid sort field: ${written(item, true)}`);
  });
  if (new Set(fields.map(([, direction]) => direction)).size > 1) {
    throw new CouchError(
      400,
      'unsupported_mixed_sort',
      'Sorts currently only support a single direction for all fields.',
    );
  }
  return fields;
}

/** Adds an index to its design document, if it has one already. */
export function withIndex(document: Document | undefined, id: string, name: string, view: MangoView): Document {
  const views = { ...((document?.views ?? {}) as Record<string, unknown>), [name]: view };
  return { ...document, _id: id, language: 'query', views };
}

export function missingKey(key: string): CouchError {
  return new CouchError(400, 'missing_required_key', `Missing required key: ${key}`);
}
