import { join } from 'node:path';
import type { Logger } from 'pino';
import { CouchdbDocuments } from './adapters/couchdb/documents.ts';
import { SnapshotFile } from './adapters/couchdb/snapshot-file.ts';
import { subscriptionsDesign } from './adapters/couchdb/subscriptions-design.ts';
import { OpenwhiskTriggerKeys } from './adapters/openwhisk/trigger-keys.ts';
import { systemClock } from './adapters/system/clock.ts';
import { namedSecrets } from './adapters/system/named-secrets.ts';
import type { Config } from './config.ts';
import { alarmSchema } from './core/alarm.ts';
import { type Parameters, settingParameters } from './core/parameters.ts';
import type { Registration } from './core/registration.ts';
import { brokerAddress } from './core/registration-document.ts';
import { siteSeals } from './core/sealed.ts';
import type { Credentials } from './credentials.ts';
import type { Endpoints } from './embedded-site.ts';
import { DisableRegistrations } from './flows/disable-registrations.ts';
import { Feed } from './flows/feed.ts';
import type { CenterStatus } from './flows/follow-database.ts';
import { FollowRegistrations, type Registrations } from './flows/follow-registrations.ts';
import { SiteParameters } from './flows/site-parameters.ts';

/** What a site has from the center, and does there; all of it works on with the center away. */
export interface Center {
  /** What the site's actions are given. */
  readonly parameters: () => Parameters;
  /** For the routes of the feed actions. */
  readonly feed: Feed;
  readonly disable: DisableRegistrations;
  readonly status: () => CenterStatus;
  /** Resolves when what was known at the last stop is in use; does not wait for the center. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface CenterOptions {
  /** Those of the ConfigMap. */
  readonly registrations: readonly Registration[];
  /** By parameter: the setting that it comes from, and its value. */
  readonly parameters: Readonly<Record<string, readonly [setting: string, value: unknown]>>;
  /** Told all registrations of the site: at the start, and within 2 s of each change. */
  readonly onChange: (registrations: readonly Registration[]) => void;
  readonly log: Logger;
}

export function openCenter(
  config: Config,
  { siteKey }: Credentials,
  { couchdb, openwhisk, mqtt }: Endpoints,
  { registrations: configured, parameters: rows, onChange, log }: CenterOptions,
): Center {
  const { datacenterId: site, dataDir } = config;
  const seals = siteSeals(config.sharedKey, siteKey, { isOwnCouchdb: config.couchdbGateway === 'embedded' });
  const secrets = { seal: seals.reads, named: namedSecrets(config.secretsDir, process.env) };
  const documents = new CouchdbDocuments(couchdb, 'topic_listeners', [subscriptionsDesign]);
  const parameterDocuments = new CouchdbDocuments(couchdb, 'parameters');
  const keys = new OpenwhiskTriggerKeys(openwhisk.url, openwhisk.secureContext);
  const ownBroker = brokerAddress(mqtt.url);
  const { username, password = '' } = mqtt;

  let problems: Registrations['problems'] = [];
  const registrations = new FollowRegistrations({
    database: documents,
    snapshots: new SnapshotFile(join(dataDir, 'registrations.json'), log),
    clock: systemClock,
    log,
    configured,
    reader: {
      site,
      secrets,
      ownBroker: ownBroker
        ? { ...ownBroker, ...(username !== undefined && { login: { username, password } }) }
        : undefined,
      alarmSchema,
    },
    onChange: (all) => {
      problems = all.problems;
      onChange(all.registrations);
    },
  });
  const { defaults, configMap } = settingParameters(rows, config.given);
  const parameters = new SiteParameters({
    database: parameterDocuments,
    snapshots: new SnapshotFile(join(dataDir, 'parameters.json'), log),
    clock: systemClock,
    log,
    site,
    secrets,
    defaults,
    configMap: { ...configMap, ...config.parameters },
  });
  const disable = new DisableRegistrations({
    documents,
    connectedSince: () => registrations.connectedSince,
    clock: systemClock,
    log,
  });
  return {
    parameters: () => parameters.current(),
    feed: new Feed({ documents, seal: seals.writes, secrets, keys }),
    disable,
    status: () => ({
      registrations: registrations.state,
      parameters: parameters.state,
      problems: [...problems.map((each) => `${each.document}: ${each.problems.join('; ')}`), ...parameters.problems],
    }),
    async start() {
      await parameters.start();
      await registrations.start();
    },
    async stop() {
      await Promise.all([registrations.stop(), parameters.stop()]);
      for (const connection of [documents, parameterDocuments, keys]) connection.close();
    },
  };
}
