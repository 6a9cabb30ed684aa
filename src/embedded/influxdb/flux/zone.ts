import { NANOSECONDS_PER_SECOND } from './time.ts';

/**
 * Clocks of a time zone, from the zone data that Node.js brings (Intl). Following Flux, windows are laid out on the
 * wall clock and then placed in time: a wall-clock time that occurs twice is its first occurrence, one that the
 * clock jumps over is the moment of the jump.
 */

/** A stretch of time (seconds since 1970, end excluded) in which the zone's offset from UTC (seconds) is the same. */
interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
}

const DAY = 86_400;
/** No zone changes its clocks twice in fewer days than this (Morocco's Ramadan pause has about 29). */
const STEP = 20 * DAY;
/** A stretch need not be followed to its very end: a false end between equal offsets changes nothing. */
const REACH = 400 * DAY;

const zones = new Map<string, Zone | undefined>();

/** The zone of an IANA name such as `America/New_York`; undefined if there is none. */
export function loadZone(name: string): Zone | undefined {
  if (!zones.has(name)) {
    try {
      zones.set(name, new Zone(name));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return undefined;
    }
  }
  return zones.get(name);
}

export class Zone {
  readonly #format: Intl.DateTimeFormat;
  #stretches: Stretch[] = [];

  constructor(name: string) {
    this.#format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' });
  }

  /** Where the zone's clock stands at `t`, read as if it were UTC (ns). */
  wallClock(t: bigint): bigint {
    return t + nanoseconds(this.#stretchAt(Number(t / NANOSECONDS_PER_SECOND)).offset);
  }

  /** When the zone's clock first shows what `wall` shows as UTC (ns). */
  instant(wall: bigint): bigint {
    const seconds = Number(wall / NANOSECONDS_PER_SECOND);
    let stretch = this.#stretchAt(seconds);
    const guess = seconds - stretch.offset;
    if (guess < stretch.start || guess >= stretch.end) {
      const neighbour = this.#stretchAt(guess < stretch.start ? stretch.start - 1 : stretch.end);
      const again = seconds - neighbour.offset;
      if (again < neighbour.start || again >= neighbour.end) {
        return nanoseconds(guess < stretch.start ? neighbour.end : neighbour.start);
      }
      stretch = neighbour;
    }
    const previous = this.#stretchAt(stretch.start - 1);
    const earlier = seconds - previous.offset;
    const offset = earlier >= previous.start && earlier < previous.end ? previous.offset : stretch.offset;
    return wall - nanoseconds(offset);
  }

  #stretchAt(seconds: number): Stretch {
    const known = this.#stretches.find(({ start, end }) => start <= seconds && seconds < end);
    if (known) return known;
    const offset = this.#offsetAt(seconds);
    const stretch = { start: this.#edge(seconds, offset, -1), end: this.#edge(seconds, offset, 1), offset };
    if (this.#stretches.length >= 256) this.#stretches = [];
    this.#stretches.push(stretch);
    return stretch;
  }

  /** The first second of the stretch around `seconds` (direction -1), or the first one after it (direction 1). */
  #edge(seconds: number, offset: number, direction: -1 | 1): number {
    let same = seconds;
    let other = seconds;
    do {
      same = other;
      other += direction * STEP;
      if (Math.abs(other - seconds) > REACH) return same;
    } while (this.#offsetAt(other) === offset);
    while (Math.abs(other - same) > 1) {
      const middle = Math.floor((same + other) / 2);
      if (this.#offsetAt(middle) === offset) same = middle;
      else other = middle;
    }
    return Math.max(same, other);
  }

  #offsetAt(seconds: number): number {
    const name = this.#format.formatToParts(seconds * 1000).find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT';
    const [hours, minutes = '0', rest = '0'] = name.slice('GMT'.length).split(':');
    if (!hours) return 0;
    const size = Math.abs(Number(hours)) * 3600 + Number(minutes) * 60 + Number(rest);
    return hours.startsWith('-') ? -size : size;
  }
}

function nanoseconds(seconds: number): bigint {
  return BigInt(seconds) * NANOSECONDS_PER_SECOND;
}
