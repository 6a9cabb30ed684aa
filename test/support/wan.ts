import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

/** Linux sends a lost segment again after 200 ms at the earliest (tcp(7): RTO). */
const RETRANSMISSION_MS = 200;

/** `silent`: nothing arrives and nobody is told, as behind a dead router; `refused`: connections are reset. */
type Cut = 'none' | 'silent' | 'refused';

/** The long way from one site to the center: TCP proxies for the center's services, cut off and slowed down together. */
export class Wan {
  /** One way, in ms. */
  delayMs = 0;
  /** The part of the segments that is lost and sent again. */
  loss = 0;
  #cut: Cut = 'none';
  #healed: Promise<void> = Promise.resolve();
  #heal = () => {};
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor() {
    onTestFinished(() => {
      this.heal();
      for (const server of this.#servers) server.close();
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  /** The site's end of a way to a service of the center on this loopback port. */
  async to(port: number): Promise<number> {
    const server = createServer((client) => {
      if (this.#cut === 'refused') return void client.resetAndDestroy();
      if (this.#cut === 'silent') return void this.#keep(client);
      const service = connect(port, '127.0.0.1');
      this.#carry(client, service);
      this.#carry(service, client);
    });
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  cut(how: Exclude<Cut, 'none'>): void {
    this.#cut = how;
    this.#healed = new Promise((resolve) => {
      this.#heal = resolve;
    });
    if (how === 'refused') for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Ends the cut. What was held back is lost with its connections: no TCP outlives a cut of a day. */
  heal(): void {
    if (this.#cut === 'silent') for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#cut = 'none';
    this.#heal();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** Passes on what arrives, in order, each piece after the delay; many may be on their way. */
  #carry(from: Socket, to: Socket): void {
    this.#keep(from);
    from.setNoDelay(true);
    from.once('close', () => void way.then(() => to.end()));
    let way: Promise<void> = Promise.resolve();
    let arrivesAt = 0;
    from.on('data', (bytes: Buffer) => {
      const lost = Math.random() < this.loss ? RETRANSMISSION_MS + 2 * this.delayMs : 0;
      arrivesAt = Math.max(arrivesAt, performance.now() + this.delayMs + lost);
      const at = arrivesAt;
      way = way.then(async () => {
        const waitMs = at - performance.now();
        if (waitMs > 1) await sleep(waitMs);
        await this.#healed;
        if (!to.destroyed) to.write(bytes);
      });
    });
  }
}
