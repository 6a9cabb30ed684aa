import { Readable } from 'node:stream';
import type { AedesOptions, Client, PublishPacket, Subscription } from 'aedes';
import type { Qos, Will } from './records.ts';
import type { Session } from './session.ts';
import type { BrokerState } from './state.ts';

/**
 * A promise-like that is there already. aedes numbers each message before these calls and drops for each subscriber
 * what arrives with a lower number than the last, so a message must not overtake another while one of them waits.
 */
const DONE = {
  // biome-ignore lint/suspicious/noThenProperty: see above
  then: (resolve: (value: undefined) => void) => resolve(undefined),
};
const NOBODY = {
  // biome-ignore lint/suspicious/noThenProperty: see above
  then: (resolve: (value: never[]) => void) => resolve([]),
};

type ClientRef = Pick<Client, 'id'>;

/**
 * The broker's state as aedes asks for it. What aedes would store or queue when it publishes has been stored and queued
 * before, when the message was let in (aedes would acknowledge first), and sessions send for themselves.
 */
export class Persistence implements Required<Pick<AedesOptions, 'persistence'>['persistence']> {
  readonly #state: BrokerState;
  readonly #sessionOf: (client: ClientRef) => Session | undefined;
  readonly #firstSeen = new WeakSet<object>();

  constructor(state: BrokerState, sessionOf: (client: ClientRef) => Session | undefined) {
    this.#state = state;
    this.#sessionOf = sessionOf;
  }

  async setup(): Promise<void> {}

  // Publishing

  storeRetained(): typeof DONE {
    return DONE;
  }

  subscriptionsByTopic(): typeof NOBODY {
    return NOBODY;
  }

  outgoingEnqueueCombi(): typeof DONE {
    return DONE;
  }

  createRetainedStreamCombi(filters: string[]): Readable {
    return Readable.from(this.#state.retained(filters));
  }

  // Subscriptions of persistent sessions

  async addSubscriptions(client: ClientRef, subscriptions: Subscription[]): Promise<void> {
    const session = this.#sessionOf(client);
    if (session)
      await this.#state.subscribe(
        session,
        subscriptions.map(({ topic, qos }) => [topic, qos as Qos]),
      );
  }

  async removeSubscriptions(client: ClientRef, filters: string[]): Promise<void> {
    const session = this.#sessionOf(client);
    if (session) await this.#state.unsubscribe(session, filters);
  }

  async subscriptionsByClient(client: ClientRef): Promise<Subscription[]> {
    const session = this.#state.sessions.get(client.id);
    return session?.persistent ? [...session.filters].map(([topic, qos]) => ({ topic, qos })) : [];
  }

  /** A clean session begins: what was kept for this client id is gone [MQTT-3.1.2-6]. */
  async cleanSubscriptions(client: ClientRef): Promise<void> {
    const session = this.#state.sessions.get(client.id);
    if (session?.persistent) await this.#state.endSession(session);
  }

  // What a session has sent and received

  outgoingStream(): Readable {
    return Readable.from([]);
  }

  async outgoingUpdate(client: ClientRef, packet: { cmd: string; messageId?: number }): Promise<void> {
    const session = this.#sessionOf(client);
    if (session && packet.cmd === 'pubrel') await this.#state.received(session, packet.messageId!);
  }

  async outgoingClearMessageId(client: ClientRef, packet: { cmd: string; messageId?: number }): Promise<void> {
    if (packet.cmd !== 'puback' && packet.cmd !== 'pubcomp') return;
    const session = this.#sessionOf(client);
    if (session) this.#state.acknowledge(session, packet.messageId!, packet.cmd === 'puback' ? 1 : 2);
  }

  /** Says that this QoS 2 PUBLISH is not a repeated one, although its packet id is known by now. */
  firstSeen(packet: PublishPacket): void {
    this.#firstSeen.add(packet);
  }

  async incomingGetPacket(client: ClientRef, packet: { messageId?: number }): Promise<object> {
    if (this.#firstSeen.delete(packet) || !this.#sessionOf(client)?.incoming.has(packet.messageId!)) {
      throw new Error('no such packet');
    }
    return packet;
  }

  async incomingStorePacket(): Promise<void> {}

  async incomingDelPacket(client: ClientRef, packet: { messageId?: number }): Promise<void> {
    const session = this.#sessionOf(client);
    if (session) await this.#state.released(session, packet.messageId!);
  }

  async cleanIncoming(): Promise<void> {}

  // Wills

  async putWill(client: ClientRef, will: PublishPacket): Promise<void> {
    await this.#state.setWill(client.id, toWill(will));
  }

  async delWill(client: ClientRef): Promise<void> {
    // aedes does not expect this to fail; it does where the broker stops while its disk takes nothing.
    await this.#state.endWill(client.id).catch(() => {});
  }

  /** aedes looks for wills of other brokers now and then; ours are published when their connection or the broker ends. */
  streamWill(): Readable {
    return Readable.from([]);
  }
}

function toWill({ topic, payload, qos, retain }: PublishPacket): Will {
  return { topic, payload: Buffer.from(payload).toString('base64'), qos, retain };
}
