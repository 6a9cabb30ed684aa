import { badRequest, queryError } from './couch-error.ts';
import { parseJson } from './json.ts';

/** What may be asked of `_all_docs` and of views. */
export interface ViewArguments {
  startkey?: unknown;
  startkeyId?: string;
  endkey?: unknown;
  endkeyId?: string;
  keys?: unknown[];
  inclusiveEnd: boolean;
  descending: boolean;
  limit: number;
  skip: number;
  includeDocs: boolean;
  conflicts: boolean;
  attachments: boolean;
  updateSeq: boolean;
  reduce?: boolean;
  group: boolean;
  groupLevel?: number;
  update: boolean;
}

/**
 * Reads the arguments of a query string and of a body; the body's win.
 * @throws CouchError 400
 */
export function viewArguments(query: URLSearchParams, body: Record<string, unknown> = {}): ViewArguments {
  const args: ViewArguments = {
    inclusiveEnd: true,
    descending: false,
    limit: Number.POSITIVE_INFINITY,
    skip: 0,
    includeDocs: false,
    conflicts: false,
    attachments: false,
    updateSeq: false,
    group: false,
    update: true,
  };
  for (const [name, text] of query) {
    if (JSON_ARGUMENTS.has(name)) take(args, name, parseJson(text), 'parameter');
    else take(args, name, text, 'parameter');
  }
  for (const [name, value] of Object.entries(body)) take(args, name, value, 'body member');
  return args;
}

const JSON_ARGUMENTS = new Set(['key', 'keys', 'startkey', 'start_key', 'endkey', 'end_key']);

function take(args: ViewArguments, name: string, value: unknown, where: string): void {
  switch (name) {
    case 'key':
      args.startkey = args.endkey = value;
      break;
    case 'keys':
      if (!Array.isArray(value)) throw badRequest(`\`keys\` ${where} must be an array.`);
      args.keys = value;
      break;
    case 'startkey':
    case 'start_key':
      args.startkey = value;
      break;
    case 'endkey':
    case 'end_key':
      args.endkey = value;
      break;
    case 'startkey_docid':
    case 'start_key_doc_id':
      args.startkeyId = String(value);
      break;
    case 'endkey_docid':
    case 'end_key_doc_id':
      args.endkeyId = String(value);
      break;
    case 'limit':
      args.limit = count(value);
      break;
    case 'skip':
      args.skip = count(value);
      break;
    case 'group_level':
      args.groupLevel = count(value);
      break;
    case 'group':
      args.group = truth(value);
      break;
    case 'reduce':
      args.reduce = truth(value);
      break;
    case 'descending':
      args.descending = truth(value);
      break;
    case 'inclusive_end':
      args.inclusiveEnd = truth(value);
      break;
    case 'include_docs':
      args.includeDocs = truth(value);
      break;
    case 'conflicts':
      args.conflicts = truth(value);
      break;
    case 'attachments':
      args.attachments = truth(value);
      break;
    case 'update_seq':
      args.updateSeq = truth(value);
      break;
    case 'stable':
    case 'sorted':
      truth(value);
      break;
    case 'stale':
      if (value !== 'ok' && value !== 'update_after') throw queryError('Invalid value for `stale`.');
      args.update = value === 'update_after';
      break;
    case 'update':
      if (!['true', 'false', 'lazy', true, false].includes(value as string)) {
        throw queryError('Invalid value for `update`.');
      }
      args.update = value !== 'false' && value !== false;
      break;
  }
}

function count(value: unknown): number {
  const number = typeof value === 'string' && /^[+-]?\d+$/.test(value) ? Number(value) : value;
  if (!Number.isSafeInteger(number)) throw queryError(`Invalid value for integer: ${JSON.stringify(value)}`);
  if ((number as number) < 0) throw queryError(`Invalid value for positive integer: ${JSON.stringify(value)}`);
  return number as number;
}

function truth(value: unknown): boolean {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw queryError(`Invalid boolean parameter: ${JSON.stringify(value)}`);
}
