import { connect, type Socket } from 'node:net';
import { generate, parser } from 'mqtt-packet';
import type { Ledger } from './ledger.ts';
import { bodyOf, kindOf, topicOf } from './readings.ts';

const TICK_MS = 10;
const RECONNECT_MS = 200;
/** Readings of one publisher that wait for their PUBACK. */
const WINDOW = 1_000;
/** Every so often, for one second, five times the rate. */
const BURST_EVERY_MS = 15_000;
const BURST_MS = 1_000;
export const BURST = 5;

/** Sensors at QoS 1, each on a connection of its own. */
export class Publishers {
  readonly #publishers: Publisher[];
  readonly #ledger: Ledger;
  readonly #rate: number;
  readonly #startedAt = performance.now();
  #lastTick = performance.now();
  #due = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param rate readings per second of all publishers together */
  constructor(port: number, rate: number, ledger: Ledger, count = 4) {
    this.#publishers = Array.from({ length: count }, (_, index) => new Publisher(port, `publisher-${index}`, ledger));
    this.#ledger = ledger;
    this.#rate = rate;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Publishes nothing new, and gives what is on its way some time to be PUBACKed. */
  async stop(timeoutMs: number): Promise<void> {
    clearInterval(this.#timer);
    for (const end = performance.now() + timeoutMs; performance.now() < end; ) {
      if (this.#publishers.every(({ unacknowledged }) => unacknowledged === 0)) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (const publisher of this.#publishers) publisher.close();
  }

  /** What could not be sent in time (the broker is away, or slow) is made up for later, at the rate of a burst. */
  #tick(): void {
    const now = performance.now();
    const elapsed = (now - this.#lastTick) / 1_000;
    this.#lastTick = now;
    const isBurst = (now - this.#startedAt) % BURST_EVERY_MS > BURST_EVERY_MS - BURST_MS;
    this.#due = Math.min(this.#due + elapsed * this.#rate * (isBurst ? BURST : 1), this.#rate * 10);
    const most = elapsed * this.#rate * BURST;
    for (let sent = 0; sent < most && this.#due >= 1; sent++) {
      const free = this.#publishers.filter((publisher) => publisher.isFree);
      if (free.length === 0 || this.#ledger.published >= this.#ledger.capacity) return;
      free[sent % free.length]!.publish(this.#ledger.published++);
      this.#due -= 1;
    }
  }
}

class Publisher {
  readonly #port: number;
  readonly #clientId: string;
  readonly #ledger: Ledger;
  readonly #unacknowledged = new Map<number, number>();
  /** Timed readings in doubt: sent again, as a sensor would. */
  #repeat: number[] = [];
  #socket: Socket | undefined;
  #isConnected = false;
  #packetId = 0;
  #closed = false;

  constructor(port: number, clientId: string, ledger: Ledger) {
    this.#port = port;
    this.#clientId = clientId;
    this.#ledger = ledger;
    this.#connect();
  }

  get unacknowledged(): number {
    return this.#unacknowledged.size + this.#repeat.length;
  }

  get isFree(): boolean {
    return this.#isConnected && this.#unacknowledged.size < WINDOW;
  }

  publish(n: number): void {
    do this.#packetId = (this.#packetId % 65_535) + 1;
    while (this.#unacknowledged.has(this.#packetId));
    this.#unacknowledged.set(this.#packetId, n);
    this.#ledger.sent(n);
    const fields = { cmd: 'publish', qos: 1, dup: false, retain: false } as const;
    this.#socket!.write(generate({ ...fields, messageId: this.#packetId, topic: topicOf(n), payload: bodyOf(n) }));
  }

  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
  }

  #connect(): void {
    const socket = connect(this.#port, '127.0.0.1');
    const packets = parser({ protocolVersion: 4 });
    socket.on('connect', () => {
      const fields = { protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 } as const;
      socket.write(generate({ cmd: 'connect', clientId: this.#clientId, ...fields }));
    });
    socket.on('data', (bytes) => packets.parse(bytes));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isConnected = false;
      for (const n of this.#unacknowledged.values()) if (kindOf(n) === 'timed') this.#repeat.push(n);
      this.#unacknowledged.clear();
      if (!this.#closed) setTimeout(() => this.#connect(), RECONNECT_MS);
    });
    packets.on('packet', (packet) => {
      if (packet.cmd === 'connack') {
        this.#isConnected = true;
        for (const n of this.#repeat.splice(0)) this.publish(n);
      } else if (packet.cmd === 'puback') {
        const n = this.#unacknowledged.get(packet.messageId!);
        this.#unacknowledged.delete(packet.messageId!);
        if (n !== undefined) this.#ledger.pubacked(n);
      }
    });
    this.#socket = socket;
  }
}
