import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isRecord, type Params } from '../shared/payload.ts';

/**
 * OpenWhisk's runtime contract for an image: `POST /init` and `POST /run`, one line on both streams at the end of every
 * activation's log. Nothing is run at start or at /init, and nothing is kept between two runs.
 */

const END_OF_LOGS = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n';
/** OpenWhisk's limit of a payload, and room for what the platform adds. */
const MAX_BODY_BYTES = 2 * 1_048_576;
const DEFAULT_TIME_LIMIT_MS = 60_000;

/** Runs an action; the second argument is when the platform ends the activation, epoch ms. */
export type Action = (params: Params, deadline: number) => Promise<Record<string, unknown>>;

/** @param port 0 = any free one */
export function serve(action: Action, port: number, host?: string): Promise<Server> {
  let initialized = false;
  const answer = async (path: string, message: unknown): Promise<[status: number, body: Record<string, unknown>]> => {
    if (path === '/init') {
      if (initialized) return [403, { error: 'Cannot initialize the action more than once.' }];
      initialized = true;
      return [200, { OK: true }];
    }
    if (!isRecord(message) || !isRecord(message.value)) {
      return [404, { error: 'The action did not receive a dictionary as an argument.' }];
    }
    const access = isRecord(message) && { __ow_api_key: message.api_key, __ow_api_host: process.env.__OW_API_HOST };
    const deadline = Number(message.deadline) || Date.now() + DEFAULT_TIME_LIMIT_MS;
    try {
      return [200, await action({ ...message.value, ...access }, deadline)];
    } catch (error) {
      console.error(error);
      return [502, { error: `An error has occurred: ${String(error)}` }];
    } finally {
      process.stdout.write(END_OF_LOGS);
      process.stderr.write(END_OF_LOGS);
    }
  };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const reply = (status: number, body: unknown) => {
      const text = JSON.stringify(body);
      // OpenWhisk takes no reply without its length.
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      response.writeHead(status, headers).end(text);
    };
    if (request.method !== 'POST' || (request.url !== '/init' && request.url !== '/run')) {
      request.resume();
      return reply(404, { error: 'POST /init and POST /run are what there is.' });
    }
    const message = await readJson(request).catch(() => undefined);
    reply(...(await answer(request.url, message)));
  };
  const server = createServer({ requestTimeout: 0 }, (request, response) => void handle(request, response));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(server));
  });
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new RangeError('too large');
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}
