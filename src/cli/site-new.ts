import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { ConfigError, type ConfigProblem, loadConfig, type Setting, settings } from '../config.ts';
import { FogwhiskError } from '../core/errors.ts';
import { askSecret } from './ask-secret.ts';
import { mosquittoPasswordLine } from './mosquitto-password.ts';

export interface SiteNewOptions {
  /** A map of the settings that are this site's own; `KEY_FILE` for those that are secret. */
  readonly from: string;
  /** The folder to make the overlay in. */
  readonly to: string;
}

/** Secrets that only the operator knows, and the setting that says whose they are; the others are made here. */
const ASKED: ReadonlyArray<readonly [secret: string, endpoint: string]> = [
  ['owAuth', 'apiHost'],
  ['couchdbPassword', 'couchdbGateway'],
  ['influxCentralToken', 'influxCentralUrl'],
];
const MAX_SITE_FILE_BYTES = 1024 * 1024;

/**
 * `fogwhisk site new NAME`: writes the kustomize overlay of a data center, and its Secrets to a file beside it that only
 * its owner reads. Prints what to apply, no secret.
 * @throws FogwhiskError `SITE_NAME_INVALID`, `SITE_EXISTS`, `FILE_UNREADABLE` or `SECRETS_NOT_GIVEN`; ConfigError
 */
export async function siteNew(name: string, { from, to }: SiteNewOptions): Promise<void> {
  // The name is a Kubernetes namespace's: a DNS label.
  if (!/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) throw new FogwhiskError('SITE_NAME_INVALID', { name });
  const folder = join(to, name);
  if (existsSync(folder)) throw new FogwhiskError('SITE_EXISTS', { folder });

  const base = baseFolder();
  const own = await readSiteFile(from);
  const shared = (parse(await readFile(join(base, 'configmap.yml'), 'utf8')) as { data: Record<string, string> }).data;
  const secrets = await secretsOf({ ...shared, ...own.settings }, own.secrets);
  const providerPassword = random();
  const sensorPassword = random();
  secrets.mqttUrl ??= `mqtt://fogwhisk:${providerPassword}@mosquitto:1883`;
  loadConfig(join(base, 'configmap.yml'), { ...own.settings, ...secrets });

  await mkdir(folder, { recursive: true });
  const write = (file: string, documents: object[], mode = 0o644) =>
    writeFile(join(folder, file), documents.map((document) => stringify(document)).join('---\n'), { mode });
  await write('namespace.yaml', [namespace(name)]);
  await write('configmap.yml', [configMap(own.settings)]);
  await write('kustomization.yaml', [kustomization(name, relative(folder, base))]);
  await write(
    'secrets.yaml',
    [
      secret(name, 'mqtt-provider-secret', secrets),
      secret(name, 'mosquitto-secret', {
        passwd: `${mosquittoPasswordLine('fogwhisk', providerPassword)}\n${mosquittoPasswordLine('sensor', sensorPassword)}\n`,
        'sensor-password': sensorPassword,
      }),
      secret(name, 'influxdb-secret', { 'admin-token': secrets.influxLocalToken!, 'admin-password': random() }),
    ],
    0o600,
  );
  await writeFile(join(folder, '.gitignore'), 'secrets.yaml\n');
  process.stdout.write(`The site ${name} is in ${folder}. To start it:

  kubectl apply -f ${join(folder, 'namespace.yaml')} -f ${join(folder, 'secrets.yaml')}
  kubectl apply -k ${folder}

Its sensors publish as the user sensor; the password is sensor-password of the Secret mosquitto-secret.
${join(folder, 'secrets.yaml')} holds secrets: keep it where you keep such, not with the rest.
`);
}

/** The base of all sites: of the checkout that we are in, else the one that comes with fogwhisk. */
function baseFolder(): string {
  const here = resolve('deploy', 'site');
  return existsSync(join(here, 'kustomization.yaml'))
    ? here
    : fileURLToPath(new URL('../../deploy/site', import.meta.url));
}

interface SiteFile {
  readonly settings: Record<string, string>;
  readonly secrets: Record<string, string>;
}

/** Its settings, and the content of the files that it names for secrets. */
async function readSiteFile(file: string): Promise<SiteFile> {
  const text = await readText(file);
  if (text.length > MAX_SITE_FILE_BYTES) throw unreadable(file, `larger than ${MAX_SITE_FILE_BYTES} bytes`);
  let content: unknown;
  try {
    content = parse(text, { logLevel: 'error' });
  } catch (error) {
    throw unreadable(file, (error as Error).message);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw unreadable(file, 'it is no map of settings');
  const site: SiteFile = { settings: {}, secrets: {} };
  const problems: ConfigProblem[] = [];
  for (const [key, value] of Object.entries(content)) {
    const name = key.replace(/_FILE$/, '');
    const row: Setting<unknown> | undefined = Object.entries(settings).find(([known]) => known === name)?.[1];
    if (!row) problems.push({ key, message: 'is no setting' });
    else if (key !== name) site.secrets[name] = (await readText(resolve(dirname(file), String(value)))).trimEnd();
    else if (row.secret)
      problems.push({ key, message: `is secret; put it into a file, and its name here as ${key}_FILE` });
    else site.settings[key] = typeof value === 'string' ? value : JSON.stringify(value);
  }
  if (problems.length > 0) throw new ConfigError(file, problems);
  return site;
}

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw unreadable(file, error.code ?? error.message);
  });
}

function unreadable(file: string, reason: string): FogwhiskError {
  return new FogwhiskError('FILE_UNREADABLE', { file, reason });
}

/** The site's secrets: those given, those made here, and those of others, asked for where a person is there to answer. */
async function secretsOf(
  values: Readonly<Record<string, string>>,
  given: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  const unknown = ASKED.filter(
    ([key, endpoint]) => given[key] === undefined && (values[endpoint] ?? 'embedded') !== 'embedded',
  );
  if (unknown.length > 0 && !process.stdin.isTTY) {
    throw new FogwhiskError('SECRETS_NOT_GIVEN', { keys: unknown.map(([key]) => key).join(', ') });
  }
  const secrets: Record<string, string> = { providerToken: random(), influxLocalToken: random(), ...given };
  for (const [key, endpoint] of unknown) secrets[key] = await askSecret(`${key} (of ${values[endpoint]})`);
  return secrets;
}

function random(): string {
  return randomBytes(32).toString('base64url');
}

function namespace(name: string) {
  const level = 'restricted';
  const labels = { 'pod-security.kubernetes.io/enforce': level, 'pod-security.kubernetes.io/warn': level };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

function configMap(data: Readonly<Record<string, string>>) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'mqtt-provider-configmap' }, data };
}

function kustomization(name: string, base: string) {
  return {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    namespace: name,
    resources: ['namespace.yaml', base],
    patches: [{ path: 'configmap.yml' }],
  };
}

function secret(namespace: string, name: string, stringData: Readonly<Record<string, string>>) {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData };
}
