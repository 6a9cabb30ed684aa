import type { AcknowledgeTicket, Broker, BrokerMessage, Subscription } from '../../src/ports/broker.ts';

/** A broker whose messages the test sends, for what would take long with a real one. */
export class FakeBroker implements Broker {
  readonly acknowledged: number[] = [];
  connected = true;
  subscriptions: readonly Subscription[] = [];
  #take: ((message: BrokerMessage) => Promise<void> | undefined) | undefined;

  start(
    subscriptions: readonly Subscription[],
    take: (message: BrokerMessage) => Promise<void> | undefined,
  ): Promise<void> {
    this.subscriptions = subscriptions;
    this.#take = take;
    return Promise.resolve();
  }

  subscribe(subscriptions: readonly Subscription[]): Promise<void> {
    this.subscriptions = subscriptions;
    return Promise.resolve();
  }

  acknowledge(tickets: readonly AcknowledgeTicket[]): void {
    this.acknowledged.push(...tickets.map(({ packetId }) => packetId));
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  /** Sends a message at QoS 1, or without a packet id at QoS 0; resolves when more may be sent. */
  async send(
    topic: string,
    body: string,
    packetId?: number,
    { dup = false, subscriptions }: { dup?: boolean; subscriptions?: readonly number[] | undefined } = {},
  ): Promise<void> {
    const ticket = packetId === undefined ? undefined : { connection: 1, packetId };
    await this.#take!({
      topic,
      payload: Buffer.from(body),
      qos: ticket ? 1 : 0,
      retain: false,
      dup,
      subscriptions,
      ticket,
    });
  }
}
