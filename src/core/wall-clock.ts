import { Info } from 'luxon';

/**
 * What the clocks of a time zone show. A wall time is written as the ms since 1970 that the same reading would be in
 * UTC, so that days and hours are plain arithmetic; an instant is ms since 1970.
 */

const DAY_MS = 86_400_000;
const MAX_REMEMBERED = 1_000;

export class WallClock {
  static readonly #known = new Map<string, WallClock>();
  readonly #offsetAt: (instant: number) => number;
  /** The offset of each UTC day that has only one; asking the zone takes some microseconds. */
  readonly #offsetOfDay = new Map<number, number | 'changes'>();

  private constructor(timezone: string) {
    const zone = Info.normalizeZone(timezone);
    this.#offsetAt = (instant) => zone.offset(instant) * 60_000;
  }

  static isZone(timezone: string): boolean {
    if (WallClock.#known.has(timezone)) return true;
    if (!Info.isValidIANAZone(timezone)) return false;
    WallClock.of(timezone); // remembers the answer, which takes some time to find
    return true;
  }

  /** @param timezone an IANA name */
  static of(timezone: string): WallClock {
    const known = WallClock.#known.get(timezone);
    if (known) return known;
    const clock = new WallClock(timezone);
    if (WallClock.#known.size >= MAX_REMEMBERED) WallClock.#known.clear();
    WallClock.#known.set(timezone, clock);
    return clock;
  }

  /** By how many ms the clocks are ahead of UTC. */
  offset(instant: number): number {
    const day = Math.floor(instant / DAY_MS);
    let offset = this.#offsetOfDay.get(day);
    if (offset === undefined) {
      const first = this.#offsetAt(day * DAY_MS);
      offset = first === this.#offsetAt((day + 1) * DAY_MS) ? first : 'changes';
      if (this.#offsetOfDay.size >= MAX_REMEMBERED) this.#offsetOfDay.clear();
      this.#offsetOfDay.set(day, offset);
    }
    return offset === 'changes' ? this.#offsetAt(instant) : offset;
  }

  /** The offsets this long before and after; different where a change lies between them. */
  offsetsAround(instant: number, ms = DAY_MS): { before: number; after: number } {
    return { before: this.offset(instant - ms), after: this.offset(instant + ms) };
  }

  /** The instants at which the clocks show this: one; none where they are put forward over it, two where they are put back. */
  shows(wall: number): number[] {
    const { before, after } = this.offsetsAround(wall);
    const instants = before === after ? [wall - before] : [wall - before, wall - after];
    return instants.filter((instant) => instant + this.offset(instant) === wall);
  }

  /** The instant at which the clocks are put forward over a time that they never show. */
  afterGap(wall: number): number {
    const { before, after } = this.offsetsAround(wall);
    // The change lies in (wall - after, wall - before]; the second at which it happens is sought by halves.
    let low = Math.floor((wall - after) / 1_000);
    let high = Math.ceil((wall - before) / 1_000);
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.offset(middle * 1_000) === before) low = middle;
      else high = middle;
    }
    return high * 1_000;
  }
}
