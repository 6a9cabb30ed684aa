import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { generate, type Packet, parser } from 'mqtt-packet';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MqttBroker } from '../../src/adapters/mqtt/broker.ts';
import type { BrokerMessage } from '../../src/ports/broker.ts';
import { temporaryFolder } from '../support/temporary.ts';

const VERSION = { protocolVersion: 5 } as const;

/** A broker of the test's own: answers as told, and tells what it is sent. */
async function brokerThat(onPacket: (packet: Packet, socket: Socket, connections: number) => void) {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    const number = connections;
    const parse = parser(VERSION);
    parse.on('packet', (packet: Packet) => onPacket(packet, socket, number));
    socket.on('data', (data) => parse.parse(data));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function connected(url: string, take: (message: BrokerMessage) => void): Promise<MqttBroker> {
  const broker = new MqttBroker({
    url,
    version: 5,
    clientId: 'test',
    receiveMaximum: 100,
    stateFile: join(await temporaryFolder(), 'subscriptions.json'),
    log: pino({ level: 'silent' }),
  });
  onTestFinished(() => broker.stop());
  void broker.start([{ filter: '#', qos: 1, identifier: 1 }], (message) => {
    take(message);
    return undefined;
  });
  return broker;
}

describe('MqttBroker', () => {
  it('acknowledges messages that come together with the CONNACK, on the connection that they came by', async () => {
    const acknowledged: Array<[connection: number, messageId: number]> = [];
    let done = () => {};
    const all = new Promise<void>((resolve) => {
      done = resolve;
    });
    const url = await brokerThat((packet, socket, connection) => {
      if (packet.cmd === 'connect') {
        const connack = generate({ cmd: 'connack', reasonCode: 0, sessionPresent: connection > 1 } as Packet, VERSION);
        const publish = [1, 2].map((n) => {
          const messageId = connection * 10 + n;
          const fields = {
            cmd: 'publish',
            topic: 't',
            payload: `${messageId}`,
            qos: 1,
            messageId,
            dup: false,
            retain: false,
          };
          return generate(fields as Packet, VERSION);
        });
        socket.write(Buffer.concat([connack, ...publish]));
      } else if (packet.cmd === 'subscribe') {
        socket.write(generate({ cmd: 'suback', messageId: packet.messageId!, granted: [1] } as Packet, VERSION));
      } else if (packet.cmd === 'puback') {
        acknowledged.push([connection, packet.messageId!]);
        if (acknowledged.length % 2 === 0) socket.destroy(); // it connects again
        if (acknowledged.length === 6) done();
      }
    });
    const broker = await connected(url, ({ connection, packetId }) =>
      setImmediate(() => broker.acknowledge(connection, [packetId])),
    );
    await all;
    expect(acknowledged).toEqual(
      [1, 2, 3].flatMap((connection) => [1, 2].map((n) => [connection, connection * 10 + n])),
    );
  });

  it('acknowledges nothing on a later connection', async () => {
    const acknowledged: number[] = [];
    let second = () => {};
    const isSecond = new Promise<void>((resolve) => {
      second = resolve;
    });
    const url = await brokerThat((packet, socket, connection) => {
      if (packet.cmd === 'connect') {
        socket.write(generate({ cmd: 'connack', reasonCode: 0, sessionPresent: true } as Packet, VERSION));
        const fields = {
          cmd: 'publish',
          topic: 't',
          payload: 'x',
          qos: 1,
          messageId: connection,
          dup: false,
          retain: false,
        };
        socket.write(generate(fields as Packet, VERSION));
        if (connection === 1) setTimeout(() => socket.destroy(), 20);
      } else if (packet.cmd === 'puback') {
        acknowledged.push(packet.messageId!);
        second();
      }
    });
    const messages: BrokerMessage[] = [];
    const broker = await connected(url, (message) => {
      messages.push(message);
      if (messages.length < 2) return;
      setImmediate(() => {
        for (const { connection, packetId } of messages) broker.acknowledge(connection, [packetId]);
      });
    });
    await isSecond;
    expect(acknowledged).toEqual([2]);
  });
});
