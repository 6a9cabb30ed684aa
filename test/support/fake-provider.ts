import { onTestFinished } from 'vitest';
import { receiptSchema } from '../../src/core/firing.ts';
import { listen, readBody } from '../../src/embedded/http.ts';

type Receipt = ReturnType<typeof receiptSchema.parse>;

/** A strict stand-in for a site's provider, and for OpenWhisk's API where an action fires a trigger itself. */
export class FakeProvider {
  readonly receipts: Receipt[] = [];
  readonly fired: Array<{ trigger: string; payload: Record<string, unknown> }> = [];
  readonly faults: string[] = [];
  /** How the next receipts and fires are answered, before 204 and 202. */
  readonly statuses: number[] = [];
  parameters: Record<string, unknown> = {};
  url = '';

  static async start(): Promise<FakeProvider> {
    const fake = new FakeProvider();
    const listener = await listen(
      async (request, response) => {
        const { pathname } = new URL(request.url!, 'http://fake');
        const body = (await readBody(request, 10_000_000)).toString();
        const { authorization } = request.headers;
        const answer = (status: number, text = '{}') =>
          void response.writeHead(status, { 'content-type': 'application/json' }).end(status === 204 ? '' : text);
        if (pathname === '/parameters' && authorization === 'Bearer parameter-secret') {
          return answer(200, JSON.stringify(fake.parameters));
        }
        if (pathname === '/receipts' && authorization === 'Bearer receipt-secret') {
          const status = fake.statuses.shift() ?? 204;
          if (status === 204) fake.receipts.push(receiptSchema.parse(JSON.parse(body)));
          return answer(status);
        }
        const trigger = /^\/api\/v1\/namespaces\/_\/triggers\/(.+)$/.exec(pathname)?.[1];
        if (trigger && authorization === `Basic ${Buffer.from('uuid:key').toString('base64')}`) {
          const status = fake.statuses.shift() ?? 202;
          if (status === 202) fake.fired.push({ trigger, payload: JSON.parse(body) as Record<string, unknown> });
          return answer(status, '{"activationId":"0"}');
        }
        fake.faults.push(`${request.method} ${pathname} ${authorization}`);
        answer(404);
      },
      { port: 0, setting: 'test' },
    );
    onTestFinished(() => listener.close(0));
    fake.url = listener.url;
    return fake;
  }

  /** What the provider adds to a firing's payload. */
  firing(batchId: string): Record<string, unknown> {
    return {
      batchId,
      receipt: { url: `${this.url}/receipts`, token: 'receipt-secret' },
      parameters: { url: `${this.url}/parameters`, token: 'parameter-secret' },
    };
  }
}
