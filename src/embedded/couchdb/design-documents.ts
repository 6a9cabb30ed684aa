import { createHash } from 'node:crypto';
import { lowerBound } from './catalog.ts';
import { compareIds } from './collation.ts';
import { CouchError, notFound } from './couch-error.ts';
import type { Database } from './database.ts';
import type { Document } from './document.ts';
import type { User } from './exchange.ts';
import { mangoMapper } from './mango-index.ts';
import { isBuiltInReduce } from './reduce.ts';
import { compile, Sandbox } from './sandbox.ts';
import { ViewIndex } from './view-index.ts';

export interface View {
  readonly map: unknown;
  readonly reduce?: string;
  readonly options?: Record<string, unknown>;
}

/** One version of a design document: its functions in a sandbox, its views' rows. */
export class DesignDocument {
  readonly document: Document;
  readonly signature: string;
  readonly #database: Database;
  readonly #indexes = new Map<string, ViewIndex>();
  #sandbox: Sandbox | undefined;

  constructor(database: Database, document: Document) {
    this.#database = database;
    this.document = document;
    this.signature = signatureOf(document);
  }

  /** @throws CouchError 404 */
  view(name: string): View {
    const views = (this.document.views ?? {}) as Record<string, View>;
    if (!Object.hasOwn(views, name) || name === 'lib') throw notFound('missing_named_view');
    return views[name]!;
  }

  /** @throws CouchError 404, 500 for a language that nobody here speaks */
  index(name: string): ViewIndex {
    const view = this.view(name);
    let index = this.#indexes.get(name);
    if (!index) {
      index = new ViewIndex(this.#database, this.#mapper(name, view));
      this.#indexes.set(name, index);
    }
    return index;
  }

  /** The latest change that any of its views has taken in. */
  get updateSeq(): number {
    return Math.max(0, ...[...this.#indexes.values()].map(({ seq }) => seq));
  }

  /** The sandbox with the function of that source under `key`. */
  sandboxWith(key: string, source: string): Sandbox {
    this.#sandbox ??= new Sandbox(this.document._id);
    this.#sandbox.define(key, source);
    return this.#sandbox;
  }

  #mapper(name: string, view: View) {
    const { language = 'javascript' } = this.document;
    if (language === 'query') return mangoMapper(view);
    if (language !== 'javascript') {
      throw new CouchError(500, 'unknown_query_language', `there is no query server for ${String(language)}`);
    }
    const key = `map ${name}`;
    const sandbox = this.sandboxWith(key, view.map as string);
    return (documents: Document[]) => sandbox.map(key, documents);
  }
}

/** The design documents of a database, each compiled once per version. */
export class DesignDocuments {
  readonly #database: Database;
  readonly #known = new Map<string, { rev: string; design: DesignDocument }>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** @param id with `_design/`. @throws CouchError 404 */
  async get(id: string): Promise<DesignDocument> {
    const entry = this.#database.catalog.get(id);
    if (!entry || entry.deleted) {
      this.#known.delete(id);
      throw notFound(entry ? 'deleted' : 'missing');
    }
    const known = this.#known.get(id);
    if (known?.rev === entry.rev) return known.design;
    const document = await this.#database.read(id);
    // A version that changes no function keeps its rows.
    const design =
      known?.design.signature === signatureOf(document) ? known.design : new DesignDocument(this.#database, document);
    this.#known.set(id, { rev: entry.rev, design });
    return design;
  }

  /** Ids of all design documents, sorted. */
  get ids(): string[] {
    const { liveIds } = this.#database.catalog;
    const place = (bound: string) => lowerBound(liveIds.length, (i) => compareIds(liveIds[i]!, bound));
    return liveIds.slice(place('_design/'), place('_design0'));
  }

  /** Why the `validate_doc_update` functions refuse a document, if they do. */
  async refusal(document: Document, user: User): Promise<CouchError | undefined> {
    if (document._id?.startsWith('_design/')) return undefined;
    for (const id of this.ids) {
      const design = await this.get(id);
      const source = design.document.validate_doc_update;
      if (typeof source !== 'string') continue;
      const { name, security = {} } = this.#database.record;
      const entry = this.#database.catalog.get(document._id);
      const before = entry && !entry.deleted ? await this.#database.read(document._id) : null;
      const context = { db: name, name: user.name, roles: user.roles };
      const thrown = design.sandboxWith('validate', source).validate('validate', document, before, context, security);
      if (thrown) return new CouchError(STATUS[thrown.error] ?? 500, thrown.error, thrown.reason);
    }
    return undefined;
  }

  /** Drops what belongs to design documents that are gone. */
  forget(): void {
    for (const id of this.#known.keys()) {
      if (this.#database.catalog.get(id)?.deleted) this.#known.delete(id);
    }
  }
}

const STATUS: Record<string, number> = { forbidden: 403, unauthorized: 401 };

/** @throws CouchError 400 for a design document that could not work */
export function checkDesignDocument(document: Document): void {
  const { views, language = 'javascript' } = document;
  for (const field of ['views', 'filters', 'options'] as const) {
    if (document[field] !== undefined && !isObject(document[field])) {
      throw invalid(`\`${field}\` field must have object type`);
    }
  }
  for (const [name, view] of Object.entries((views ?? {}) as Record<string, unknown>)) {
    if (name === 'lib') continue;
    if (!isObject(view)) throw invalid(`\`views.${name}\` field must have object type`);
    if (view.map === undefined) throw invalid(`View \`${name}\` must contain map function`);
    if (language === 'query') continue;
    if (typeof view.map !== 'string') throw invalid(`\`views.${name}.map\` field must have string type`);
    if (view.reduce !== undefined && typeof view.reduce !== 'string') {
      throw invalid(`\`views.${name}.reduce\` field must have string type`);
    }
    const reduce = view.reduce?.trim();
    if (reduce?.startsWith('_') && !isBuiltInReduce(reduce)) {
      throw invalid(`\`${reduce}\` is not a supported reduce function.`);
    }
    if (language !== 'javascript') continue;
    compile(view.map, `map function in the '${name}' view`);
    if (reduce && !reduce.startsWith('_')) compile(reduce, `reduce function in the '${name}' view`);
  }
}

function invalid(reason: string): CouchError {
  return new CouchError(400, 'invalid_design_doc', reason);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function signatureOf({ views, language, options, filters, validate_doc_update }: Document): string {
  return createHash('md5')
    .update(JSON.stringify([views, language, options, filters, validate_doc_update]))
    .digest('hex');
}
