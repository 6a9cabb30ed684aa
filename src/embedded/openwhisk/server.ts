import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Handler, listen } from '../http.ts';
import { createApi } from './api/api.ts';
import type { Action } from './entities/entities.ts';
import { type CouchdbAccess, EntityStore } from './entities/entity-store.ts';
import type { Identity } from './entities/packages.ts';
import { ActivationStore } from './invocation/activation-store.ts';
import { Invoker } from './invocation/invoker.ts';
import { Reaper } from './invocation/reaper.ts';
import { RuntimePool } from './invocation/runtime-pool.ts';
import type { RuntimeProgram } from './invocation/runtime-process.ts';
import {
  availableKinds,
  type ContainerCli,
  type ImageProgram,
  type Kind,
  nodejsProgram,
  programOfContainer,
  programOfImage,
} from './kinds.ts';
import { type LimitsName, limitsByName } from './limits.ts';
import { Throttle } from './throttle.ts';

/** How many runtime processes a host has at most. */
const MAX_PROCESSES = 8;

/** How long close() waits for what runs. */
const CLOSE_WAIT_MS = 1_000;

const GUEST = 'guest';
const SYSTEM = 'whisk.system';

/** The keys that every Apache OpenWhisk standalone has: whoever uses guest's gets whisk.system's too, as there. */
const WELL_KNOWN_GUEST_KEY =
  '23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP';
const WELL_KNOWN_SYSTEM_KEY =
  '789c46b1-71f6-4ed5-8c54-816aa4f8c502:abczO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP';

export interface OpenwhiskOptions {
  /** Where it listens; default 127.0.0.1. */
  readonly host?: string;
  /** 0 = any free one. */
  readonly port: number;
  /** Activations, the entities' copy and the runtimes' folders; this host's alone. */
  readonly dataDir: string;
  /** Where the entities are kept (database `whisks`). */
  readonly couchdb: CouchdbAccess;
  /** `uuid:key` of the namespace `guest`. */
  readonly authKey: string;
  /** Further namespaces and their `uuid:key`. `whisk.system` gets a key of its own (in `dataDir`) unless it is here. */
  readonly namespaces?: Readonly<Record<string, string>>;
  /** The programs that blackbox actions' images stand for. */
  readonly images?: Readonly<Record<string, ImageProgram>>;
  /** What runs the images that are not mapped; `none` is the default. */
  readonly containers?: ContainerCli | 'none';
  /** Apache OpenWhisk's rates, or more than a site needs (the default). */
  readonly limits?: LimitsName;
  /** Certificates of further authorities that Node.js actions trust: the absolute path of a PEM file. */
  readonly caFile?: string | undefined;
  readonly log: Logger;
  /** The configuration key that names the port. */
  readonly setting: string;
}

export interface Openwhisk {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  /** `uuid:key` of the namespace `whisk.system` */
  readonly systemAuth: string;
  /** Finishes what runs (at most 1 s), ends the runtimes and writes what is not on disk yet. */
  close(): Promise<void>;
}

/**
 * Starts an OpenWhisk on the loopback interface: REST API, entities in CouchDB, actions in processes of their own.
 * @throws FogwhiskError `PORT_TAKEN` or `PORT_REFUSED`
 */
export async function startOpenwhisk(options: OpenwhiskOptions): Promise<Openwhisk> {
  const { dataDir, log } = options;
  const limits = limitsByName[options.limits ?? 'generous'];
  const kinds = availableKinds();
  const runtimes = join(dataDir, 'runtimes');
  await rm(runtimes, { recursive: true, force: true });
  await mkdir(runtimes, { recursive: true, mode: 0o700 });

  const unavailable: Handler = (_, response) => void response.writeHead(503, { connection: 'close' }).end();
  let handler = unavailable;
  const listener = await listen((request, response) => handler(request, response), options);
  const [store, activations, keys] = await Promise.all([
    EntityStore.open(options.couchdb, dataDir, log),
    ActivationStore.open(join(dataDir, 'activations'), log),
    keysOf(options),
  ]);
  const reaper = new Reaper();
  const pool = new RuntimePool({
    folder: runtimes,
    apiHost: listener.url,
    caFile: options.caFile,
    reaper,
    maxProcesses: MAX_PROCESSES,
    prewarm: nodejsProgram,
  });
  const throttle = new Throttle(limits);
  const programOf = (action: Action) => programFor(action, kinds, options);
  const invoker = new Invoker({
    store,
    activations,
    pool,
    throttle,
    sequenceLength: limits.sequenceLength,
    programOf,
    log,
  });
  const identities = new Map(
    Object.entries(keys).map(([namespace, authKey]): [string, Identity] => [authKey, { namespace, authKey }]),
  );
  handler = createApi({ store, activations, invoker, throttle, limits, kinds, identities }, log);
  pool.prewarm();

  return {
    url: listener.url,
    port: listener.port,
    systemAuth: keys[SYSTEM],
    async close() {
      handler = unavailable;
      const closed = listener.close(CLOSE_WAIT_MS);
      const late = new Promise((resolve) => setTimeout(resolve, CLOSE_WAIT_MS).unref());
      await Promise.race([invoker.settled(), late]);
      await pool.close();
      await closed;
      await invoker.settled();
      reaper.close();
      await Promise.all([activations.close(), store.close()]);
    },
  };
}

/** The program that runs an action's code; none for an image that this host does not know. */
function programFor(
  { exec, limits }: Action,
  kinds: Record<string, Kind[]>,
  { images = {}, containers = 'none' }: OpenwhiskOptions,
): RuntimeProgram | undefined {
  if (exec.kind === 'blackbox' && 'image' in exec) {
    const known = programOfImage(exec.image, images, kinds);
    return known ?? (containers === 'none' ? undefined : programOfContainer(containers, exec.image, limits.memory));
  }
  return Object.values(kinds)
    .flat()
    .find(({ kind }) => kind === exec.kind)?.program;
}

/** The key of each namespace. */
async function keysOf({ authKey, namespaces = {}, dataDir }: OpenwhiskOptions) {
  const standalone = authKey === WELL_KNOWN_GUEST_KEY ? WELL_KNOWN_SYSTEM_KEY : undefined;
  const system = namespaces[SYSTEM] ?? standalone ?? (await ownSystemKey(dataDir));
  return { ...namespaces, [GUEST]: authKey, [SYSTEM]: system };
}

/** The key of `whisk.system`, made at the first start. */
async function ownSystemKey(dataDir: string): Promise<string> {
  const file = join(dataDir, 'whisk.system.key');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const key = `${randomUUID()}:${randomBytes(32).toString('hex')}`;
    await writeFile(file, `${key}\n`, { mode: 0o600 });
    return key;
  }
}
