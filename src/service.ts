import { createHash, randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { ProgressFile } from './adapters/alarms/progress-file.ts';
import { CouchdbClaims } from './adapters/couchdb/claims.ts';
import { FileJournal } from './adapters/journal/journal.ts';
import { MqttBroker } from './adapters/mqtt/broker.ts';
import { OpenwhiskPlatform } from './adapters/openwhisk/platform.ts';
import { systemClock } from './adapters/system/clock.ts';
import { type CenterOptions, openCenter } from './center.ts';
import type { Config } from './config.ts';
import { alarmRegistrations } from './core/alarm.ts';
import { type Books, emptyBooks } from './core/event.ts';
import { injectedParameters, type Parameters } from './core/parameters.ts';
import type { AlarmRegistration, Registration } from './core/registration.ts';
import { siteAlarms } from './core/site-alarms.ts';
import { parameterToken, receiptToken } from './core/token.ts';
import type { Credentials } from './credentials.ts';
import { listenError } from './embedded/http.ts';
import type { Endpoints } from './embedded-site.ts';
import { Fire, type Obstacle } from './flows/fire.ts';
import { Ingest } from './flows/ingest.ts';
import { RingAlarms } from './flows/ring-alarms.ts';
import { ReceiptInbox } from './http/receipt-inbox.ts';
import { createServer } from './http/server.ts';
import type { RegistrationStatus, SiteHealth, SiteStatus } from './http/site-status.ts';

/** How many QoS 1 messages the broker may have on their way to us (MQTT 5). */
const RECEIVE_MAXIMUM = 4_000;
/** How long an attempt's parameter token is good, in seconds: longer than any action may run. */
const PARAMETER_TOKEN_SECONDS = 3_600;
/** How often the books are compared with the journal. */
const SELF_CHECK_MS = 600_000;
const JOURNAL_SEGMENT_BYTES = 16 * 1024 * 1024;

export interface Service {
  /** Where the HTTP listener is. */
  readonly url: string;
  readonly status: () => SiteStatus;
  /** Journals an event that is no message. */
  readonly accept: Ingest['accept'];
  /** Resolves when every topic is subscribed. */
  readonly subscribed: Promise<void>;
  /** Stops with the data: broker, flows, journal, HTTP. */
  stop(): Promise<void>;
}

/** Builds the provider in the order of the data and starts it. */
export async function startService(
  config: Config,
  credentials: Credentials,
  endpoints: Endpoints,
  { version, log }: { version: string; log: Logger },
): Promise<Service> {
  const { datacenterId: site } = config;
  const configuredAlarms = [...alarmRegistrations(config.alarms), ...siteAlarms(config)];
  const journal = await FileJournal.open({
    directory: join(config.dataDir, 'journal'),
    maxBytes: config.journalMaxBytes,
    whenFull: config.journalWhenFull,
    parkedMaxBytes: config.parkedMaxBytes,
    parkedWhenFull: config.parkedWhenFull,
    segmentBytes: Math.min(JOURNAL_SEGMENT_BYTES, Math.ceil(config.journalMaxBytes / 16)),
    clock: systemClock,
    log,
  });
  const brokers = new Map<string, MqttBroker>();
  const openBroker = (url: string, login?: { username: string; password: string }): MqttBroker => {
    const digest = createHash('sha256').update(url).digest('hex').slice(0, 16);
    const broker = new MqttBroker({
      ...(url === '' ? endpoints.mqtt : { url, version: 5, ...login, secureContext: endpoints.mqtt.secureContext }),
      clientId: config.replica ? `fogwhisk-${site}-${config.replica}` : `fogwhisk-${site}`,
      shareGroup: config.replica && `fogwhisk-${site}`,
      receiveMaximum: RECEIVE_MAXIMUM,
      ...(config.statusEvents && { onConnection: (isConnected) => tellStatus(url, isConnected) }),
      stateFile: join(config.dataDir, url === '' ? 'subscriptions.json' : `subscriptions-${digest}.json`),
      log,
    });
    brokers.set(url, broker);
    return broker;
  };
  const tellStatus = (url: string, isConnected: boolean) => {
    const payload = JSON.stringify({ type: 'status', body: isConnected ? 'connected' : 'disconnected' });
    for (const each of running.registrations) {
      if (each.kind !== 'mqtt' || each.broker !== url) continue;
      const event = { registration: each.name, key: `status ${each.name} ${randomUUID()}`, payload };
      void running.accept(event).catch(() => undefined); // the journal is closed: the site has stopped
    }
  };
  const platform = new OpenwhiskPlatform(
    endpoints.openwhisk.url,
    endpoints.openwhisk.auth,
    endpoints.openwhisk.secureContext,
  );
  const isOwnKey = (auth: string | undefined) => auth === undefined || auth === endpoints.openwhisk.auth;
  const inbox = new ReceiptInbox();
  const obstacles = new Map<string, Obstacle>();
  let differences: readonly string[] = [];

  const health = (): SiteHealth => ({
    site,
    version,
    broker: brokers.get('')!.connected ? 'connected' : 'disconnected',
    journal: {
      bytes: journal.bytes,
      full: journal.isFull,
      damage: journal.damage,
      differences,
      ...(journal.stalledBy && { stalledBy: journal.stalledBy.message }),
    },
  });
  const status = (): SiteStatus => {
    const registrations = running.registrations;
    const names = new Set(registrations.map(({ name }) => name));
    return {
      ...health(),
      books: total(journal.books.values()),
      registrations: [
        ...registrations.map(describe),
        // Messages that nobody registered for, and those of registrations that are gone.
        ...[...journal.books]
          .filter(([name]) => !names.has(name))
          .map(([name, books]) => ({ name: name || '(none)', topic: '', trigger: '', books })),
      ],
      alarms: alarms.status(),
      center: center.status(),
    };
  };
  const describe = (registration: Registration): RegistrationStatus => {
    const { name, trigger, kind } = registration;
    const obstacle = obstacles.get(name);
    const since = running.oldestPending(name);
    return {
      name,
      topic: kind === 'mqtt' ? registration.topics.join(' ') : '',
      trigger,
      books: journal.books.get(name) ?? emptyBooks(),
      ...(since !== undefined && { pendingSince: isoTime(since) }),
      ...(registration.held !== undefined && { held: registration.held }),
      ...(obstacle && { obstacle }),
    };
  };
  const center = openCenter(config, credentials, endpoints, {
    registrations: [...config.registrations, ...configuredAlarms],
    parameters: parameterRows(config, credentials, endpoints),
    onChange: (registrations) => {
      running.apply(registrations);
      alarms.apply(registrations.filter((each) => each.kind === 'alarm'));
    },
    log,
  });
  const server = createServer({
    inbox,
    parked: {
      count: () => journal.parked.count,
      list: (filter) => journal.parked.list(filter),
      get: (id) => journal.parked.get(id),
      redrive: (ids, body) => running.redrive(ids, body),
      discard: (ids) => journal.discard(ids),
    },
    token: credentials.providerToken,
    siteKey: credentials.siteKey,
    parameters: (scope) => (scope === 'own' ? center.parameters() : guestParameters(center.parameters())),
    feed: center.feed,
    health,
    status,
    hooks: config.hooks,
    intake: { accept: (event) => running.accept(event) },
  });
  try {
    await server.listen({ host: config.providerHost, port: config.providerPort });
  } catch (error) {
    await journal.close();
    throw listenError(error as NodeJS.ErrnoException, config.providerHost, config.providerPort, 'providerPort');
  }
  const { port } = server.server.address() as AddressInfo;
  const url = `http://${config.providerHost}:${port}`;
  const callbackUrl = config.providerUrl ?? url;

  const fire = new Fire({
    platform,
    receipts: inbox,
    clock: systemClock,
    site,
    injected: ({ kind, auth }) =>
      config.injectInflux && isOwnKey(auth) ? injectedParameters(center.parameters(), kind) : {},
    callbacks: (batchId, { auth }) => ({
      receipt: { url: `${callbackUrl}/receipts`, token: receiptToken(credentials.siteKey, batchId) },
      parameters: {
        url: `${callbackUrl}/parameters`,
        token: parameterToken(
          credentials.siteKey,
          Math.floor(Date.now() / 1_000) + PARAMETER_TOKEN_SECONDS,
          isOwnKey(auth) ? 'own' : 'guest',
        ),
      },
    }),
    confirmBy: config.confirmBy,
    receiptTimeoutMs: config.receiptTimeoutSeconds * 1_000,
    onObstacle: (registration, obstacle) => {
      const { name, trigger } = registration;
      if (obstacle?.status === undefined) center.disable.accepted(name);
      else void center.disable.refused(registration, obstacle.status, obstacle.reason);
      const before = obstacles.get(name);
      if (obstacle) obstacles.set(name, obstacle);
      else obstacles.delete(name);
      // What is in the way of all is said once.
      const code = (obstacle ?? before)?.code;
      const forAll = code === 'UNAVAILABLE' || code === 'THROTTLED';
      if (forAll && [...obstacles].some(([other, { code: its }]) => other !== name && its === code)) return;
      if (obstacle && before?.code !== obstacle.code) {
        log.warn(
          { registration: name, trigger, ...obstacle },
          'firings do not get through; events wait in the journal',
        );
      } else if (before && !obstacle) {
        log.info({ registration: name, trigger }, 'firings get through again');
      }
    },
  });
  const claimant = { site, replica: config.replica ?? '' };
  const claims = new CouchdbClaims(endpoints.couchdb, claimant, { clock: systemClock, log });
  const running = new Ingest([], {
    broker: openBroker,
    journal,
    fire,
    clock: systemClock,
    log,
    dedupeWindowMs: config.dedupeWindowMs,
  });
  const alarms = new RingAlarms({
    intake: running,
    claims,
    hasReplicas: config.replica !== undefined,
    progress: new ProgressFile(join(config.dataDir, 'alarms.json'), log),
    clock: systemClock,
    log,
    onEnded: (registration, end) => endAlarm(registration, end),
  });
  const endAlarm = async (
    { name, trigger, auth }: AlarmRegistration,
    { message, remove }: { message: string; remove: 'nothing' | 'trigger' | 'triggerAndRules' },
  ) => {
    log.info({ alarm: name, reason: message }, 'an alarm rings no more');
    if (remove !== 'nothing') {
      const [{ Entities }, { removeTrigger }] = await Promise.all([
        import('./adapters/openwhisk/entities.ts'),
        import('./adapters/openwhisk/remove-trigger.ts'),
      ]);
      const { url, auth: ownAuth, secureContext } = endpoints.openwhisk;
      using entities = new Entities(url, auth ?? ownAuth, secureContext);
      await removeTrigger(entities, trigger, { withRules: remove === 'triggerAndRules' });
      await center.feed.remove(name, { kind: 'operator' });
    } else if (!configuredAlarms.some((configured) => configured.name === name)) {
      const isWritten = await center.disable.disable(name, { kind: 'AUTO', message });
      if (!isWritten) throw new Error('the center is away'); // told again later
    }
  };
  const checkBooks = async () => {
    differences = await journal.selfCheck().catch((error: Error) => [`the journal cannot be read: ${error.message}`]);
    if (differences.length > 0) log.error({ differences }, 'the books differ from the journal; please report this');
  };
  const selfCheck = setInterval(() => void checkBooks(), SELF_CHECK_MS).unref();
  await center.start();
  const subscribed = running.start();
  await alarms.start();
  return {
    url,
    status,
    accept: (event) => running.accept(event),
    subscribed,
    async stop() {
      clearInterval(selfCheck);
      await alarms.stop();
      claims.close();
      await center.stop();
      await running.stop(config.drainSeconds * 1_000);
      await journal.close();
      platform.close();
      await server.close();
    },
  };
}

/** What the site's actions are told: by parameter, the setting that it comes from and its value. */
function parameterRows(
  config: Config,
  { tls }: Credentials,
  { influxLocal, stateCouchdb, couchdb }: Endpoints,
): CenterOptions['parameters'] {
  const { influxCentralUrl } = config;
  const hasCenter = influxCentralUrl !== undefined && influxCentralUrl !== 'embedded';
  const login = ({ url, username, password }: Endpoints['couchdb']) => ({ url, username, password });
  return {
    tls_ca: ['tlsCaFile', tls.ca],
    influx_url: ['influxLocalUrl', influxLocal.url],
    influx_token: ['influxLocalToken', influxLocal.token],
    influx_org: ['influxLocalOrg', config.influxLocalOrg],
    influx_bucket: ['influxLocalBucket', config.influxLocalBucket],
    aggregates_bucket: ['influxCentralBucket', config.influxCentralBucket],
    ...(hasCenter && {
      central_url: ['influxCentralUrl', influxCentralUrl],
      central_token: ['influxCentralToken', config.influxCentralToken],
      central_org: ['influxCentralOrg', config.influxCentralOrg],
      central_bucket: ['influxCentralBucket', config.influxCentralBucket],
    }),
    timezone: ['timezone', config.timezone],
    datacenter_id: ['datacenterId', config.datacenterId],
    workdir_store: ['workdirStore', config.workdirStore ?? `fs:${resolve(config.dataDir, 'workdirs')}`],
    workdir_retention_days: ['workdirRetentionDays', String(config.workdirRetentionDays)],
    workdir_keep: ['workdirKeep', String(config.workdirKeep)],
    state_couchdb: ['stateCouchdbUrl', login(stateCouchdb)],
    state_couchdb_central: ['couchdbGateway', login(couchdb)],
  };
}

/** What actions of others are told, whose registrations fire with a key of their own: no secrets. */
function guestParameters({ datacenter_id, timezone }: Parameters): Parameters {
  return { datacenter_id, timezone };
}

/** ns since 1970 as people read it. */
function isoTime(ns: bigint): string {
  return new Date(Number(ns / 1_000_000n)).toISOString();
}

function total(all: Iterable<Readonly<Books>>): Books {
  const sum = emptyBooks();
  for (const books of all) {
    for (const fate of Object.keys(sum) as Array<keyof Books>) sum[fate] += books[fate];
  }
  return sum;
}
