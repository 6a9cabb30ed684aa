import { createHash, timingSafeEqual } from 'node:crypto';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import type { Logger } from 'pino';
import { FogwhiskError } from '../../core/errors.ts';
import { listenError, reachable } from '../http.ts';
import { Intake } from './intake.ts';
import { Persistence } from './persistence.ts';
import type { Qos } from './records.ts';
import type { Session } from './session.ts';
import { BrokerState, type Limits } from './state.ts';
import { PacketMeter } from './wire.ts';

/** How much of a connection is read and handled at once; its messages share a commit. */
const READ_BYTES = 128 * 1024;
/** A client that takes nothing at all for this long is disconnected. */
const STUCK_MS = 10_000;
const STOP_MS = 1_000;
/** A client need not wait for its CONNACK (3.1.4); what it sends before is bounded by what is read at once. */
const PACKETS_BEFORE_CONNACK = READ_BYTES / 2;
const CONNACK_BAD_CREDENTIALS = 4;

const DEFAULT_LIMITS: Limits = {
  queueMessages: 100_000,
  queueBytes: 256 * 1024 * 1024,
  retainedMessages: 100_000,
  retainedBytes: 256 * 1024 * 1024,
  sessions: 10_000,
};

export interface BrokerOptions {
  /** Where it listens; default 127.0.0.1. */
  readonly host?: string;
  /** 0 = any free port. */
  readonly port: number;
  /** A folder of the broker's own. */
  readonly dataDir: string;
  /** Without them everybody who reaches it may connect. */
  readonly credentials?: { readonly username: string; readonly password: string };
  /** A larger MQTT packet closes its connection. */
  readonly maxPacketBytes: number;
  /** Bounds other than the defaults: 100,000 messages and 256 MiB per queue and for all retained messages. */
  readonly limits?: Partial<Limits>;
  readonly log: Logger;
  /** The configuration key that names the port, for the error of a port that is taken. */
  readonly setting: string;
}

export interface BrokerStats {
  readonly clients: number;
  readonly sessions: number;
  /** Over all sessions; one message in two queues counts twice. */
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  /** Messages held back unacknowledged at the moment because a queue is full. */
  readonly heldBack: number;
  /** Messages never acknowledged because there was no room for them. */
  readonly refused: number;
  /** QoS 0 messages not sent to clients that did not keep up. */
  readonly droppedQos0: number;
  /** Clients with clean sessions disconnected because they did not keep up. */
  readonly slowDisconnected: number;
  /** Connections closed because of a packet larger than allowed. */
  readonly oversized: number;
  /** Queued messages lost because the disk did not give them back. */
  readonly unreadable: number;
  readonly logBytes: number;
  readonly commits: number;
  /** Why the log can't be written at the moment, if it can't. */
  readonly stalledBy: Error | undefined;
}

