import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { CouchdbDocuments } from '../src/adapters/couchdb/documents.ts';
import { SnapshotFile } from '../src/adapters/couchdb/snapshot-file.ts';
import { subscriptionsDesign } from '../src/adapters/couchdb/subscriptions-design.ts';
import { systemClock } from '../src/adapters/system/clock.ts';
import { alarmSchema } from '../src/core/alarm.ts';
import { Seal } from '../src/core/sealed.ts';
import { EntityStore } from '../src/embedded/openwhisk/entities/entity-store.ts';
import { FollowRegistrations } from '../src/flows/follow-registrations.ts';
import { SiteParameters } from '../src/flows/site-parameters.ts';
import { startCountingProxy } from './support/counting-proxy.ts';
import { benchProgram } from './support/paths.ts';
import { Child, cpuSeconds, residentMegabytes } from './support/processes.ts';
import { type Plan, progress } from './support/row.ts';
import { atMost, type Table } from './support/table.ts';
import { temporaryFolder } from './support/temporary.ts';

const SITES = 100;
const LOGIN = { username: 'bench', password: 'password-of-the-benchmark' };
const log = pino({ level: 'silent' });
const secrets = { seal: new Seal([]), named: () => undefined };

/** What a site has open to the center: registrations, parameters, and the entities of its embedded OpenWhisk. */
class SimulatedSite {
  registrations = 0;
  #told = () => {};
  readonly stop: () => Promise<void>;

  private constructor(stop: () => Promise<void>) {
    this.stop = stop;
  }

  static async start(site: string, url: string): Promise<SimulatedSite> {
    const folder = temporaryFolder();
    const databases = {
      registrations: new CouchdbDocuments({ url, ...LOGIN }, 'topic_listeners', [subscriptionsDesign]),
      parameters: new CouchdbDocuments({ url, ...LOGIN }, 'parameters'),
    };
    const common = { clock: systemClock, log };
    const registrations = new FollowRegistrations({
      ...common,
      database: databases.registrations,
      snapshots: new SnapshotFile(join(folder, 'registrations.json'), log),
      configured: [],
      reader: { site, secrets, ownBroker: undefined, alarmSchema },
      onChange: ({ registrations }) => simulated.#tell(registrations.length),
    });
    const parameters = new SiteParameters({
      ...common,
      database: databases.parameters,
      snapshots: new SnapshotFile(join(folder, 'parameters.json'), log),
      site,
      secrets,
      defaults: {},
      configMap: {},
    });
    let entities: EntityStore | undefined;
    const simulated = new SimulatedSite(async () => {
      await Promise.all([registrations.stop(), parameters.stop(), entities?.close()]);
      databases.registrations.close();
      databases.parameters.close();
    });
    await Promise.all([registrations.start(), parameters.start()]);
    entities = await EntityStore.open({ url, ...LOGIN }, folder, log);
    while (!registrations.state.connected || !parameters.state.connected) await sleep(20);
    return simulated;
  }

  /** Resolves when it has so many registrations. */
  async has(registrations: number): Promise<void> {
    while (this.registrations !== registrations) {
      await new Promise<void>((resolve) => {
        this.#told = resolve;
      });
    }
  }

  #tell(registrations: number): void {
    this.registrations = registrations;
    this.#told();
  }
}

/** A hundred sites on one CouchDB: how soon a change in the center is at all of them, and what they ask while nothing changes. */
export async function center({ quick, repetitions }: Plan, table: Table): Promise<void> {
  await using couchdb = new Child(process.execPath, [
    benchProgram('embedded-couchdb'),
    temporaryFolder(),
    LOGIN.username,
    LOGIN.password,
  ]);
  const { port } = await couchdb.nextResult<{ port: number }>();
  await using proxy = await startCountingProxy(port);
  const url = `http://127.0.0.1:${proxy.port}`;
  progress(`center: ${SITES} sites`);
  const sites: SimulatedSite[] = [];
  for (let n = 1; n <= SITES; n++) sites.push(await SimulatedSite.start(`site-${n}`, url));

  for (let change = 1; change <= Math.max(5, repetitions); change++) {
    progress(`center: change ${change}`);
    const began = performance.now();
    await putRegistration(`http://127.0.0.1:${port}`, `/guest/change-${change}`);
    await Promise.all(sites.map((site) => site.has(change)));
    table.note(`a change at all of ${SITES} sites`, 'ms', performance.now() - began, atMost(5_000));
  }

  const minutes = quick ? 1 : 5;
  progress(`center: ${minutes} minutes in which nothing changes`);
  await sleep(5_000);
  const before = { requests: proxy.requests, bytes: proxy.bytes, cpu: cpuSeconds(couchdb.pid) };
  await sleep(minutes * 60_000);
  const perSite = 1 / (SITES * minutes);
  table.note('an idle site', 'requests/minute', (proxy.requests - before.requests) * perSite);
  table.note('an idle site', 'bytes/minute', (proxy.bytes - before.bytes) * perSite);
  table.note(
    `CouchDB with ${SITES} idle sites`,
    '% of a core',
    ((cpuSeconds(couchdb.pid) - before.cpu) / (minutes * 60)) * 100,
  );
  table.note(`CouchDB with ${SITES} idle sites`, 'MB', residentMegabytes(couchdb.pid, 'now'));
  await Promise.all(sites.map((site) => site.stop()));
}

async function putRegistration(url: string, name: string): Promise<void> {
  const response = await fetch(`${url}/topic_listeners/${encodeURIComponent(name)}`, {
    method: 'PUT',
    headers: {
      authorization: `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64')}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ trigger: name, topic: 'test', sites: '*' }),
  });
  if (response.status !== 201) throw new Error(`CouchDB answered ${response.status}: ${await response.text()}`);
}
