/** Spans that a series keeps apart; of more, the oldest become one. */
const MAX_SPANS = 8;
const BEFORE_ALL_TIME = -(2n ** 63n);

/**
 * Where in time a series has points, in a few spans. What lies in none of them can't overwrite a point, also where writes
 * that came beside each other are taken in another order than that of their times.
 */
export class CoveredTimes {
  /** Ascending and apart; both ends (ns) belong to a span. */
  readonly #starts: bigint[] = [];
  readonly #ends: bigint[] = [];
  /** The span that had the last time, and the write that this came with. */
  #last = 0;
  #write: number | undefined;

  /** @param latest the latest time that is known: everything up to it counts as covered */
  constructor(latest?: bigint) {
    if (latest === undefined) return;
    this.#starts.push(BEFORE_ALL_TIME);
    this.#ends.push(latest);
  }

  /**
   * Adds the time of a point.
   * @param write the number of the write it is of: its times in their order make one span
   * @returns whether there may have been a point of this time before
   */
  add(time: bigint, write: number): boolean {
    const last = this.#last;
    const isGoingOn = write === this.#write && time > this.#ends[last]! && !(time >= this.#starts[last + 1]!);
    this.#write = write;
    if (isGoingOn) {
      this.#ends[last] = time;
      return false;
    }
    let at = this.#ends.length;
    while (at > 0 && time <= this.#ends[at - 1]!) at -= 1;
    const isCovered = at < this.#ends.length && time >= this.#starts[at]!;
    if (!isCovered) {
      this.#starts.splice(at, 0, time);
      this.#ends.splice(at, 0, time);
    }
    if (this.#ends.length > MAX_SPANS) {
      this.#starts.splice(1, 1);
      this.#ends.shift();
      at = Math.max(0, at - 1);
    }
    this.#last = at;
    return isCovered;
  }
}
