import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SiteStatus } from '../../src/http/site-status.ts';
import { freePort } from '../support/free-port.ts';
import { type HttpFault, HttpLink } from './http-link.ts';
import type { Ledger } from './ledger.ts';
import { observeMqtt } from './mqtt-observer.ts';
import { isOnPath, Program } from './program.ts';
import { TcpLink } from './tcp-link.ts';

/**
 * The site under test, every service a process of its own:
 *
 *     publishers → Mosquitto → (mqtt) → provider → (openwhisk) → action host → (influxdb) → InfluxDB
 *                                          ↑_________(callbacks)______|
 *
 * In brackets: links, where connections and HTTP go wrong.
 */
export interface Site {
  readonly folder: string;
  readonly broker: Program;
  readonly provider: Program;
  readonly actionHost: Program;
  readonly influxdb: Program;
  readonly brokerPort: number;
  readonly mqtt: TcpLink;
  readonly openwhisk: HttpConnection;
  readonly influx: HttpConnection & { readonly url: string };
  readonly callbacks: HttpConnection;
  /** The provider's data folder, and whether its size is limited: where we may mount a file system. */
  readonly dataDir: string;
  readonly isDataLimited: boolean;
  /** Steps the provider's clock; undefined where libfaketime is not installed. */
  readonly setClock: ((offsetSeconds: number) => Promise<void>) | undefined;
  /** What the provider answers to a GET. @throws Error if it doesn't answer, or not 200 */
  readonly ask: <T>(path: string, timeoutMs?: number) => Promise<T>;
  /** Ends everything; `keep` leaves the files to be looked at. */
  close(keep: boolean): Promise<void>;
}

/** A link on both levels; clients connect to the TCP side. */
export interface HttpConnection {
  readonly tcp: TcpLink;
  readonly http: HttpLink;
}

export interface SiteOptions {
  readonly influxdb: 'influxd' | 'embedded';
  /** The control: the provider forgets its journal at each start. */
  readonly forgetsJournal: boolean;
}

export const INFLUX = { token: 'campaign-token', org: 'influxdata', bucket: 'measure' };
const ROOT = resolve(import.meta.dirname, '../..');
const AUTH = '11111111-2222-3333-4444-555555555555:campaigncampaigncampaigncampaigncampaigncampaigncampaigncampaign';
const PROVIDER_TOKEN = 'token-of-the-campaign';
const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
/** Enough for the journal of any outage here, and soon filled. */
const DATA_BYTES = 256 * 1024 * 1024;
const JOURNAL_MAX_BYTES = 128 * 1024 * 1024;
const START_TIMEOUT_MS = 30_000;

/**
 * Starts everything; resolves when the provider has subscribed.
 * @throws Error if a program is missing or something does not start
 */
