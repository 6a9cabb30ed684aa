import { stdin } from 'node:process';
import { text } from 'node:stream/consumers';
import { EVERY_SITE, sealedParameter } from '../core/parameters.ts';
import { changeDocument } from '../flows/change-document.ts';
import type { StoredDocument } from '../ports/documents.ts';
import { askSecret } from './ask-secret.ts';
import { allDocuments, withCenter } from './center.ts';
import { ProviderProblem } from './provider-client.ts';

export interface ParameterOptions {
  readonly config?: string;
  /** Default: for every site. */
  readonly site?: string;
  readonly secret?: boolean;
  readonly ref?: string;
}

const DATABASE = 'parameters';

type Members = Readonly<Record<string, unknown>>;

/** `fogwhisk parameters list`: the center's parameters, secrets not shown. */
export async function listParameters(options: ParameterOptions): Promise<void> {
  const documents = await withCenter(options, DATABASE, allDocuments);
  for (const document of documents) {
    if (options.site !== undefined && document._id !== options.site && document._id !== EVERY_SITE) continue;
    for (const [name, value] of Object.entries(members(document, 'values'))) {
      process.stdout.write(`${document._id}  ${name} = ${JSON.stringify(value)}\n`);
    }
    for (const [name, value] of Object.entries(members(document, 'secrets'))) {
      const { secretRef } = (value ?? {}) as { secretRef?: unknown };
      process.stdout.write(
        `${document._id}  ${name} = (${secretRef ? `the secret ${secretRef} of each site` : 'secret'})\n`,
      );
    }
  }
}

/** `fogwhisk parameters set NAME [VALUE]`: JSON, or else text; a secret is read from standard input. */
export async function setParameter(name: string, value: string | undefined, options: ParameterOptions): Promise<void> {
  if (options.secret && value !== undefined) {
    throw new ProviderProblem('a command line is no place for a secret: leave the value out, and it is asked for');
  }
  const isSecret = options.secret === true;
  const given = isSecret ? await readSecret(name) : value;
  if (given === undefined && options.ref === undefined)
    throw new ProviderProblem(`what shall ${name} be? Give a value, --secret or --ref`);
  const id = siteId(options);
  await withCenter(options, DATABASE, ({ documents, seal, signal }) => {
    const secret =
      options.ref !== undefined ? { secretRef: options.ref } : isSecret && sealedParameter(given, id, name, seal);
    return changeDocument(documents, id, (current) => withParameter(current, name, secret || undefined, given), signal);
  });
  process.stdout.write(`${name} is set for ${nameOf(id)}\n`);
}

/** `fogwhisk parameters unset NAME` */
export async function unsetParameter(name: string, options: ParameterOptions): Promise<void> {
  const id = siteId(options);
  await withCenter(options, DATABASE, ({ documents, signal }) =>
    changeDocument(
      documents,
      id,
      (current) => {
        const isSet = current && (name in members(current, 'values') || name in members(current, 'secrets'));
        if (!isSet) throw new ProviderProblem(`${name} is not set for ${nameOf(id)}`);
        return without(current, name);
      },
      signal,
    ),
  );
  process.stdout.write(`${name} is no longer set for ${nameOf(id)}\n`);
}

function siteId({ site = EVERY_SITE }: ParameterOptions): string {
  if (site !== EVERY_SITE && !/^[A-Za-z0-9.-][A-Za-z0-9._-]{0,63}$/.test(site)) {
    throw new ProviderProblem(
      `${site} can't be the id of a site's document: 1 to 64 letters, digits, . _ -, no _ in front`,
    );
  }
  return site;
}

function nameOf(id: string): string {
  return id === EVERY_SITE ? 'every site' : `site ${id}`;
}

function members(document: StoredDocument, field: 'values' | 'secrets'): Members {
  const value = document[field];
  return typeof value === 'object' && value !== null ? (value as Members) : {};
}

function without(document: StoredDocument | undefined, name: string) {
  const { [name]: _value, ...values } = document ? members(document, 'values') : {};
  const { [name]: _secret, ...secrets } = document ? members(document, 'secrets') : {};
  return { ...document, values, secrets };
}

function withParameter(current: StoredDocument | undefined, name: string, secret: unknown, value: string | undefined) {
  const rest = without(current, name);
  if (secret) return { ...rest, secrets: { ...rest.secrets, [name]: secret } };
  return { ...rest, values: { ...rest.values, [name]: jsonOrText(value!) } };
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

async function readSecret(name: string): Promise<string> {
  const secret = stdin.isTTY ? await askSecret(name) : (await text(stdin)).replace(/\r?\n$/, '');
  if (secret === '') throw new ProviderProblem(`${name} must not be empty`);
  return secret;
}
