import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { type Deployed, type DeployOptions, deploy } from '../adapters/openwhisk/deploy.ts';
import { OpenwhiskRefusal } from '../adapters/openwhisk/entities.ts';
import { type Config, loadConfig } from '../config.ts';
import { certificateProblem } from '../core/certificate-problem.ts';
import { FogwhiskError } from '../core/errors.ts';
import { retryDelayMs } from '../core/retry.ts';
import { loadCredentials } from '../credentials.ts';
import type { Endpoints } from '../embedded-site.ts';
import { configFile } from './config-file.ts';

/** The manifests that a configuration wants deployed. */
function manifestsOf({ oneStatisticActions }: Config): string[] {
  const names = ['manifest.yaml', ...(oneStatisticActions ? ['one-statistic.yaml'] : [])];
  return names.map((name) => fileURLToPath(new URL(`../../actions/${name}`, import.meta.url)));
}

async function deployAll(manifests: readonly string[], options: DeployOptions): Promise<Deployed[]> {
  const deployed: Deployed[] = [];
  for (const manifest of manifests) deployed.push(...(await deploy(manifest, options)));
  return deployed;
}

/**
 * `fogwhisk deploy`: puts everything that the manifest names on the configured OpenWhisk, and prints what became of each.
 * @throws FogwhiskError `DEPLOY_POINTLESS` or `DEPLOY_FAILED`
 */
export async function deployCommand(options: { config?: string }): Promise<void> {
  const config = loadConfig(configFile(options.config), process.env);
  if (config.apiHost === 'embedded') throw new FogwhiskError('DEPLOY_POINTLESS');
  const { apiHost: url, owSystemAuth: systemAuth } = config;
  const { owAuth: auth, tls } = await loadCredentials(config);
  const providerUrl = config.providerUrl ?? `http://${config.providerHost}:${config.providerPort}`;
  const { secureContext } = tls;
  const target = { url, auth, systemAuth, secureContext, providerUrl };
  const deployed = await deployAll(manifestsOf(config), target).catch((error: unknown) => {
    const reason = certificateProblem(error) ?? (error as Error).message;
    throw new FogwhiskError('DEPLOY_FAILED', { url, reason }, { cause: error });
  });
  const lines = deployed.map(({ change, kind, name }) => `${change.padEnd(10)} ${kind.padEnd(8)} ${name}`);
  if (systemAuth === undefined)
    lines.push(
      '',
      'Without owSystemAuth the feeds of alarms are alarms/alarm, alarms/interval and alarms/once in this namespace.',
    );
  if (config.providerUrl === undefined)
    lines.push('', `providerUrl is not set: feeds will look for the provider at ${providerUrl}.`);
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** How long a start waits for a CouchDB that is elsewhere. */
const PATIENCE_MS = 2_000;

export interface Deployment {
  /** Gives up what has not been deployed yet. */
  stop(): void;
}

/**
 * Brings the embedded OpenWhisk up to this version, at every start. While a CouchDB elsewhere is out of reach what is there
 * can be used but not changed: then the site runs, and this goes on trying.
 */
export async function deployToEmbedded(
  config: Config,
  { openwhisk }: Endpoints,
  providerUrl: string,
  log: Logger,
): Promise<Deployment> {
  const stopping = new AbortController();
  const { signal } = stopping;
  const attempt = () => deployAll(manifestsOf(config), { ...openwhisk, providerUrl });
  const deploying = (async () => {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        const changed = changedOf(await attempt());
        if (changed.length > 0) log.info({ changed }, 'the actions are deployed');
        return;
      } catch (error) {
        if (!isPassing(error)) throw error;
        if (failures === 1) {
          log.warn({ reason: (error as Error).message }, 'the actions can not be deployed yet; trying again');
        }
      }
      const waitMs = retryDelayMs(failures, Math.random(), { firstMs: 1_000 });
      await sleep(waitMs, undefined, { signal }).catch(() => {});
    }
  })();
  if (config.couchdbGateway === 'embedded') {
    await deploying;
  } else {
    deploying.catch((err: unknown) => log.error({ err }, 'the actions can not be deployed'));
    await Promise.race([deploying, sleep(PATIENCE_MS, undefined, { ref: false })]);
  }
  return { stop: () => stopping.abort() };
}

/** Whether OpenWhisk could not change an entity just now: another site did (409), or CouchDB is out of reach (503). */
function isPassing(error: unknown): boolean {
  return error instanceof OpenwhiskRefusal && (error.statusCode === 409 || error.statusCode === 503);
}

function changedOf(deployed: readonly Deployed[]): string[] {
  return deployed.filter(({ change }) => change !== 'unchanged').map(({ name }) => name);
}
