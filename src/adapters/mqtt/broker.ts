import { readFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContext } from 'node:tls';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import type { Logger } from 'pino';
import { certificateProblem } from '../../core/certificate-problem.ts';
import type { Broker, BrokerMessage, Subscription } from '../../ports/broker.ts';
import { writeFileAtomically } from '../../storage/atomic-file.ts';
import { PublishStream } from './publish-stream.ts';

const NEVER_EXPIRES = 0xffff_ffff;
const RECONNECT_MS = 1_000;
const STOP_GRACE_MS = 1_000;
const KEEPALIVE_SECONDS = 30;
/** Return code of MQTT 3.1.1 and reason code of MQTT 5 for "unsupported protocol version". */
const UNSUPPORTED_VERSION = [1, 132];
const SESSION_TAKEN_OVER = 142;

export interface MqttBrokerOptions {
  /** `mqtt://`, `mqtts://`, `ws://` or `wss://`. */
  readonly url: string;
  /** The protocol version to begin with; a broker that refuses 5 is asked with 4 (3.1.1). */
  readonly version: 4 | 5;
  readonly username?: string;
  readonly password?: string;
  /** What is trusted, and the client's certificate, where that is not what Node.js does by itself. */
  readonly secureContext?: SecureContext | undefined;
  /** Stable, so that the broker finds the session again. */
  readonly clientId: string;
  /** Of the replicas in this group the broker chooses one for each message (MQTT 5, 4.8.2). */
  readonly shareGroup?: string | undefined;
  /** MQTT 5 receive maximum: how many messages may be unacknowledged. */
  readonly receiveMaximum: number;
  /** Where it is kept which subscriptions the broker holds for our session. */
  readonly stateFile: string;
  /** Told when a connection is made or lost. */
  readonly onConnection?: (isConnected: boolean) => void;
  readonly log: Logger;
}

/**
 * An MQTT broker through MQTT.js, but for its messages: they are taken out of the stream before it (publish-stream.ts),
 * and their PUBACKs are written when the journal has them, those of a commit in one buffer.
 */
export class MqttBroker implements Broker {
  readonly #options: MqttBrokerOptions;
  readonly #log: Logger;
  #client: MqttClient | undefined;
  /** The latest connection, and its number. */
  #stream: PublishStream | undefined;
  #connection = 0;
  #connected = false;
  #stopped = false;
  #subscriptions: readonly Subscription[] = [];
  readonly #heldSubscriptions: HeldSubscriptions;
  /** Subscribes anew on the connection that is there. */
  #resubscribe: (() => Promise<unknown>) | undefined;