export interface EmbeddedBroker {
  /** `mqtt://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  stats(): BrokerStats;
  close(): Promise<void>;
}

/**
 * An MQTT 3.1.1 broker over TCP. aedes speaks the protocol (connecting, subscribing, keep-alive, wills); taking
 * messages in, keeping them and sending them to sessions is ours, so that nothing is acknowledged before it is durable.
 *
 * Every client has a {@link Session}: messages of QoS 1 and 2 are queued in it and sent with a window; QoS 0 is sent at
 * once or, to a client that does not keep up, dropped.
 *
 * @throws FogwhiskError `PORT_TAKEN`, `PORT_REFUSED`, `DATA_FOLDER_UNUSABLE` or `LOG_VERSION_UNKNOWN`
 */
export async function startBroker(options: BrokerOptions): Promise<EmbeddedBroker> {
  const { host = '127.0.0.1', dataDir, maxPacketBytes, log } = options;
  const state = await BrokerState.open(dataDir, { ...DEFAULT_LIMITS, ...options.limits }, log).catch(
    (error: unknown) => {
      throw folderError(error, dataDir);
    },
  );
  const intake = new Intake(state, log);
  const sessions = new WeakMap<object, Session>();
  /** Who uses a session now; after a reconnect that is no longer the client whose connection may still be closing. */
  const owners = new WeakMap<Session, Client>();
  const persistence = new Persistence(state, (client) => sessions.get(client));
  let droppedQos0 = 0;
  let oversized = 0;

  const aedes = await Aedes.createBroker({
    persistence,
    // No limit: nothing that aedes emits waits for a client, see authorizeForward.
    concurrency: 0,
    drainTimeout: STUCK_MS,
    queueLimit: PACKETS_BEFORE_CONNACK,

    preConnect(_client, packet, done) {
      // [MQTT-3.1.3-8]
      if (!packet.clientId && !packet.clean) done(new Error('a persistent session needs a client id'), false);
      else if (!packet.clean && !state.mayPersist(packet.clientId))
        done(new Error('there are too many sessions'), false);
      else done(null, true);
    },

    authenticate: authenticator(options.credentials),

    authorizeSubscribe(_client, subscription, done) {
      // Shared subscriptions belong to MQTT 5; null answers "failure" for this filter.
      done(null, subscription.topic.startsWith('$share/') ? null : subscription);
    },

    // aedes asks this before it acknowledges a QoS 1 message, and it acknowledges before it stores. So this is where
    // a message is stored, and the permission to publish is given when it is durable.
    authorizePublish(client, packet, done) {
      const { topic, qos, retain, messageId } = packet;
      if (topic.startsWith('$SYS/')) return done(new Error('$SYS/ is reserved'));
      if (topic.includes('\0')) return done(new Error('a topic must not contain U+0000')); // [MQTT-1.5.3-2]
      const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
      if (qos === 0 && !retain) return done();
      const session = client && sessions.get(client);
      const publisher = qos === 2 && messageId && session ? { session, packetId: messageId } : undefined;
      if (publisher && !session?.incoming.has(publisher.packetId)) persistence.firstSeen(packet);
      intake.take({
        connection: client ?? aedes,
        message: { topic, payload, qos, keep: retain, retain: false, publisher },
        done,
      });
    },

    // aedes asks this for every message and every client that subscribed to its topic. Sending is ours, so the answer
    // is always no.
    authorizeForward(client, packet) {
      const session = sessions.get(client);
      if (!session) return null;
      const { topic, payload, retain } = packet;
      const bytes = payload as Buffer;
      const target = packet.qos > 0 ? state.subscribers(topic).find((found) => found.session === session) : undefined;
      // With RETAIN it is a retained message for a new subscription; without, the intake has queued it already.
      if (target && retain) {
        const qos = Math.min(target.qos, packet.qos) as Qos;
        const settled = state.add({ topic, payload: bytes, qos, keep: false, retain }, [
          { session, qos: qos === 2 ? 2 : 1 },
        ]);
        state.durable().then(settled, () => {});
      } else if (!target && !session.sendUnqueued(topic, bytes, retain)) {
        droppedQos0 += 1;
      }
      return null;
    },
  });

  aedes.on('client', (client) => {
    const session = client.clean ? state.cleanSession(client.id) : state.persistentSession(client.id);
    // [MQTT-3.1.4-2], also where aedes has lost track of the other connection.
    session.connection?.destroy();
    sessions.set(client, session);
    owners.set(session, client);
  });
  aedes.on('clientReady', (client) => {
    log.debug({ client: client.id, clean: client.clean }, 'a client has connected');
    sessions.get(client)?.attach(client.conn as Socket);
  });
  aedes.on('subscribe', (subscriptions, client) => {
    const session = sessions.get(client);
    const granted = subscriptions.filter(({ qos }) => (qos as number) < 128);
    if (session && client.clean)
      void state.subscribe(
        session,
        granted.map(({ topic, qos }) => [topic, qos as Qos]),
      );
  });
  aedes.on('unsubscribe', (filters, client) => {
    const session = sessions.get(client);
    if (session && client.clean) void state.unsubscribe(session, filters);
  });
  for (const event of ['clientError', 'connectionError'] as const) {
    aedes.on(event, (client, error) => {
      const wasCut = 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      log[wasCut ? 'debug' : 'warn']({ client: client.id, reason: error.message }, 'a connection is closed');
    });
  }
  aedes.on(
    'error' as 'closed',
    ((error: Error) => log.error({ err: error }, 'the broker reports an error')) as () => void,
  );

  const server = createServer({ noDelay: true, highWaterMark: READ_BYTES }, (socket) => {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const meter = new PacketMeter(maxPacketBytes);
    const client = aedes.handle(socket);
    socket.once('close', () => {
      intake.forget(client);
      const session = sessions.get(client);
      if (!session || owners.get(session) !== client) return;
      log.debug({ client: client.id }, 'a client has disconnected');
      session.detach();
      if (!session.stored) void state.endSession(session);
    });
    // aedes reads the socket by read(), which also emits each chunk as 'data' before it hands it over.
    socket.on('data', (chunk: Buffer) => {
      const bytes = meter.oversized(chunk);
      if (bytes === undefined || socket.destroyed) return;
      oversized += 1;
      log.warn({ peer, bytes, maxPacketBytes }, 'a connection is closed: its MQTT packet is larger than allowed');
      socket.destroy();
    });
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(listenError(error, host, options.port, options.setting)),
      );
      server.listen(options.port, host, resolve);
    });
  } catch (error) {
    await new Promise<void>((resolve) => aedes.close(resolve));
    await state.close();
    throw error;
  }

  // Who had left a will and was connected when the broker was killed is gone.
  for (const [client, { topic, payload, qos, retain }] of state.wills) {
    const message = { topic, payload: Buffer.from(payload, 'base64'), qos, keep: retain, retain: false };
    intake.take({ connection: aedes, message, done: () => void state.endWill(client).catch(() => {}) });
  }

  const port = (server.address() as AddressInfo).port;
  return {
    url: `mqtt://${reachable(host)}:${port}`,
    port,
    stats() {
      const all = [...state.sessions.values()];
      return {
        clients: aedes.connectedClients,
        sessions: all.length,
        queuedMessages: all.reduce((sum, { queue }) => sum + queue.count, 0),
        queuedBytes: all.reduce((sum, { queue }) => sum + queue.bytes, 0),
        heldBack: intake.heldBack,
        refused: intake.refused,
        droppedQos0,
        slowDisconnected: intake.slowDisconnected,
        oversized,
        unreadable: state.unreadable,
        logBytes: state.logBytes,
        commits: state.commits,
        stalledBy: state.stalledBy,
      };
    },
    async close() {
      server.close();
      await new Promise<void>((resolve) => aedes.close(resolve));
      // The wills of those who were connected are published; on a disk that takes nothing they wait for the next start.
      const published = state.durable().then(() => nextTurn());
      await Promise.race([published.catch(() => {}), sleep(STOP_MS, undefined, { ref: false })]);
      intake.stop();
      await state.close();
    },
  };
}

function authenticator(credentials: BrokerOptions['credentials']) {
  const digest = (text: string | Buffer) => createHash('sha256').update(text).digest();
  const username = digest(credentials?.username ?? '');
  const password = digest(credentials?.password ?? '');
  return (
    _client: Client,
    givenUsername: string | undefined,
    givenPassword: Readonly<Buffer> | undefined,
    done: (error: AuthenticateError | null, success: boolean | null) => void,
  ): void => {
    const isUser = timingSafeEqual(digest(givenUsername ?? ''), username);
    const isPassword = timingSafeEqual(digest(Buffer.from(givenPassword ?? '')), password);
    if (!credentials || (isUser && isPassword)) done(null, true);
    else done(Object.assign(new Error('bad user name or password'), { returnCode: CONNACK_BAD_CREDENTIALS }), false);
  };
}

function folderError(error: unknown, folder: string): unknown {
  const reason = error instanceof Error && 'code' in error ? String(error.code) : '';
  const isPermission = ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOSPC'].includes(reason);
  return isPermission ? new FogwhiskError('DATA_FOLDER_UNUSABLE', { folder, reason }, { cause: error }) : error;
}
