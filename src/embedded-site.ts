import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { Credentials } from './credentials.ts';

/** Where the site's services are: outside ones as configured, embedded ones where they were started. */
export interface Endpoints {
  readonly mqtt: {
    readonly url: string;
    readonly username?: string;
    readonly password?: string;
    /** The protocol version to begin with: 5, or 4 (3.1.1) for the embedded broker, which speaks no other. */
    readonly version: 4 | 5;
    readonly secureContext?: SecureContext;
  };
  readonly openwhisk: {
    readonly url: string;
    readonly auth: string;
    /** The key of `whisk.system`, where it is known. */
    readonly systemAuth?: string;
    readonly secureContext?: SecureContext;
  };
  readonly couchdb: {
    readonly url: string;
    readonly username: string;
    readonly password: string;
    readonly secureContext?: SecureContext;
  };
  /** Where the state of this site's own lakes is. */
  readonly stateCouchdb: Endpoints['couchdb'];
  readonly influxLocal: { readonly url: string; readonly token: string };
}

export interface EmbeddedSite {
  readonly endpoints: Endpoints;
  /** The parts that were started, for people: name and address. */
  readonly started: ReadonlyArray<{ readonly name: string; readonly url: string }>;
  /** Stops the parts in the direction of the data. */
  close(): Promise<void>;
}

/** Starts the parts that the configuration wants embedded; each speaks its own protocol on a loopback port. */
export async function startEmbeddedSite(config: Config, credentials: Credentials, log: Logger): Promise<EmbeddedSite> {
  const { dataDir } = config;
  const running: Array<{ name: string; url: string; close(): Promise<void> }> = [];
  const start = async <T extends { url: string; close(): Promise<void> }>(
    name: string,
    part: Promise<T>,
  ): Promise<T> => {
    const started = await part;
    running.push({ name, url: started.url, close: () => started.close() });
    return started;
  };
  const close = async () => {
    for (const part of ['MQTT', 'OpenWhisk', 'InfluxDB', 'CouchDB']) {
      await running.find(({ name }) => name === part)?.close();
    }
  };

  const mqtt = mqttEndpoint(config.mqttUrl);
  const { secureContext, brokerSecureContext } = credentials.tls;
  const trust = secureContext && { secureContext };
  const couchdbLogin = { username: config.couchdbUsername, password: credentials.couchdbPassword };
  const startBroker = async () => {
    if (!mqtt.isEmbedded) return mqtt.url;
    const { startBroker } = await import('./embedded/broker/broker.ts');
    const { port, setting } = { port: config.embeddedMqttPort, setting: 'embeddedMqttPort' };
    const { username, password } = mqtt;
    const login = username !== undefined && password !== undefined && { credentials: { username, password } };
    const options = {
      host: config.embeddedHost,
      port,
      setting,
      dataDir: join(dataDir, 'broker'),
      maxPacketBytes: config.maxPacketBytes,
      log,
      ...login,
    };
    return (await start('MQTT', startBroker(options))).url;
  };
  const startInfluxdb = async () => {
    if (config.influxLocalUrl !== 'embedded') return config.influxLocalUrl;
    const { startInfluxdb } = await import('./embedded/influxdb/server.ts');
    const options = {
      host: config.embeddedHost,
      port: config.embeddedInfluxdbPort,
      setting: 'embeddedInfluxdbPort',
      dataDir: join(dataDir, 'influxdb'),
      token: credentials.influxLocalToken,
      org: config.influxLocalOrg,
      buckets: [...new Set([config.influxLocalBucket, config.influxCentralBucket])],
      log,
    };
    return (await start('InfluxDB', startInfluxdb(options))).url;
  };
  const startCouchdb = async () => {
    const { startCouchdb } = await import('./embedded/couchdb/server.ts');
    const options = {
      host: config.embeddedHost,
      port: config.embeddedCouchdbPort,
      setting: 'embeddedCouchdbPort',
      dataDir: join(dataDir, 'couchdb'),
      ...couchdbLogin,
      log,
    };
    return (await start('CouchDB', startCouchdb(options))).url;
  };
  /** The center's, and that of the site's own lakes, which may be one and the same. */
  const startCouchdbs = async () => {
    const { couchdbGateway: gateway, stateCouchdbUrl: state = gateway } = config;
    const embedded = [gateway, state].includes('embedded') ? await startCouchdb() : '';
    const urlOf = (url: string) => (url === 'embedded' ? embedded : url);
    return { couchdbUrl: urlOf(gateway), stateUrl: urlOf(state) };
  };
  const startOpenwhisk = async (couchdbUrl: string) => {
    if (config.apiHost !== 'embedded') return { url: config.apiHost, systemAuth: config.owSystemAuth };
    const { startOpenwhisk } = await import('./embedded/openwhisk/server.ts');
    const options = {
      host: config.embeddedHost,
      port: config.embeddedOpenwhiskPort,
      setting: 'embeddedOpenwhiskPort',
      dataDir: join(dataDir, 'openwhisk'),
      couchdb: { url: couchdbUrl, ...couchdbLogin, ...trust },
      authKey: credentials.owAuth,
      namespaces: { ...(config.owSystemAuth && { 'whisk.system': config.owSystemAuth }), ...config.embeddedNamespaces },
      images: config.embeddedImages,
      containers: config.embeddedContainers,
      limits: config.embeddedLimits,
      caFile: config.tlsCaFile && resolve(config.tlsCaFile),
      log,
    };
    return start('OpenWhisk', startOpenwhisk(options));
  };

  try {
    const [mqttUrl, influxUrl, { couchdbUrl, stateUrl, openwhisk }] = await settled([
      startBroker(),
      startInfluxdb(),
      startCouchdbs().then(async (couchdbs) => ({ ...couchdbs, openwhisk: await startOpenwhisk(couchdbs.couchdbUrl) })),
    ]);
    if (config.apiHost === 'embedded') {
      await writeFile(join(dataDir, 'wskprops'), `APIHOST=${openwhisk.url}\nAUTH=${credentials.owAuth}\n`, {
        mode: 0o600,
      });
    }
    const { username, password } = mqtt;
    return {
      endpoints: {
        mqtt: {
          url: mqttUrl,
          version: mqtt.isEmbedded ? 4 : 5,
          ...(username !== undefined && { username }),
          ...(password !== undefined && { password }),
          ...(brokerSecureContext && { secureContext: brokerSecureContext }),
        },
        openwhisk: {
          url: openwhisk.url,
          auth: credentials.owAuth,
          ...(openwhisk.systemAuth && { systemAuth: openwhisk.systemAuth }),
          ...trust,
        },
        couchdb: { url: couchdbUrl, ...couchdbLogin, ...trust },
        stateCouchdb: { url: stateUrl, ...couchdbLogin, ...trust },
        influxLocal: { url: influxUrl, token: credentials.influxLocalToken },
      },
      started: running,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Like Promise.all, but waits for all before it fails, so that what did start can be stopped. */
async function settled<T extends readonly unknown[]>(promises: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(promises);
  return (await Promise.all(promises)) as unknown as T;
}

/** Where the broker is and how to log in; no URL where it is embedded. */
export function mqttEndpoint(mqttUrl: string): {
  isEmbedded: boolean;
  url: string;
  username?: string;
  password?: string;
} {
  if (mqttUrl === 'embedded') return { isEmbedded: true, url: '' };
  const url = new URL(mqttUrl);
  const { username, password, hostname } = url;
  url.username = '';
  url.password = '';
  return {
    isEmbedded: hostname === 'embedded',
    url: url.toString(),
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
  };
}
