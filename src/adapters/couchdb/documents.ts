import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import type { SecureContext } from 'node:tls';
import { certificateProblem } from '../../core/certificate-problem.ts';
import { CenterError, type Change, type Documents, type Identity, type StoredDocument } from '../../ports/documents.ts';
import { HttpEndpoint, type HttpRequest } from '../http-endpoint.ts';

const ANSWER_TIMEOUT_MS = 30_000;
/** For the few requests that follow each other: a link that went dead kills kept connections too, and silently. */
const KEEP_ALIVE_MS = 100;
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
/** CouchDB's own limit of a document is 8,000,000 bytes. */
const MAX_LINE_CHARACTERS = 16 * 1024 * 1024;
const READ_AT_ONCE = 200;
/** Local documents are neither replicated nor restored with the rest: this one tells a rebuilt database from the old one. */
const IDENTITY = '_local/fogwhisk';

export interface CouchdbOptions {
  /** `http(s)://HOST[:PORT][/PATH]` */
  readonly url: string;
  readonly username: string;
  readonly password: string;
  /** What to trust besides what Node.js does. */
  readonly secureContext?: SecureContext;
}

/**
 * A database of a CouchDB. Not by `nano`: a feed that is given up must be gone at once, and an answer that
 * never comes must end.
 */
export class CouchdbDocuments implements Documents {
  readonly name: string;
  readonly #endpoint: HttpEndpoint;
  readonly #path: string;
  readonly #designs: ReadonlyArray<{ readonly _id: string }>;

