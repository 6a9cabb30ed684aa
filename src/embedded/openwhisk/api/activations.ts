import { ApiError, malformedQuery, noSuchRoute, notFound } from '../api-error.ts';
import { isName } from '../entities/names.ts';
import { checkOwner } from '../entities/packages.ts';
import { type Activation, recordJson, responseJson, summaryOf } from '../invocation/activation.ts';
import type { ActivationQuery } from '../invocation/activation-store.ts';
import { type Answer, type Call, flag, json, paging } from './call.ts';
import type { Platform } from './platform.ts';

const ID_CHARS = 32;

/** GET /activations, newest first */
export async function listActivations({ activations }: Platform, call: Call): Promise<Answer> {
  checkOwner(call.caller, call.namespace);
  const { limit, skip, count } = paging(call.query, 'activations');
  const docs = flag(call.query, 'docs');
  const query = queryOf(call.query);
  if (count && docs) throw new ApiError(400, "The parameter 'docs' is not permitted with 'count'.");
  if (count) return json({ activations: Math.max(0, activations.count(call.namespace, query) - skip) });
  const found = await activations.list(call.namespace, query, skip, limit);
  if (!docs) return json(found.map(summaryOf));
  const parts: Buffer[] = [];
  for (const activation of found) parts.push(Buffer.from(parts.length === 0 ? '[' : ','), recordJson(activation));
  return { status: 200, body: Buffer.concat([...(parts.length === 0 ? [Buffer.from('[')] : parts), Buffer.from(']')]) };
}

/** GET /activations/ID[/logs | /result] */
export async function getActivation(
  platform: Platform,
  call: Call,
  id: string,
  part: string | undefined,
): Promise<Answer> {
  if (id.length !== ID_CHARS) {
    throw new ApiError(400, `Activation id length is ${id.length} but must be ${ID_CHARS}.`, { routed: false });
  }
  if (!/^[0-9a-f]+$/.test(id)) throw new ApiError(400, 'The activation id is not valid.', { routed: false });
  checkOwner(call.caller, call.namespace, `${call.namespace}/${id}`);
  const show = views[part ?? ''];
  if (!show) throw noSuchRoute();
  const activation = await platform.activations.get(call.namespace, id);
  if (!activation) throw notFound();
  return { status: 200, body: show(activation) };
}

const views: Readonly<Record<string, (activation: Activation) => string | Buffer>> = {
  '': (activation) => recordJson(activation),
  logs: ({ logs }) => JSON.stringify({ logs }),
  result: responseJson,
};

function queryOf(query: URLSearchParams): ActivationQuery {
  const time = (name: 'since' | 'upto') => {
    const value = query.get(name);
    if (value === null) return {};
    if (!/^-?\d+$/.test(value)) {
      throw malformedQuery(name, `Parameter is not a valid value for epoch seconds: ${value}`);
    }
    return { [name]: Number(value) };
  };
  return { ...nameOf(query.get('name')), ...time('since'), ...time('upto') };
}

/** An action, trigger or `package/action`; empty parts match nothing, an empty name everything. */
function nameOf(name: string | null): { path?: string } {
  if (name === null || name === '') return {};
  const parts = name.split('/').filter((part) => part !== '');
  if (parts.length > 2 || !parts.every(isName)) {
    const detail = `Parameter may be a 'simple' name or 'package-name/simple' name: ${name}`;
    throw malformedQuery('name', detail);
  }
  return { path: name };
}
