import { connect, type Socket } from 'node:net';
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet';
import { onTestFinished } from 'vitest';

type PacketOf<C extends Packet['cmd']> = Extract<Packet, { cmd: C }>;

/** An MQTT client that sends and acknowledges nothing by itself. */
export class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  /** Packets received and not yet taken. */
  readonly inbox: Packet[] = [];
  readonly #parser = parser();

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1').on('error', () => {});
    this.closed = new Promise((resolve) => this.socket.once('close', resolve));
    this.socket.on('data', (chunk) => this.#parser.parse(chunk));
    this.#parser.on('packet', (packet) => this.inbox.push(packet));
    onTestFinished(() => void this.socket.destroy());
  }

  /** Connects as an MQTT client and takes the CONNACK. */
  static async open(port: number, clientId: string, options: Partial<IConnectPacket> = {}): Promise<RawClient> {
    const client = new RawClient(port);
    const packet = {
      cmd: 'connect',
      clientId,
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: false,
      keepalive: 0,
      ...options,
    };
    client.send(packet as IConnectPacket);
    await client.take('connack');
    return client;
  }

  send(...packets: Packet[]): void {
    this.socket.write(Buffer.concat(packets.map((packet) => generate(packet))));
  }

  async subscribe(topic: string, qos: 0 | 1 | 2): Promise<number> {
    this.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] });
    return (await this.take('suback')).granted[0] as number;
  }

  publish(topic: string, payload: string | Buffer, qos: 0 | 1 | 2, messageId = 1, dup = false, retain = false): void {
    this.send({ cmd: 'publish', topic, payload, qos, messageId, dup, retain });
  }

  /** Waits for the next packet of a kind and takes it out of the inbox. */
  async take<C extends Packet['cmd']>(cmd: C): Promise<PacketOf<C>> {
    for (;;) {
      const index = this.inbox.findIndex((packet) => packet.cmd === cmd);
      if (index >= 0) return this.inbox.splice(index, 1)[0] as PacketOf<C>;
      await new Promise<void>((resolve, reject) => {
        this.#parser.once('packet', () => resolve());
        void this.closed.then(() => reject(new Error(`closed while waiting for ${cmd}`)));
      });
    }
  }

  /** Everything the broker has written for this client so far has arrived when this resolves. */
  async roundTrip(): Promise<void> {
    this.send({ cmd: 'pingreq' });
    await this.take('pingresp');
  }

  async end(): Promise<void> {
    this.send({ cmd: 'disconnect' });
    await this.closed;
  }
}
