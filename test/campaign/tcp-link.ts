import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Sees what passes one connection, in the client's eyes: what it was sent, and what it sent even if that got lost. */
export interface Observer {
  toClient(bytes: Buffer): void;
  fromClient(bytes: Buffer): void;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** What is sent is dropped and neither side is told: in both directions, or what the client sends. */
  dropped: 'nothing' | 'both' | 'fromClient';
}

/** A TCP proxy before one service, at which connections can be cut, left half open, stalled and slowed down. */
export class TcpLink {
  /** How long each piece of data is held back. */
  delayMs = 0;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #stall: { over: Promise<void>; end: () => void } | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Opens a link from any free loopback port to `port`. */
  static async to(port: number, observe?: () => Observer): Promise<TcpLink> {
    const server = createServer();
    const link = new TcpLink(server);
    server.on('connection', (client) => link.#connect(client, port, observe?.()));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resets every connection. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Drops what is sent on the connections that there are; new ones work. */
  drop(dropped: 'both' | 'fromClient'): void {
    for (const pair of this.#pairs) pair.dropped = dropped;
  }

  /** Connections that drop are reset at last, as by the time-out of a NAT. */
  cutDropping(): void {
    for (const { client, server, dropped } of this.#pairs) {
      if (dropped === 'nothing') continue;
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Holds everything back until {@link resume}; nothing is lost. */
  stall(): void {
    let end = () => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#stall = { over, end };
  }

  resume(): void {
    this.#stall?.end();
    this.#stall = undefined;
  }

  close(): void {
    this.resume();
    this.#server.close();
    this.cut();
  }

  #connect(client: Socket, port: number, observer: Observer | undefined): void {
    const pair: Pair = { client, server: connect(port, '127.0.0.1'), dropped: 'nothing' };
    this.#pairs.add(pair);
    client.setNoDelay(true);
    pair.server.setNoDelay(true);
    const over = () => {
      client.destroy();
      pair.server.destroy();
      this.#pairs.delete(pair);
    };
    const up = async () => {
      for await (const bytes of client as AsyncIterable<Buffer>) {
        observer?.fromClient(bytes);
        await this.#pass(bytes, pair, pair.server);
      }
    };
    const down = async () => {
      for await (const bytes of pair.server as AsyncIterable<Buffer>) {
        await this.#pass(bytes, pair, client, observer);
      }
    };
    for (const [from, pump, to] of [
      [client, up, pair.server],
      [pair.server, down, client],
    ] as const) {
      from.on('error', () => {});
      void pump()
        .then(() => {
          if (pair.dropped === 'nothing') to.end();
        })
        .catch(() => {
          if (pair.dropped === 'nothing') over();
        });
    }
    client.once('close', () => pair.server.destroyed && over());
    pair.server.once('close', () => client.destroyed && over());
  }

  async #pass(bytes: Buffer, pair: Pair, to: Socket, observer?: Observer): Promise<void> {
    if (this.#stall) await this.#stall.over;
    if (this.delayMs > 0) await sleep(this.delayMs);
    if (to.destroyed || pair.dropped === 'both' || (pair.dropped === 'fromClient' && to === pair.server)) return;
    observer?.toClient(bytes);
    if (!to.write(bytes)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
  }
}
