/** A connection to an MQTT broker, as the ingest flow needs it. */

export interface BrokerMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** The broker sent it before and has no acknowledgement. */
  readonly dup: boolean;
  /** The subscriptions it came by, where the broker tells (MQTT 5 subscription identifiers). */
  readonly subscriptions?: readonly number[] | undefined;
  /** The packet's identifier, for {@link Broker.acknowledge}; 0 where nothing is to be acknowledged (QoS 0). */
  readonly packetId: number;
  /** The number of the connection that it came by: a later one must not acknowledge it, the broker sends it again there. */
  readonly connection: number;
}

export interface Subscription {
  readonly filter: string;
  readonly qos: 0 | 1 | 2;
  /** The subscription identifier, 1 to 268,435,455, told back with each message where the broker can. */
  readonly identifier: number;
}

export interface Broker {
  /**
   * Connects and keeps connected, with a session that the broker keeps while we are away, and subscribes;
   * resolves when the broker has granted every subscription for the first time. Until then, and after a loss,
   * it tries again and again, and says so in the log.
   *
   * Many messages may be unacknowledged at once. While a promise that `take` returned is pending no further message is
   * handed over, the broker keeps them, and the connection stays alive.
   */
  start(
    subscriptions: readonly Subscription[],
    take: (message: BrokerMessage) => Promise<void> | undefined,
  ): Promise<void>;

  /**
   * Changes what is subscribed to: what is new before what is no longer wanted. Resolves when the broker has answered,
   * or at once while it is away; then it is done with the next connection.
   */
  subscribe(subscriptions: readonly Subscription[]): Promise<void>;

  /** Tells the broker "I have it" of packets; does nothing if their connection is gone. */
  acknowledge(connection: number, packetIds: readonly number[]): void;

  readonly connected: boolean;

  /** Stops taking messages, acknowledges nothing more, and disconnects; the broker keeps the session. */
  stop(): Promise<void>;
}
