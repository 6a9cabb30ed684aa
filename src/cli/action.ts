import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { Entities, type OpenwhiskRefusal } from '../adapters/openwhisk/entities.ts';
import { loadConfig } from '../config.ts';
import { certificateProblem } from '../core/certificate-problem.ts';
import { FogwhiskError } from '../core/errors.ts';
import { loadCredentials } from '../credentials.ts';
import { configFile } from './config-file.ts';

export interface ActionAddOptions {
  readonly config?: string;
  readonly on: string;
  readonly name?: string;
  readonly kind?: string;
}

const KINDS: Readonly<Record<string, string>> = {
  '.js': 'nodejs:default',
  '.cjs': 'nodejs:default',
  '.mjs': 'nodejs:default',
  '.py': 'python:default',
};

/**
 * `fogwhisk action add FILE --on TRIGGER`: an action of a user's file, and a rule that starts it. Both are one for all
 * sites that share the center's CouchDB. Again is harmless: the code is that of the file.
 * @throws FogwhiskError `FILE_UNREADABLE`, `KIND_UNKNOWN`, `TRIGGER_UNKNOWN` or `DEPLOY_FAILED`
 */
export async function addAction(file: string, { on: trigger, ...options }: ActionAddOptions): Promise<void> {
  const config = loadConfig(configFile(options.config), process.env);
  const extension = extname(file).toLowerCase();
  const { name = basename(file, extname(file)), kind = KINDS[extension] } = options;
  if (kind === undefined) throw new FogwhiskError('KIND_UNKNOWN', { file, known: Object.keys(KINDS).join(', ') });
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new FogwhiskError('FILE_UNREADABLE', { file, reason: error.code ?? error.message }, { cause: error });
  });
  const isArchive = extension === '.zip';
  const { owAuth, tls } = await loadCredentials(config);
  const url = config.apiHost === 'embedded' ? `http://127.0.0.1:${config.embeddedOpenwhiskPort}` : config.apiHost;
  using entities = new Entities(url, owAuth, tls.secureContext);
  try {
    if (!(await entities.get(`triggers/${trigger}`))) throw new FogwhiskError('TRIGGER_UNKNOWN', { trigger, url });
    const code = bytes.toString(isArchive ? 'base64' : 'utf8');
    await entities.put(`actions/${name}`, { exec: { kind, code, ...(isArchive && { binary: true }) } });
    await entities.put(`rules/${name}Rule`, { trigger: `/_/${trigger}`, action: `/_/${name}` });
  } catch (error) {
    if (error instanceof FogwhiskError) throw error;
    const reason = certificateProblem(error) ?? (error as OpenwhiskRefusal).message;
    throw new FogwhiskError('DEPLOY_FAILED', { url, reason }, { cause: error });
  }
  process.stdout.write(`${trigger} starts ${name} (rule ${name}Rule)\n`);
}
