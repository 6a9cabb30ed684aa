import { onTestFinished } from 'vitest';
import { main as aggregates } from '../../actions/aggregates/main.ts';
import { main as forward } from '../../actions/forward/main.ts';
import { receiptSchema } from '../../src/core/firing.ts';
import { listen, readBody } from '../../src/embedded/http.ts';

type Payload = Record<string, unknown>;
type Receipt = ReturnType<typeof receiptSchema.parse>;

/** What one firing came to. */
export interface Fired {
  readonly trigger: string;
  readonly payload: Payload;
  readonly result: Payload;
  readonly receipt: Receipt;
}

/** Plays the provider for the actions that follow each other: takes their receipts and fires what they ask for. */
export class ActionChain {
  readonly #url: string;
  readonly #parameters: Payload;
  #receipt: Receipt | undefined;
  #batches = 0;

  private constructor(url: string, parameters: Payload) {
    this.#url = url;
    this.#parameters = parameters;
  }

  /** @param parameters what the site gives its actions */
  static async start(parameters: Payload): Promise<ActionChain> {
    const chain: { current?: ActionChain } = {};
    const listener = await listen(
      async (request, response) => {
        const body = (await readBody(request, 10_000_000)).toString();
        // a receipt that the provider would refuse makes the action, and so the test, fail
        const parsed = receiptSchema.safeParse(JSON.parse(body));
        if (parsed.success) chain.current!.#receipt = parsed.data;
        response.writeHead(parsed.success ? 204 : 400).end();
      },
      { port: 0, setting: 'test' },
    );
    onTestFinished(() => listener.close(0));
    chain.current = new ActionChain(listener.url, parameters);
    return chain.current;
  }

  /** One firing. */
  async fire(trigger: string, payload: Payload): Promise<Fired> {
    this.#receipt = undefined;
    this.#batches += 1;
    const action = { aggregatesTrigger: aggregates, forwardTrigger: forward }[trigger];
    if (!action) throw new Error(`nothing is fired by ${trigger}`);
    const receipt = { url: `${this.#url}/receipts`, token: 'receipt-secret' };
    const batchId = `batch-${this.#batches}`;
    const result: Payload = await action({ type: 'next', ...this.#parameters, ...payload, batchId, receipt });
    if (!this.#receipt) throw new Error(`no receipt came: ${JSON.stringify(result)}`);
    return { trigger, payload, result, receipt: this.#receipt };
  }

  /** A firing and all that follow from it, in order. */
  async fireAll(trigger: string, payload: Payload): Promise<Fired[]> {
    const fired: Fired[] = [];
    const waiting = [{ trigger, payload }];
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const each = await this.fire(next.trigger, next.payload);
      fired.push(each);
      waiting.push(...each.receipt.next);
    }
    return fired;
  }
}