export async function startSite(options: SiteOptions, ledger: Ledger): Promise<Site> {
  for (const name of options.influxdb === 'influxd' ? ['mosquitto', 'influxd'] : ['mosquitto']) {
    if (!isOnPath(name)) throw new Error(`${name} is not on PATH`);
  }
  const folder = await mkdtemp(join(tmpdir(), 'fogwhisk-campaign-'));
  const logFile = (name: string) => join(folder, `${name}.log`);
  const dataDir = join(folder, 'data');
  await mkdir(dataDir);
  const isDataLimited = mountTmpfs(dataDir);
  const [brokerPort, providerPort, openwhiskPort, influxPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];

  const mqtt = await TcpLink.to(brokerPort, () => observeMqtt(ledger));
  const openwhisk = await connection(openwhiskPort);
  const influx = { ...(await connection(influxPort)), url: `http://127.0.0.1:${influxPort}` };
  const callbacks = await connection(
    providerPort,
    ({ url }, { kind }) => url === '/receipts' || (kind !== 'lost' && kind !== 'doubled'),
  );

  const broker = new Program('broker', await mosquitto(folder, brokerPort), logFile('broker'));
  const influxdb = new Program(
    'InfluxDB',
    options.influxdb === 'influxd' ? await influxd(folder, influxPort) : embeddedInfluxdb(folder, influxPort),
    logFile('influxdb'),
  );
  const actionHost = new Program(
    'action host',
    node('action-host.js', openwhiskPort, join(folder, 'action-host'), AUTH, join(ROOT, 'actions/manifest.yaml')),
    logFile('action-host'),
  );
  const clockFile = join(folder, 'clock');
  await writeFile(clockFile, '+0');
  const hasFaketime = existsSync(FAKETIME);
  const provider = new Program(
    'provider',
    {
      file: process.execPath,
      args: [join(ROOT, 'dist/main.js'), 'start'],
      cwd: folder, // where no configmap.yml is
      env: {
        ...(hasFaketime && {
          LD_PRELOAD: FAKETIME,
          FAKETIME_TIMESTAMP_FILE: clockFile,
          FAKETIME_CACHE_DURATION: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
        }),
        dataDir,
        providerPort: String(providerPort),
        providerUrl: `http://127.0.0.1:${callbacks.tcp.port}`,
        providerToken: PROVIDER_TOKEN,
        mqttUrl: `mqtt://127.0.0.1:${mqtt.port}`,
        mqttTopics: JSON.stringify(['timed', 'untimed', 'bad'].map((kind) => ({ topic: `readings/${kind}/#` }))),
        apiHost: `http://127.0.0.1:${openwhisk.tcp.port}`,
        owAuth: AUTH,
        couchdbGateway: '127.0.0.1:1',
        couchdbPassword: 'unused',
        influxLocalUrl: `http://127.0.0.1:${influx.tcp.port}`,
        influxLocalToken: INFLUX.token,
        influxLocalOrg: INFLUX.org,
        influxLocalBucket: INFLUX.bucket,
        journalMaxBytes: String(JOURNAL_MAX_BYTES),
        receiptTimeoutSeconds: '5',
        drainSeconds: '2',
        simulate: 'false',
        // A clock that is stepped may pass their hour.
        aggregatesCron: 'off',
        forecastCron: 'off',
      },
    },
    logFile('provider'),
    async () => {
      if (options.forgetsJournal) await rm(join(dataDir, 'journal'), { recursive: true, force: true });
    },
  );

  const ask = async <T>(path: string, timeoutMs = 30_000) => {
    const response = await fetch(`http://127.0.0.1:${providerPort}${path}`, {
      headers: { authorization: `Bearer ${PROVIDER_TOKEN}` },
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!response.ok) throw new Error(`${path} is answered ${response.status}`);
    return (await response.json()) as T;
  };
  const close = async (keep: boolean) => {
    const programs = [provider, actionHost, influxdb, broker];
    for (const program of programs) program.signal('SIGCONT');
    await Promise.all(programs.map((program) => program.end('SIGKILL')));
    mqtt.close();
    for (const { tcp, http } of [openwhisk, influx, callbacks]) {
      tcp.close();
      http.close();
    }
    if (keep) await cp(dataDir, join(folder, 'data-kept'), { recursive: true, filter: isFile });
    unmount(dataDir);
    if (!keep) await rm(folder, { recursive: true, force: true });
  };
  const setClock = hasFaketime
    ? (seconds: number) => writeFile(clockFile, `${seconds < 0 ? '' : '+'}${seconds}`)
    : undefined;
  const links = { mqtt, openwhisk, influx, callbacks };
  const site = { folder, broker, provider, actionHost, influxdb, brokerPort, ...links, dataDir, isDataLimited };
  try {
    await Promise.all([broker.start(), influxdb.start(), actionHost.start()]);
    await answering(`${influx.url}/health`);
    if (options.influxdb === 'influxd') await setUpInfluxd(influx.url);
    await answering(`http://127.0.0.1:${openwhiskPort}/`);
    await provider.start();
    const isConnected = async () =>
      (await ask<SiteStatus>('/status', 2_000).catch(() => undefined))?.broker === 'connected';
    await until(isConnected, 'the provider is not connected to the broker');
  } catch (error) {
    await close(true);
    throw error;
  }
  return { ...site, setClock, ask, close };
}

async function connection(
  port: number,
  subject?: (request: IncomingMessage, fault: HttpFault) => boolean,
): Promise<HttpConnection> {
  const http = await HttpLink.to(port, subject);
  return { http, tcp: await TcpLink.to(http.port) };
}

/**
 * With the settings that our deployment ships. (`autosave_on_changes` would write its whole memory for every few messages:
 * 300 readings/s were left of 2,000, and keep-alives timed out.)
 */
async function mosquitto(folder: string, port: number) {
  const file = join(folder, 'mosquitto.conf');
  const persistence = join(folder, 'broker');
  await mkdir(persistence);
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'persistence true',
    `persistence_location ${persistence}/`,
    'autosave_interval 2',
    'max_queued_messages 0',
    'max_queued_bytes 0',
    ...(process.getuid?.() === 0 ? ['user root'] : []),
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  return { file: 'mosquitto', args: ['-c', file] };
}

async function influxd(folder: string, port: number) {
  const cwd = join(folder, 'influxd');
  await mkdir(cwd);
  const paths = ['bolt', 'sqlite', 'engine'].flatMap((name) => [`--${name}-path`, join(cwd, name)]);
  return { file: 'influxd', args: ['--http-bind-address', `127.0.0.1:${port}`, '--reporting-disabled', ...paths], cwd };
}

async function setUpInfluxd(url: string): Promise<void> {
  const body = JSON.stringify({ username: 'campaign', password: 'campaign-password', ...INFLUX });
  const response = await fetch(`${url}/api/v2/setup`, { method: 'POST', body });
  if (!response.ok) throw new Error(`influxd can't be set up: ${response.status} ${await response.text()}`);
}

function embeddedInfluxdb(folder: string, port: number) {
  return node('influxdb-host.js', port, join(folder, 'influxdb'), INFLUX.token, INFLUX.org, INFLUX.bucket);
}

/** A program of the campaign, bundled beside this one. */
function node(name: string, ...args: Array<string | number>) {
  return { file: process.execPath, args: [join(import.meta.dirname, name), ...args.map(String)] };
}

/** A file system of limited size, where we are allowed to mount one. */
function mountTmpfs(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DATA_BYTES}`, 'tmpfs', folder], { stdio: 'ignore' });
    process.once('exit', () => unmount(folder));
    return true;
  } catch {
    return false;
  }
}

/** Detaches the file system, also from programs that are about to end; nothing happens if none is mounted. */
function unmount(folder: string): void {
  spawnSync('umount', ['--lazy', folder]);
}

/** Not a socket. */
function isFile(path: string): boolean {
  const entry = lstatSync(path);
  return entry.isFile() || entry.isDirectory();
}

async function answering(url: string): Promise<void> {
  await until(async () => {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    return response?.ok === true;
  }, `nothing answers at ${url}`);
}

async function until(condition: () => Promise<boolean>, problem: string): Promise<void> {
  for (const end = performance.now() + START_TIMEOUT_MS; performance.now() < end; await sleep(50)) {
    if (await condition()) return;
  }
  throw new Error(`${problem} after ${START_TIMEOUT_MS / 1_000} s`);
}
