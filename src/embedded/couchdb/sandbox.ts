import { type Context, createContext, Script } from 'node:vm';
import { CouchError } from './couch-error.ts';

/**
 * Runs the JavaScript of one design document in a V8 context of its own, as CouchDB's query server does.
 *
 * Only strings of JSON cross the border, so that no object of ours is within reach; promises are settled inside
 * (`afterEvaluate`), so that they can't outlive a call; and a call that takes longer than the limit is stopped. That
 * keeps an endless loop from hanging the site. It does not bound memory: who may write design documents is an admin.
 */
export class Sandbox {
  readonly #name: string;
  readonly #context: Context;
  readonly #defined = new Map<string, string>();
  #stopped: CouchError | undefined;

  /** @param name of the design document, for errors */
  constructor(name: string) {
    this.#name = name;
    this.#context = createContext(Object.create(null) as object, {
      microtaskMode: 'afterEvaluate',
      codeGeneration: { strings: false },
    });
    PRELUDE.runInContext(this.#context);
  }

  /** Makes a function known under `key`. @throws CouchError 400 `compilation_error` */
  define(key: string, source: string): void {
    if (this.#defined.get(key) === source) return;
    this.#run(compile(source, `${this.#name} ${key}`, `functions[${JSON.stringify(key)}] = `));
    this.#defined.set(key, source);
  }

  /** For each document what the function emitted; a document that it throws on emits nothing, as in CouchDB. */
  map(key: string, documents: unknown[]): Array<Array<[key: unknown, value: unknown]>> {
    return this.#call('map', key, documents);
  }

  /** For each group of rows the reduced value, or why there is none. */
  reduce(
    key: string,
    groups: Array<{ keys: Array<[key: unknown, id: string]>; values: unknown[] }>,
  ): Array<{ value: unknown } | { error: string; reason: string }> {
    return this.#call('reduce', key, groups);
  }

  /** For each document whether the filter lets it pass. */
  filter(key: string, documents: unknown[], request: unknown): boolean[] {
    return this.#call('filter', key, documents, request);
  }

  /** What a `validate_doc_update` function throws, if it does. */
  validate(key: string, ...parameters: unknown[]): { error: string; reason: string } | null {
    return this.#call('validate', key, ...parameters);
  }

  #call<T>(kind: string, key: string, ...parameters: unknown[]): T {
    this.#context.input = JSON.stringify([kind, key, parameters]);
    return JSON.parse(this.#run(DISPATCH) as string) as T;
  }

  #run(script: Script): unknown {
    if (this.#stopped) throw this.#stopped;
    try {
      return script.runInContext(this.#context, { timeout: CALL_LIMIT_MS });
    } catch (error) {
      if ((error as NodeJS.ErrnoException)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
        // Not run again until the design document changes: each try would cost the whole site its limit.
        this.#stopped = new CouchError(
          500,
          'timeout',
          `a function of ${this.#name} was stopped after ${CALL_LIMIT_MS} ms; change the design document`,
        );
        throw this.#stopped;
      }
      throw new CouchError(500, 'unknown_error', `a function of ${this.#name} failed: ${String(error)}`);
    }
  }
}

/** For one call, which maps up to 50 documents or reduces the rows of one answer. */
const CALL_LIMIT_MS = 1_000;

/** Compiles the text of a function without running it. @throws CouchError 400 `compilation_error` */
export function compile(source: string, what: string, assignment = ''): Script {
  try {
    return new Script(`${assignment}(${source.trim().replace(/;+$/, '')}\n)`, { filename: what });
  } catch (error) {
    throw new CouchError(400, 'compilation_error', `Compilation of the ${what} failed: ${String(error)}`);
  }
}

const DISPATCH = new Script('dispatch(input)');

/** What CouchDB's query server offers to functions, and the entrance for ours. */
const PRELUDE = new Script(`
'use strict';
var functions = {};
var emitted;
function emit(key, value) { emitted.push([key, value]); }
function sum(values) { return values.reduce(function (total, value) { return total + value; }, 0); }
function log() {}
function isArray(value) { return Array.isArray(value); }
function toJSON(value) { return JSON.stringify(value); }
var kinds = {
  map: function (fn, documents) {
    return documents.map(function (document) {
      emitted = [];
      try { fn(document); return emitted; } catch (error) { return []; }
    });
  },
  reduce: function (fn, groups) {
    return groups.map(function (group) {
      try { return { value: fn(group.keys, group.values, false) }; }
      catch (error) { return { error: String(error && error.name || 'error'), reason: String(error) }; }
    });
  },
  filter: function (fn, documents, request) {
    return documents.map(function (document) {
      try { return Boolean(fn(document, request)); } catch (error) { return false; }
    });
  },
  validate: function (fn, newDocument, oldDocument, user, security) {
    try { fn(newDocument, oldDocument, user, security); return null; }
    catch (error) {
      if (error && error.forbidden !== undefined) return { error: 'forbidden', reason: String(error.forbidden) };
      if (error && error.unauthorized !== undefined) return { error: 'unauthorized', reason: String(error.unauthorized) };
      return { error: String(error && error.name || 'error'), reason: String(error && error.message || error) };
    }
  },
};
function dispatch(input) {
  var call = JSON.parse(input);
  return JSON.stringify(kinds[call[0]].apply(null, [functions[call[1]]].concat(call[2])));
}
`);
