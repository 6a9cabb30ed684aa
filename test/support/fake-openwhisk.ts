import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface FiredMessage {
  id: string;
  topic: string;
  body: string;
  encoding?: 'base64';
  receivedAt: string;
  qos: number;
  retain: boolean;
}

export interface Fired {
  trigger: string;
  type: string;
  batchId: string;
  site: string;
  registration: string;
  messages: FiredMessage[];
  receipt: { url: string; token: string };
  parameters: { url: string; token: string };
}

/** What a firing is answered with: a status, and whether (and what) receipt the "action" sends afterwards. */
export interface Reaction {
  status: number;
  receipt?:
    | 'all'
    | 'none'
    | { stored: 'all' | string[]; refused?: Array<{ id: string; code: string; message: string }> };
  delayMs?: number;
  /** Seconds, with a 429. */
  retryAfter?: number;
}

/**
 * A fake of OpenWhisk's trigger endpoint: answers as told and plays the action that sends receipts. Strict: a firing
 * that is not what the contract says makes the test fail.
 */
export class FakeOpenwhisk {
  readonly fired: Fired[] = [];
  readonly problems: string[] = [];
  /** Whether the action that the nth firing started succeeded, for the activation records. */
  actionSucceeds: (nth: number) => boolean = () => true;
  /** What `GET /` tells. */
  limits: Record<string, number> = {};
  react: (fired: Fired, nth: number) => Reaction = () => ({ status: 202, receipt: 'all' });
  readonly #server: Server;
  #listeners: Array<() => void> = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static readonly auth =
    '11111111-2222-3333-4444-555555555555:fakefakefakefakefakefakefakefakefakefakefakefakefakefakefakefake';

  static async start(): Promise<FakeOpenwhisk> {
    const server = createServer((request, response) => {
      void fake.#answer(request).then(({ status, body, retryAfter }) => {
        response.writeHead(status, {
          'content-type': 'application/json',
          ...(retryAfter && { 'retry-after': String(retryAfter) }),
        });
        response.end(body);
      });
    });
    const fake = new FakeOpenwhisk(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
      if (fake.problems.length > 0) throw new Error(`firings broke the contract: ${fake.problems.join('; ')}`);
    });
    return fake;
  }

  /** Settings of a provider that fires here, and has no center and no InfluxDB. */
  get settings(): Record<string, string> {
    return {
      apiHost: this.url,
      owAuth: FakeOpenwhisk.auth,
      couchdbGateway: '127.0.0.1:1',
      couchdbPassword: 'unused',
      influxLocalUrl: '127.0.0.1:1',
      influxLocalToken: 'unused',
    };
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The messages of all accepted firings, one entry per delivery. */
  get messages(): FiredMessage[] {
    return this.fired.flatMap(({ messages }) => messages ?? []);
  }

  /** Resolves when `condition` holds after a firing. */
  async until(condition: () => boolean, timeoutMs = 20_000): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`not within ${timeoutMs} ms; ${this.fired.length} firings`)),
        timeoutMs,
      );
      const check = () => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#listeners = this.#listeners.filter((each) => each !== check);
        resolve();
      };
      this.#listeners.push(check);
    });
  }

  async #answer(request: IncomingMessage): Promise<{ status: number; body: string; retryAfter?: number }> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.method === 'GET' && request.url === '/')
      return { status: 200, body: JSON.stringify({ limits: this.limits }) };
    const activation = /^\/api\/v1\/namespaces\/_\/activations\/([0-9a-f]{32})$/.exec(request.url ?? '')?.[1];
    if (request.method === 'GET' && activation) return { status: 200, body: this.#activation(activation) };
    const trigger = /^\/api\/v1\/namespaces\/_\/triggers\/([^/?]+)$/.exec(request.url ?? '')?.[1];
    if (request.method !== 'POST' || !trigger) this.problems.push(`${request.method} ${request.url}`);
    if (request.headers.authorization !== `Basic ${Buffer.from(FakeOpenwhisk.auth).toString('base64')}`)
      this.problems.push('wrong authorization');
    const body = Buffer.concat(chunks);
    if (body.length > 1_048_576) return { status: 413, body: '{"error":"too large","code":"x"}' };
    const fired = {
      trigger: decodeURIComponent(trigger ?? ''),
      ...(JSON.parse(body.toString('utf8')) as object),
    } as Fired;
    const reaction = this.react(fired, this.fired.length);
    this.fired.push(fired);
    if (reaction.delayMs) await new Promise((resolve) => setTimeout(resolve, reaction.delayMs));
    if (reaction.receipt && reaction.receipt !== 'none') void this.sendReceipt(fired, reaction.receipt);
    queueMicrotask(() => {
      for (const listener of this.#listeners) listener();
    });
    const id = `${'0'.repeat(24)}${String(this.fired.length - 1).padStart(8, '0')}`;
    return {
      status: reaction.status,
      ...(reaction.retryAfter && { retryAfter: reaction.retryAfter }),
      body: reaction.status === 202 ? JSON.stringify({ activationId: id }) : '{"error":"as told","code":"x"}',
    };
  }

  /** The record of a trigger (the id ends in the firing's number) or, with a leading f, of the action that it started. */
  #activation(id: string): string {
    if (id.startsWith('f'))
      return JSON.stringify({ logs: [], response: { success: this.actionSucceeds(Number(id.slice(24))) } });
    const rule = { statusCode: 0, success: true, activationId: `f${id.slice(1)}`, rule: 'guest/r', action: 'guest/a' };
    return JSON.stringify({ logs: [JSON.stringify(rule)], response: { success: true } });
  }

  /** Plays the action: tells the provider what became of a firing. Returns the HTTP status. */
  async sendReceipt({ batchId, receipt }: Fired, what: NonNullable<Reaction['receipt']>): Promise<number> {
    const content = what === 'all' || what === 'none' ? { stored: 'all' } : what;
    const response = await fetch(receipt.url, {
      method: 'POST',
      headers: { authorization: `Bearer ${receipt.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ batchId, ...content }),
    }).catch(() => undefined);
    return response?.status ?? 0;
  }
}