  constructor(options: MqttBrokerOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#heldSubscriptions = new HeldSubscriptions(
      options.stateFile,
      `${options.clientId} at ${withoutCredentials(options.url)}`,
    );
  }

  get connected(): boolean {
    return this.#connected;
  }

  async start(
    subscriptions: readonly Subscription[],
    take: (message: BrokerMessage) => Promise<void> | undefined,
  ): Promise<void> {
    this.#subscriptions = this.#shared(subscriptions);
    await new Promise<void>((resolve) => this.#open(this.#options.version, take, resolve));
  }

  async subscribe(subscriptions: readonly Subscription[]): Promise<void> {
    this.#subscriptions = this.#shared(subscriptions);
    if (this.#connected) await this.#resubscribe?.();
  }

  #shared(subscriptions: readonly Subscription[]): readonly Subscription[] {
    const { shareGroup } = this.#options;
    if (shareGroup === undefined) return subscriptions;
    return subscriptions.map((each) =>
      each.filter.startsWith('$share/') ? each : { ...each, filter: `$share/${shareGroup}/${each.filter}` },
    );
  }

  acknowledge(connection: number, packetIds: readonly number[]): void {
    const stream = this.#stream;
    if (this.#stopped || !stream || stream.destroyed || connection !== this.#connection) return;
    const packets = Buffer.allocUnsafe(packetIds.length * 4);
    let bytes = 0;
    for (const packetId of packetIds) {
      // PUBACK: type 4, remaining length 2, packet identifier; success needs no reason code in MQTT 5 (3.4.2.1).
      packets[bytes++] = 0x40;
      packets[bytes++] = 2;
      packets[bytes++] = packetId >> 8;
      packets[bytes++] = packetId & 0xff;
    }
    stream.write(packets);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#connected = false;
    const client = this.#client;
    if (!client) return;
    const given = new AbortController();
    const ended = new Promise<void>((resolve) => client.end(false, {}, () => resolve()));
    // A connection from which nothing is read does not end by itself.
    const late = sleep(STOP_GRACE_MS, undefined, { signal: given.signal }).catch(() => undefined);
    await Promise.race([ended, late]);
    given.abort();
    client.stream.destroy();
  }

  #open(
    protocolVersion: 4 | 5,
    take: (message: BrokerMessage) => Promise<void> | undefined,
    granted: () => void,
  ): void {
    const { url, username, password, secureContext, clientId, receiveMaximum } = this.#options;
    const options: IClientOptions = {
      protocolVersion,
      clientId,
      clean: false,
      keepalive: KEEPALIVE_SECONDS,
      reconnectPeriod: RECONNECT_MS,
      reconnectOnConnackError: true,
      resubscribe: false,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      // MQTT.js hands its options on to tls.connect(), and these (its types don't know it) for wss://.
      ...(secureContext && { secureContext, wsOptions: { secureContext } as object }),
      ...(protocolVersion === 5 && {
        // No maximum packet size: a broker drops what is larger without a word (3.1.2.11.4).
        properties: { sessionExpiryInterval: NEVER_EXPIRES, receiveMaximum },
      }),
    };
    const client = connect(url, { ...options, manualConnect: true });
    this.#client = client;
    // MQTT.js makes each connection with this function (5.16, lib/client.ts), and has no public way to wrap it.
    const internals = client as unknown as { streamBuilder: (client: MqttClient) => Duplex };
    const connectSocket = internals.streamBuilder;
    internals.streamBuilder = (own) => {
      // Counted here: the first messages may come with the CONNACK, before MQTT.js tells of the connection.
      const connection = ++this.#connection;
      const handle = (message: BrokerMessage) => this.#handle(client, message, take);
      this.#stream = new PublishStream(connectSocket(own), { version: protocolVersion, connection, take: handle });
      return this.#stream;
    };
    client.on('connect', ({ sessionPresent = false }) => {
      this.#connected = true;
      this.#options.onConnection?.(true);
      this.#log.info(
        { broker: withoutCredentials(url), mqtt: protocolVersion, sessionPresent },
        'connected to the broker',
      );
      let subscribing = this.#subscribe(client, protocolVersion, sessionPresent);
      void subscribing.then((ok) => ok && granted());
      this.#resubscribe = () => {
        subscribing = subscribing.then(() => this.#subscribe(client, protocolVersion, true));
        return subscribing;
      };
    });
    client.on('close', () => {
      if (this.#connected && !this.#stopped) {
        this.#log.warn({ broker: withoutCredentials(url) }, 'the connection to the broker is lost; trying again');
        this.#options.onConnection?.(false);
      }
      this.#connected = false;
    });
    client.on('disconnect', ({ reasonCode }) => {
      if (reasonCode !== SESSION_TAKEN_OVER) return;
      this.#log.error(
        { clientId },
        'another client took our session over: is a second fogwhisk running with this datacenterId?',
      );
    });
    client.on('error', (error) => {
      const code = (error as { code?: unknown }).code;
      if (protocolVersion === 5 && UNSUPPORTED_VERSION.includes(code as number)) {
        client.end(true);
        this.#open(4, take, granted);
        return;
      }
      this.#log.warn(
        { broker: withoutCredentials(url), code, reason: certificateProblem(error) ?? error.message },
        'the broker refuses or fails; trying again',
      );
    });
    client.connect();
  }

  /**
   * Brings the session's subscriptions to what is wanted. What it holds already is not subscribed again: a broker
   * would send the retained messages once more (3.8.3.1), and each would be a reading counted twice.
   */
  async #subscribe(client: MqttClient, protocolVersion: 4 | 5, sessionPresent: boolean): Promise<boolean> {
    const held = sessionPresent ? await this.#heldSubscriptions.read() : [];
    const wanted = this.#subscriptions;
    const known = new Set(held.map(keyOf));
    const filters = new Set(wanted.map(({ filter }) => filter));
    const stale = held.map(({ filter }) => filter).filter((filter) => !filters.has(filter));
    try {
      const missing = wanted.filter((subscription) => !known.has(keyOf(subscription)));
      await Promise.all(missing.map((subscription) => this.#subscribeTo(client, protocolVersion, subscription)));
      if (stale.length > 0) await client.unsubscribeAsync(stale);
      if (stale.length > 0 || missing.length > 0) await this.#heldSubscriptions.write(wanted);
      return true;
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.warn({ reason }, 'subscribing failed; it is repeated with the next connection');
      return false;
    }
  }

  /** Rejects only when the connection is lost; a refused subscription is said and does not hold up the others. */
  async #subscribeTo(client: MqttClient, protocolVersion: 4 | 5, subscription: Subscription): Promise<void> {
    const { filter, qos, identifier } = subscription;
    const properties = protocolVersion === 5 && { properties: { subscriptionIdentifier: identifier } };
    try {
      await client.subscribeAsync(filter, { qos: qos === 2 ? 1 : qos, ...properties });
    } catch (error) {
      if (!client.connected) throw error;
      const reason = (error as Error).message;
      this.#log.error({ filter, reason }, 'the broker refuses the subscription; check its access rules');
    }
  }

  #handle(
    client: MqttClient,
    message: BrokerMessage,
    take: (message: BrokerMessage) => Promise<void> | undefined,
  ): Promise<void> | undefined {
    if (this.#stopped) return undefined; // neither taken nor acknowledged: the broker sends it again
    const held = take(message);
    if (!held) return undefined;
    // Nothing is read from the socket now, PINGRESP neither: keep both sides from giving the other up.
    const alive = setInterval(
      () => {
        if (!client.connected) return;
        client.sendPing();
        client.reschedulePing(true);
      },
      (KEEPALIVE_SECONDS * 1_000) / 3,
    ).unref();
    const goOn = () => clearInterval(alive);
    return held.then(goOn, goOn);
  }
}

/** What the broker holds for our session, as of the last time we were granted it. */
class HeldSubscriptions {
  readonly #file: string;
  readonly #session: string;

  constructor(file: string, session: string) {
    this.#file = file;
    this.#session = session;
  }

  async read(): Promise<readonly Subscription[]> {
    try {
      const kept = JSON.parse(await readFile(this.#file, 'utf8')) as { session: string; subscriptions: Subscription[] };
      return kept.session === this.#session ? kept.subscriptions : [];
    } catch {
      return []; // then everything is subscribed again
    }
  }

  async write(subscriptions: readonly Subscription[]): Promise<void> {
    await writeFileAtomically(this.#file, JSON.stringify({ session: this.#session, subscriptions }));
  }
}

function keyOf({ filter, qos, identifier }: Subscription): string {
  return `${qos} ${identifier} ${filter}`;
}

function withoutCredentials(url: string): string {
  const parsed = new URL(url);
  parsed.username = '';
  parsed.password = '';
  return parsed.toString();
}
