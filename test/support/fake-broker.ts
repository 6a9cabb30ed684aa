import type { Broker, BrokerMessage, Subscription } from '../../src/ports/broker.ts';

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

  acknowledge(_connection: number, packetIds: readonly number[]): void {
    this.acknowledged.push(...packetIds);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  /** Sends a message at QoS 1, or at QoS 0 without a packet id; resolves when more may be sent. */
  async send(
    topic: string,
    body: string,
    packetId = 0,
    { dup = false, subscriptions }: { dup?: boolean; subscriptions?: readonly number[] | undefined } = {},
  ): Promise<void> {
    await this.#take!({
      topic,
      payload: Buffer.from(body),
      qos: packetId > 0 ? 1 : 0,
      retain: false,
      dup,
      subscriptions,
      packetId,
      connection: 1,
    });
  }
}
