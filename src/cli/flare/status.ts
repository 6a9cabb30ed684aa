import { existsSync } from 'node:fs';
import { CouchdbDocuments } from '../../adapters/couchdb/documents.ts';
import { stepsInOrder } from '../../core/flare.ts';
import { readLakes } from './lakes-file.ts';
import { siteAccess } from './site.ts';

/** What the actions keep of a step or a compound trigger in the database `flare`. */
interface StateDocument {
  readonly kind: 'step' | 'compound';
  readonly lake: string;
  readonly date: string;
  readonly step: string;
  readonly state?: 'running' | 'failed' | 'done';
  readonly attempts?: number;
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly leaseUntil?: number;
  readonly error?: { readonly code: string; readonly step?: string; readonly message: string };
  readonly inputs?: readonly string[];
  readonly came?: Readonly<Record<string, string>>;
  /** The firing that made a compound trigger complete, or `direct`. */
  readonly completedBy?: string;
  readonly completedAt?: string;
  readonly firedAt?: string;
  readonly expiredAt?: string;
}

export interface StatusOptions {
  readonly config?: string;
  readonly lakes: string;
  readonly lake?: string;
  readonly cycles: number;
  readonly json?: boolean;
}

/** A step of a cycle, for people. */
interface Row {
  readonly lake: string;
  readonly cycle: string;
  readonly step: string;
  readonly state: string;
  readonly seconds?: number;
  readonly detail: string;
}

/**
 * `fogwhisk flare status`: the latest cycles of each lake, and of each step whether it is done, running, waiting (for what)
 * or failed (why), with durations. Steps that have not begun are known from `lakes.yml`, where that is here.
 */
export async function flareStatus(options: StatusOptions): Promise<void> {
  const documents = (await readState(options)).filter(({ lake }) => !options.lake || lake === options.lake);
  const order = existsSync(options.lakes) ? stepsInOrder(await readLakes(options.lakes)) : [];
  const rows: Row[] = [];
  for (const lake of [...new Set(documents.map(({ lake }) => lake))].sort()) {
    const own = documents.filter((document) => document.lake === lake);
    const cycles = [...new Set(own.map(({ date }) => date))].sort().slice(-options.cycles);
    for (const cycle of cycles) {
      const there = new Map(own.filter(({ date }) => date === cycle).map((document) => [document.step, document]));
      const begun = [...there.values()].filter(({ step }) => !order.some(({ name }) => name === step));
      rows.push(...begun.map(rowOf));
      for (const { name, after } of order) {
        const document = there.get(name);
        const detail = after.length > 0 ? `for ${after.join(', ')}` : 'for its alarm or hook';
        rows.push(document ? rowOf(document) : { lake, cycle, step: name, state: 'waiting', detail });
      }
    }
  }
  if (options.json) return void process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  if (rows.length === 0) return void process.stdout.write('no cycle has begun\n');
  const width = (key: 'lake' | 'cycle' | 'step') => Math.max(...rows.map((row) => row[key].length)) + 2;
  for (const { lake, cycle, step, state, seconds, detail } of rows) {
    const duration = seconds === undefined ? '' : `${seconds.toFixed(1)} s`;
    const cells = [
      lake.padEnd(width('lake')),
      cycle.padEnd(width('cycle')),
      step.padEnd(width('step')),
      state.padEnd(9),
    ];
    process.stdout.write(`${cells.join('')}${duration.padStart(9)}  ${detail}`.trimEnd().concat('\n'));
  }
}

function rowOf(document: StateDocument): Row {
  const { lake, date: cycle, step, startedAt, endedAt, attempts = 1, error } = document;
  const row = { lake, cycle, step };
  if (document.kind === 'compound') return { ...row, ...compoundState(document) };
  const isDead = document.state === 'running' && (document.leaseUntil ?? 0) < Date.now();
  const until = endedAt ? Date.parse(endedAt) : Date.now();
  const tries = attempts > 1 ? `attempt ${attempts}` : '';
  const why = error ? `${error.code} in ${error.step ?? step}: ${error.message}` : '';
  return {
    ...row,
    state: isDead ? 'ended' : (document.state ?? ''),
    seconds: (until - Date.parse(startedAt)) / 1_000,
    detail: [isDead ? 'without a word; it is run again with its next firing' : why, tries].filter(Boolean).join('; '),
  };
}

function compoundState({
  inputs = [],
  came = {},
  completedBy,
  completedAt,
  firedAt,
  expiredAt,
  startedAt,
}: StateDocument): Omit<Row, 'lake' | 'cycle' | 'step'> {
  const missing = inputs.filter((input) => !came[input]);
  // A firing that awaits a receipt is repeated until it has told the next step, which a kill may keep it from writing down.
  const doneAt = firedAt ?? (completedBy === 'direct' ? undefined : completedAt);
  if (doneAt) {
    const seconds = (Date.parse(doneAt) - Date.parse(startedAt)) / 1_000;
    return { state: 'done', seconds, detail: firedAt ? '' : 'that the next step was told is not written down' };
  }
  if (expiredAt) return { state: 'expired', detail: `${missing.join(', ')} never came` };
  return { state: 'waiting', detail: missing.length > 0 ? `for ${missing.join(', ')}` : 'to be told on' };
}

/** The state of this site's lakes, and of those that sites share. */
async function readState(options: { config?: string }): Promise<StateDocument[]> {
  const { config, credentials } = await siteAccess(options);
  const url =
    config.couchdbGateway === 'embedded' ? `http://127.0.0.1:${config.embeddedCouchdbPort}` : config.couchdbGateway;
  const login = { username: config.couchdbUsername, password: credentials.couchdbPassword };
  const { secureContext } = credentials.tls;
  const database = new CouchdbDocuments({ url, ...login, ...(secureContext && { secureContext }) }, 'flare');
  const { signal } = new AbortController();
  try {
    await database.prepare(signal);
    const changes = await database.read([...(await database.revisions(signal)).keys()], signal);
    return changes.map(({ document }) => document as unknown as StateDocument);
  } finally {
    database.close();
  }
}
