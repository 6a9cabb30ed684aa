import { readFile } from 'node:fs/promises';
import { FogwhiskError } from '../core/errors.ts';
import {
  brokerAddress,
  documentProblems,
  type PlainDocument,
  withoutPlainSecrets,
} from '../core/registration-document.ts';
import { changeDocument } from '../flows/change-document.ts';
import type { StoredDocument } from '../ports/documents.ts';
import { allDocuments, withCenter } from './center.ts';
import { ProviderProblem } from './provider-client.ts';

export interface RegistrationOptions {
  readonly config?: string;
  readonly trigger?: string;
  readonly topic?: readonly string[];
  readonly url?: string;
  readonly alarm?: string;
  readonly site?: readonly string[];
  readonly keyFile?: string;
  readonly loginFile?: string;
  readonly reason?: string;
}

const DATABASE = 'topic_listeners';

/** `fogwhisk registrations list`: what the center has registered, for all sites or some. */
export async function listRegistrations(options: RegistrationOptions): Promise<void> {
  const documents = await withCenter(options, DATABASE, allDocuments);
  const wanted = documents.filter(({ sites = '*' }) => !options.site || isFor(sites, options.site));
  for (const document of wanted) process.stdout.write(`${lineOf(document)}\n`);
  process.stdout.write(`${wanted.length} registered\n`);
}

function isFor(sites: unknown, wanted: readonly string[]): boolean {
  return sites === '*' || (Array.isArray(sites) && wanted.some((site) => sites.includes(site)));
}

function lineOf(document: StoredDocument): string {
  const { _id, trigger, url, topic, topics, alarm, sites = '*', status } = document;
  const what = alarm ? `alarm ${JSON.stringify(alarm)}` : `${withoutLogin(url)} ${JSON.stringify(topics ?? topic)}`;
  const { active = true, reason } = (status ?? {}) as { active?: boolean; reason?: { message?: string } };
  const problems = documentProblems(document);
  return [
    `${_id}  ${what}`,
    ...(trigger === _id ? [] : [`fires ${String(trigger)}`]),
    `sites ${Array.isArray(sites) ? sites.join(', ') : String(sites)}`,
    ...(active ? [] : [`disabled: ${reason?.message ?? ''}`]),
    ...problems.map((problem) => `! ${problem}`),
  ].join('  ');
}

function withoutLogin(url: unknown): string {
  return typeof url === 'string' ? url.replace(/\/\/[^/?#]*@/, '//') : "the site's broker";
}

/** `fogwhisk registrations add NAME`: registers, or replaces what is registered under the name. */
export async function addRegistration(name: string, options: RegistrationOptions): Promise<void> {
  if (options.url !== undefined && brokerAddress(options.url)?.login) {
    throw new ProviderProblem('a command line is no place for a password: give the login by --login-file');
  }
  const key = await fromFile(options.keyFile);
  const login = await fromFile(options.loginFile);
  const [username, ...password] = (key ?? '').split(':');
  const document: PlainDocument = {
    _id: name,
    kind: options.alarm === undefined ? 'mqtt' : 'alarm',
    trigger: options.trigger ?? name,
    ...(options.url !== undefined && { url: login === undefined ? options.url : withLogin(options.url, login) }),
    ...(options.topic && { topic: options.topic[0] }),
    ...(options.topic && options.topic.length > 1 && { topics: options.topic }),
    ...(options.alarm !== undefined && { alarm: parsedJson(options.alarm) }),
    ...(options.site && { sites: options.site }),
    ...(key !== undefined && { username, password: password.join(':') }),
  };
  const problems = documentProblems(document);
  if (problems.length > 0) throw new ProviderProblem(problems.join('\n'));
  await withCenter(options, DATABASE, async ({ documents, seal, signal }) => {
    const sealed = withoutPlainSecrets(document, seal);
    await changeDocument(documents, name, () => sealed, signal);
  });
  process.stdout.write(`${name} is registered\n`);
}

async function fromFile(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  return (
    await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new FogwhiskError('FILE_UNREADABLE', { file, reason: error.code ?? error.message }, { cause: error });
    })
  ).trim();
}

/** @param login USER:PASSWORD */
function withLogin(url: string, login: string): string {
  const [user, ...password] = login.split(':');
  return url.replace('://', `://${encodeURIComponent(user!)}:${encodeURIComponent(password.join(':'))}@`);
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new ProviderProblem(`--alarm is no JSON: ${text}`);
  }
}

/** `fogwhisk registrations remove NAME`: also from sites that have it from a center that was lost. */
export async function removeRegistration(name: string, options: RegistrationOptions): Promise<void> {
  let wasThere = false;
  await withCenter(options, DATABASE, ({ documents, signal }) =>
    changeDocument(
      documents,
      name,
      (current) => {
        wasThere = current !== undefined;
        return { _deleted: true };
      },
      signal,
    ),
  );
  process.stdout.write(
    wasThere ? `${name} is removed\n` : `the center did not have ${name}; sites that do are told to remove it\n`,
  );
}

/** `fogwhisk registrations enable|disable NAME`: events of a disabled one wait in the journals of the sites. */
export async function setActive(name: string, active: boolean, options: RegistrationOptions): Promise<void> {
  const reason = { kind: 'ADMIN', message: options.reason ?? 'by the operator' };
  const status = { active, dateChanged: Date.now(), ...(!active && { reason }) };
  await withCenter(options, DATABASE, ({ documents, signal }) =>
    changeDocument(
      documents,
      name,
      (current) => {
        if (!current) throw new ProviderProblem(`the center has no registration ${name}`);
        return { ...current, status };
      },
      signal,
    ),
  );
  process.stdout.write(`${name} is ${active ? 'enabled' : 'disabled'}\n`);
}