  /** @param designs design documents that are made where they are missing, and never changed */
  constructor(
    { url, username, password, secureContext }: CouchdbOptions,
    name: string,
    designs: ReadonlyArray<{ readonly _id: string }> = [],
  ) {
    this.name = name;
    this.#path = `/${encodeURIComponent(name)}`;
    this.#designs = designs;
    this.#endpoint = new HttpEndpoint({
      url,
      auth: `${username}:${password}`,
      secureContext,
      keepAliveMs: KEEP_ALIVE_MS,
      answerTimeoutMs: ANSWER_TIMEOUT_MS,
      maxAnswerBytes: MAX_ANSWER_BYTES,
    });
  }

  async prepare(signal: AbortSignal): Promise<void> {
    const { status } = await this.#ask('GET', '', signal, [404]);
    // 412: another site made it just now.
    if (status === 404) await this.#ask('PUT', '', signal, [412]);
    for (const design of this.#designs) {
      const { status } = await this.#ask('GET', `/${design._id}`, signal, [404]);
      if (status === 404) await this.#ask('PUT', `/${design._id}`, signal, [409], design);
    }
  }

  async identity(signal: AbortSignal): Promise<Identity> {
    const { body } = await this.#ask('GET', '', signal);
    return { id: await this.#id(signal), sequence: String(body.update_seq) };
  }

  async #id(signal: AbortSignal): Promise<string> {
    const { status, body } = await this.#ask('GET', `/${IDENTITY}`, signal, [404]);
    if (status === 200 && typeof body.identity === 'string') return body.identity;
    await this.#ask('PUT', `/${IDENTITY}`, signal, [409], { identity: randomUUID() });
    // Read again: where two sites did the same, one of them prevails.
    const { body: kept } = await this.#ask('GET', `/${IDENTITY}`, signal);
    return String(kept.identity);
  }

  async revisions(signal: AbortSignal): Promise<Map<string, string>> {
    const { body } = await this.#ask('GET', '/_all_docs', signal);
    const rows = body.rows as ReadonlyArray<{ id: string; value: { rev: string } }>;
    return new Map(rows.filter(({ id }) => !id.startsWith('_design/')).map(({ id, value }) => [id, value.rev]));
  }

  async read(ids: readonly string[], signal: AbortSignal): Promise<Change[]> {
    const changes: Change[] = [];
    for (let start = 0; start < ids.length; start += READ_AT_ONCE) {
      const keys = ids.slice(start, start + READ_AT_ONCE);
      const { body } = await this.#ask('POST', '/_all_docs?include_docs=true', signal, [], { keys });
      for (const row of body.rows as readonly AllDocsRow[]) {
        if (row.doc) changes.push({ id: row.key, document: row.doc });
        else if (row.value?.deleted) changes.push({ id: row.key });
      }
    }
    return changes;
  }

  async write(
    document: Readonly<Record<string, unknown>> & { readonly _id: string },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { status } = await this.#ask('PUT', `/${encodeURIComponent(document._id)}`, signal, [409], document);
    // A cluster may answer 202 to the loser of two writes; which of them prevails, every follower sees alike.
    return status !== 409;
  }

  async changes(
    since: string,
    heartbeatMs: number,
    signal: AbortSignal,
    hear: (changes: Change[], sequence: string | undefined) => void,
  ): Promise<void> {
    const query = new URLSearchParams({
      feed: 'continuous',
      include_docs: 'true',
      heartbeat: String(heartbeatMs),
      since,
    });
    // Whether the feed is alive is for the one who listens to judge: this waits for as long as it is wanted.
    const answer = await this.#open('GET', `/_changes?${query}`, { signal, answerTimeoutMs: 0 });
    if (answer.statusCode !== 200) throw await this.#refusal('GET', '/_changes', answer);
    try {
      const decoder = new StringDecoder('utf8');
      let rest = '';
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        const text = decoder.write(chunk);
        const end = text.lastIndexOf('\n');
        // Only what is new is looked through: a large document comes in hundreds of pieces.
        const lines = end < 0 ? [] : (rest + text.slice(0, end)).split('\n');
        rest = end < 0 ? rest + text : text.slice(end + 1);
        if (rest.length > MAX_LINE_CHARACTERS) throw new Error(`a line of more than ${MAX_LINE_CHARACTERS} characters`);
        const rows = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as ChangesRow);
        const documents = rows.filter(({ id }) => id !== undefined && !id.startsWith('_design/'));
        hear(
          documents.map(({ id, doc, deleted }) => ({ id: id!, ...(!deleted && doc && { document: doc }) })),
          rows.findLast(({ seq }) => seq != null)?.seq ?? undefined,
        );
      }
    } catch (error) {
      if (!signal.aborted) throw this.#unreachable(error);
    }
  }

  close(): void {
    this.#endpoint.close();
  }

  /** An answer of 2xx, or of a status that the caller expects. */
  async #ask(method: string, path: string, signal: AbortSignal, expected: number[] = [], content?: unknown) {
    const request = { signal, ...(content !== undefined && { body: JSON.stringify(content) }) };
    const answer = await this.#open(method, path, request);
    const status = answer.statusCode!;
    if (status >= 300 && !expected.includes(status)) throw await this.#refusal(method, path, answer);
    const body = await this.#endpoint.bodyOf(answer).catch((error) => {
      throw this.#unreachable(error);
    });
    if (body === undefined) throw this.#unreachable(new SyntaxError('no JSON'));
    return { status, body: body as Record<string, unknown> };
  }

  async #open(method: string, path: string, request: HttpRequest): Promise<IncomingMessage> {
    try {
      return await this.#endpoint.open(method, this.#path + path, request);
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  async #refusal(method: string, path: string, answer: IncomingMessage): Promise<CenterError> {
    const status = answer.statusCode!;
    const body = await this.#endpoint.bodyOf(answer).catch(() => undefined);
    const { reason } = (body ?? {}) as { reason?: unknown };
    const what = `${method} ${this.#endpoint.basePath}${this.#path}${path.split('?')[0]}`;
    return new CenterError(
      `CouchDB answers ${what} with HTTP ${status}${typeof reason === 'string' ? `: ${reason}` : ''}`,
      status,
    );
  }

  #unreachable(error: unknown): CenterError {
    const { code, message } = error as { code?: string; message?: string };
    // What JSON.parse says quotes the text, which may hold what is not for the log.
    const reason = error instanceof SyntaxError ? 'its answer is no JSON' : (code ?? message ?? String(error));
    return new CenterError(`CouchDB can't be used (${certificateProblem(error) ?? reason})`, undefined, {
      cause: error,
    });
  }
}

interface AllDocsRow {
  readonly key: string;
  readonly value?: { readonly deleted?: boolean };
  readonly doc?: StoredDocument | null;
}

interface ChangesRow {
  readonly seq?: string | null;
  readonly id?: string;
  readonly deleted?: boolean;
  readonly doc?: StoredDocument;
}
