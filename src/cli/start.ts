import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { type Config, loadConfig } from '../config.ts';
import { FogwhiskError } from '../core/errors.ts';
import { nextRegistration } from '../core/registration.ts';
import { loadCredentials } from '../credentials.ts';
import { type Endpoints, startEmbeddedSite } from '../embedded-site.ts';
import { type Service, startService } from '../service.ts';
import { lockFolder } from '../storage/folder-lock.ts';
import { configFile } from './config-file.ts';
import { farewell, readyBlock } from './ready-block.ts';
import type { Station } from './station.ts';

/** `fogwhisk start`: runs the site until SIGINT or SIGTERM; a second signal ends it at once. */
export async function start(options: { config?: string }, version: string): Promise<void> {
  const config = loadConfig(configFile(options.config), process.env);
  const log = pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
  const lock = await lockFolder(config.dataDir);
  await access(config.dataDir, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    throw new FogwhiskError('DATA_FOLDER_UNUSABLE', { folder: config.dataDir, reason: error.code }, { cause: error });
  });
  const credentials = await loadCredentials(config);
  const stopAsked = firstSignal();

  // Everything acquired registers its undo at once; a failed start and a normal stop walk the same list backward.
  const undo: Array<() => Promise<void>> = [() => lock.release()];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const embedded = await startEmbeddedSite(config, credentials, log);
    undo.push(() => embedded.close());
    const service = await startService(config, credentials, embedded.endpoints, { version, log });
    undo.push(() => service.stop());
    if (config.apiHost === 'embedded') {
      const { deployToEmbedded } = await import('./deploy.ts');
      const deployment = await deployToEmbedded(config, embedded.endpoints, config.providerUrl ?? service.url, log);
      undo.push(async () => deployment.stop());
    }
    await Promise.race([service.subscribed, stopAsked]);
    if (config.simulate) {
      const { startStation, ownTopic } = await import('./station.ts');
      const topic = ownTopic(config);
      const station = startStation({ ...embedded.endpoints.mqtt, topic, datacenterId: config.datacenterId, log });
      undo.push(() => station.stop());
    }
    process.stdout.write(await readyBlock(config, embedded, service.url));
    if (config.simulate) {
      const past = await startPast(config, embedded.endpoints, service, log);
      undo.push(() => past.stop());
    }
    const signal = await stopAsked;
    log.info({ signal }, 'stopping');
    await stop();
    process.stdout.write(farewell(service.status().books));
    // Everything is closed and on disk; nothing that still waits somewhere shall hold the process up.
    process.exit(0);
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The imitated station's past; its days are aggregated, and a first forecast is made from them, by way of the journal. */
async function startPast(config: Config, { mqtt }: Endpoints, service: Service, log: Logger): Promise<Station> {
  const { dataDir, datacenterId, timezone } = config;
  const [{ startStationPast }, { ownTopic }] = await Promise.all([import('./station-past.ts'), import('./station.ts')]);
  const registration = nextRegistration('aggregatesTrigger').name;
  return startStationPast({
    ...mqtt,
    topic: ownTopic(config),
    datacenterId,
    timezone,
    markerFile: join(dataDir, 'station-past.json'),
    isStored: () => service.status().books.pending === 0,
    async aggregate({ from, to }) {
      const window = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
      const payload = JSON.stringify({ window, every: 'day', timezone });
      await service.accept({ registration, key: `station-past ${window.from} ${window.to}`, payload });
      await service.accept({
        registration: nextRegistration('flareForecastTrigger').name,
        key: 'station-past forecast',
        payload: JSON.stringify({ scheduledFor: new Date().toISOString(), timezone, waitForReadings: true }),
      });
    },
    log,
  });
}

/** A terminal's Ctrl-C reaches us twice under `npm start`: from the terminal and from npm. */
const SAME_KEYSTROKE_MS = 500;

/** The first SIGINT or SIGTERM; a second one ends the process without waiting for anything. */
function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let first: number | undefined;
    const onSignal = (signal: NodeJS.Signals) => {
      if (first !== undefined && performance.now() - first > SAME_KEYSTROKE_MS) process.exit(1);
      first ??= performance.now();
      resolve(signal);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
