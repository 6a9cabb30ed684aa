import { once } from 'node:events';
import {
  Agent,
  createServer,
  request as forward,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What happens to requests while it lasts. */
export type HttpFault =
  /** Answered with this status; the service never sees it. */
  | { readonly kind: 'status'; readonly status: number }
  /** Never answered; the service may have seen it. */
  | { readonly kind: 'hanging'; readonly reaches: boolean }
  /** The service does it, the answer breaks off. */
  | { readonly kind: 'truncated' }
  | { readonly kind: 'slow'; readonly ms: number }
  /** Answered with success; the service never sees it. */
  | { readonly kind: 'lost' }
  /** Done twice. */
  | { readonly kind: 'doubled' };

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** An HTTP proxy before one service, at which requests and answers can go wrong in HTTP's own ways. */
export class HttpLink {
  fault: HttpFault | undefined;
  /** Sees every request that the service is going to see. */
  onForward: (path: string, body: Buffer) => void = () => {};
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #hanging = new Set<ServerResponse>();
  readonly #port: number;
  /** Requests that faults apply to. */
  readonly #subject: (request: IncomingMessage, fault: HttpFault) => boolean;

  private constructor(server: Server, port: number, subject: (request: IncomingMessage, fault: HttpFault) => boolean) {
    this.#server = server;
    this.#port = port;
    this.#subject = subject;
  }

  static async to(
    port: number,
    subject: (request: IncomingMessage, fault: HttpFault) => boolean = () => true,
  ): Promise<HttpLink> {
    const server = createServer({ keepAliveTimeout: 75_000 });
    const link = new HttpLink(server, port, subject);
    server.on('request', (request, response) => {
      void link.#handle(request, response).catch(() => request.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  heal(): void {
    this.fault = undefined;
    for (const response of this.#hanging) response.destroy();
    this.#hanging.clear();
  }

  close(): void {
    this.heal();
    this.#server.closeAllConnections();
    this.#server.close();
    this.#agent.destroy();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const { fault } = this;
    if (!fault || !this.#subject(request, fault)) return send(response, await this.#forward(request, body));
    switch (fault.kind) {
      case 'status':
        return send(response, failure(fault.status));
      case 'hanging':
        this.#hanging.add(response);
        if (fault.reaches) await this.#forward(request, body).catch(() => {});
        return;
      case 'truncated': {
        const answer = await this.#forward(request, body);
        response.writeHead(answer.status, { 'content-type': 'application/json', 'content-length': '1000' });
        response.write(answer.body.subarray(0, answer.body.length >> 1));
        setImmediate(() => response.destroy());
        return;
      }
      case 'slow':
        await sleep(fault.ms);
        return send(response, await this.#forward(request, body));
      case 'lost':
        response.writeHead(204).end();
        return;
      case 'doubled':
        await this.#forward(request, body);
        return send(response, await this.#forward(request, body));
    }
  }

  async #forward({ method, url: path = '/', headers }: IncomingMessage, body: Buffer): Promise<Answer> {
    this.onForward(path, body);
    const outgoing = forward({ host: '127.0.0.1', port: this.#port, agent: this.#agent, method, path, headers });
    outgoing.end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    return { status: answer.statusCode ?? 500, headers: answer.headers, body: Buffer.concat(chunks) };
  }
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  const { connection: _, 'transfer-encoding': __, 'keep-alive': ___, ...kept } = headers;
  response.writeHead(status, kept);
  response.end(body);
}

function failure(status: number): Answer {
  const body = Buffer.from(
    JSON.stringify({ code: 'campaign', message: 'as the campaign wants it', error: 'campaign' }),
  );
  const headers = { 'content-type': 'application/json', ...(status === 429 && { 'retry-after': '1' }) };
  return { status, headers, body };
}
