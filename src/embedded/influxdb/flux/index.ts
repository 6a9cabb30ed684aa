import type { Store } from '../store.ts';
import { check } from './check.ts';
import { CsvWriter, type Dialect } from './csv.ts';
import { FluxError, semanticError } from './errors.ts';
import { packages } from './functions/packages.ts';
import { newSession, universe } from './functions/universe.ts';
import { runScript, Scope, type Session } from './interpreter.ts';
import { parse } from './parser.ts';
import { MAX_ROWS } from './source.ts';
import type { Run } from './stream.ts';
import type { Value } from './values.ts';

export type { Dialect } from './csv.ts';
export { FluxError } from './errors.ts';

/**
 * Runs a Flux script against the store and yields annotated CSV, table by table as they come.
 * @param now nanoseconds since 1970 UTC: what the script's `now()` answers
 * @throws FluxError before the first chunk for anything wrong with the query; what goes wrong after it is told in
 * the CSV, as InfluxDB does
 */
export async function* runFlux(
  store: Store,
  query: string,
  { dialect, now }: { dialect: Dialect; now: bigint },
): AsyncGenerator<string> {
  const session = plan(store, query, now);
  if (session.results.length === 0) {
    throw new FluxError(
      'error in query specification while starting program: this Flux script returns no streaming data. Consider adding a "yield" or invoking streaming functions directly, without performing an assignment',
    );
  }
  const run: Run = { store, rowsLeft: MAX_ROWS };
  const writer = new CsvWriter(dialect);
  let started = false;
  for (const { name, stream } of session.results) {
    try {
      for await (const table of stream.tables(run)) {
        for (const chunk of writer.table(name, table)) {
          started = true;
          yield chunk;
        }
      }
    } catch (error) {
      if (!started || !(error instanceof FluxError)) throw error;
      yield writer.error(error.message);
      return;
    }
    yield writer.endResult();
  }
}

/** Everything that can be found out without reading data: syntax, names, arguments, and what is to be read. */
function plan(store: Store, query: string, now: bigint): Session {
  const script = parse(query);
  const globals = universe(store);
  const scope = new Scope(globals);
  const known = new Map<string, Value | undefined>(globals.entries());
  for (const { path, name, span } of script.imports) {
    const imported = packages.get(path);
    if (!imported) throw semanticError(span, `invalid import path ${path}`);
    scope.set(name, imported);
    known.set(name, imported);
  }
  check(script, known);
  const session = newSession(globals, now);
  runScript(script, scope, session);
  return session;
}
