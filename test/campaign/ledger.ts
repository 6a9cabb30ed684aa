import { kindOf } from './readings.ts';

const PUBACKED = 1;
const ACKNOWLEDGED = 2;

/** A broker that saves its memory every 2 s forgets what is younger in a kill -9; twice that for a busy machine. */
const BROKER_FORGETS_S = 5;

export interface Verdict {
  readonly published: number;
  /** PUBACKed by the broker. */
  readonly pubacked: number;
  /** Sent, and the connection broke before the PUBACK: may be there or not. */
  readonly inDoubt: number;
  /** What we were told to have and haven't: must be 0. */
  readonly lost: number[];
  /** What the broker took, never handed to us and forgot in a kill -9. */
  readonly lostByBroker: number;
  readonly points: number;
  readonly parked: number;
  /** Points and parked messages beyond one for each message: must be 0. */
  readonly duplicated: number[];
  /** Untimed readings that came again as new messages after a kill -9 of the broker. */
  readonly repeatedByBroker: number;
  /** How many messages the books must have received, at least and at most. */
  readonly received: readonly [atLeast: number, atMost: number];
}

/** What is known of every reading, from outside the product: by its publisher, on the wire, and at the end in the database. */
export class Ledger {
  published = 0;
  readonly capacity: number;
  readonly #startedAt = performance.now();
  readonly #brokerKilledAt: number[] = [];
  readonly #flags: Uint8Array;
  readonly #pubackedAt: Float32Array;
  /** How often its publisher sent it. */
  readonly #sent: Uint8Array;
  /** In how many of the broker's memories (a kill -9 begins a new one) it was delivered to the provider, and the last. */
  readonly #deliveries: Uint8Array;
  readonly #deliveredIn: Uint8Array;
  readonly #points: Uint8Array;
  readonly #parked: Uint8Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#flags = new Uint8Array(capacity);
    this.#pubackedAt = new Float32Array(capacity);
    this.#sent = new Uint8Array(capacity);
    this.#deliveries = new Uint8Array(capacity);
    this.#deliveredIn = new Uint8Array(capacity);
    this.#points = new Uint8Array(capacity);
    this.#parked = new Uint8Array(capacity);
  }

  sent(n: number): void {
    this.#sent[n]! += 1;
  }

  pubacked(n: number): void {
    this.#flags[n]! |= PUBACKED;
    this.#pubackedAt[n] = this.#now();
  }

  /** The broker has sent it to the provider. */
  delivered(n: number): void {
    const memory = this.#brokerKilledAt.length + 1;
    if (this.#deliveredIn[n] === memory) return;
    this.#deliveredIn[n] = memory;
    this.#deliveries[n]! += 1;
  }

  /** The provider has told the broker that it has it. */
  acknowledged(n: number): void {
    this.#flags[n]! |= ACKNOWLEDGED;
  }

  brokerKilled(): void {
    this.#brokerKilledAt.push(this.#now());
  }

  point(n: number): void {
    this.#points[n]! += 1;
  }

  parked(n: number): void {
    this.#parked[n]! += 1;
  }

  verdict(): Verdict {
    const lost: number[] = [];
    const duplicated: number[] = [];
    const counts = { pubacked: 0, inDoubt: 0, lostByBroker: 0, points: 0, parked: 0, repeatedByBroker: 0 };
    let [atLeast, atMost] = [0, 0];
    for (let n = 0; n < this.published; n++) {
      const isPubacked = (this.#flags[n]! & PUBACKED) !== 0;
      const isAcknowledged = (this.#flags[n]! & ACKNOWLEDGED) !== 0;
      const [points, parked] = [this.#points[n]!, this.#parked[n]!];
      counts.pubacked += Number(isPubacked);
      counts.inDoubt += Number(!isPubacked);
      counts.points += points;
      counts.parked += parked;
      atLeast += Number(isAcknowledged);
      atMost += this.#deliveries[n]! * this.#sent[n]!;

      const kind = kindOf(n);
      const here = kind === 'bad' ? parked : points;
      const elsewhere = points + parked - here;
      if (here === 0 && isAcknowledged) lost.push(n);
      else if (here === 0 && isPubacked) {
        if (this.#isForgotten(n)) counts.lostByBroker += 1;
        else lost.push(n);
      }
      const messages = kind === 'timed' ? 1 : Math.max(1, this.#deliveries[n]!);
      if (here > messages || elsewhere > 0) duplicated.push(n);
      else if (here > 1) counts.repeatedByBroker += 1;
    }
    return { published: this.published, lost, duplicated, received: [atLeast, atMost], ...counts };
  }

  /** Whether the broker was killed before it can have saved the reading. */
  #isForgotten(n: number): boolean {
    const at = this.#pubackedAt[n]!;
    return this.#brokerKilledAt.some((killedAt) => killedAt >= at && killedAt - at <= BROKER_FORGETS_S);
  }

  #now(): number {
    return (performance.now() - this.#startedAt) / 1_000;
  }
}
