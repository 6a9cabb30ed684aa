import { FluxError } from './errors.ts';
import { addDuration, Duration, floorDivide, INFINITE, splitMonth } from './time.ts';
import { loadZone, type Zone } from './zone.ts';

/** Windows of time: the i-th starts at `zero + every * i` on the wall clock of a zone and lasts `period`. */

/** Nanoseconds; `start <= t < stop`. */
export interface Bounds {
  readonly start: bigint;
  readonly stop: bigint;
}

/** What Flux's `location` option and `timezone.location` hold. */
export interface Location {
  readonly zone: string;
  readonly offset: Duration;
}

export const UTC: Location = { zone: 'UTC', offset: new Duration(0, 0n) };

export interface WindowSpec {
  readonly every: Duration;
  readonly period: Duration;
  readonly offset: Duration;
  readonly location: Location;
}

/** A window by its number: 0 is the one at `zero`. */
export interface NumberedWindow extends Bounds {
  readonly index: number;
}

/** An hour that the clock jumps over is a window of no length; InfluxDB moves it to where the range begins. */
function clipped({ start, stop, index }: NumberedWindow, clip: Bounds): NumberedWindow {
  if (start === stop) return { start: clip.start, stop: clip.start, index };
  return { start: start < clip.start ? clip.start : start, stop: stop > clip.stop ? clip.stop : stop, index };
}

/** More windows than this over one range are refused: they would be more rows than anybody reads. */
const MAX_WINDOWS = 1_000_000;

function tooMany(): FluxError {
  return new FluxError(
    `the range holds more than ${MAX_WINDOWS} windows; make them longer, or set createEmpty to false`,
  );
}

/** Windows are numbered from 1970 in a JavaScript number, which is exact for these. */
const SHORTEST = 1_000n;

export class Windows {
  readonly spec: WindowSpec;
  readonly #zero: bigint;
  readonly #zone: Zone | undefined;

  /** @throws FluxError if such windows can't be */
  constructor(spec: WindowSpec) {
    const { every, offset, location } = spec;
    if (every.isZero) throw new FluxError('duration used as an interval cannot be zero');
    if (every.isMixed) throw new FluxError('duration used as an interval cannot mix month and nanosecond units');
    if (every.isNegative) throw new FluxError('duration used as an interval cannot be negative');
    if (every.months === 0 && every.nanoseconds < SHORTEST)
      throw new FluxError('windows shorter than 1us are not supported');
    this.spec = spec;
    this.#zero = addDuration(addDuration(0n, location.offset.times(-1)), offset);
    this.#zone = location.zone === 'UTC' ? undefined : loadZone(location.zone);
    if (location.zone !== 'UTC' && !this.#zone) throw new FluxError(`unknown time zone ${location.zone}`);
  }

  /** One window that holds every time. */
  get isInfinite(): boolean {
    return this.spec.every.equals(INFINITE);
  }

  /** About how many windows overlap `range`. */
  roughCount({ start, stop }: Bounds): number {
    const { months, nanoseconds } = this.spec.every;
    return Number(stop - start) / (months * 2.6e15 + Number(nanoseconds));
  }

  /** Where window 0 starts and how long each is, if they are equally long and follow each other without a gap. */
  get grid(): { zero: bigint; length: bigint } | undefined {
    const { every, period } = this.spec;
    if (this.#zone || every.months > 0 || !every.equals(period)) return undefined;
    return { zero: this.#zero, length: every.nanoseconds };
  }

  /** The window of a number, clipped to `range`. */
  numbered(index: number, range: Bounds): NumberedWindow {
    return this.isInfinite ? { ...range, index } : clipped(this.#at(index), range);
  }

  /** The windows that overlap `span`, clipped to `range`, earliest first. */
  overlapping(span: Bounds, range: Bounds): NumberedWindow[] {
    if (this.roughCount(span) > 2 * MAX_WINDOWS) throw tooMany();
    return this.#within(span, range);
  }

  /** The windows that hold `t`, clipped to `range`, earliest first. */
  holding(t: bigint, range: Bounds): NumberedWindow[] {
    return this.#within({ start: t, stop: t + 1n }, range);
  }

  #within({ start, stop }: Bounds, clip: Bounds): NumberedWindow[] {
    if (stop <= start) return [];
    if (this.isInfinite) return [{ ...clip, index: 0 }];
    const found: NumberedWindow[] = [];
    for (let window = this.#latest(stop); window.stop > start; window = this.#at(window.index - 1)) {
      if (window.start < stop) found.push(clipped(window, clip));
      if (found.length > MAX_WINDOWS) throw tooMany();
    }
    return found.reverse();
  }

  #at(index: number): NumberedWindow {
    const start = addDuration(this.#zero, this.spec.every.times(index));
    const stop = addDuration(start, this.spec.period);
    const [from, to] = this.spec.period.isNegative ? [stop, start] : [start, stop];
    if (!this.#zone) return { start: from, stop: to, index };
    return { start: this.#zone.instant(from), stop: this.#zone.instant(to), index };
  }

  /** The last window that starts at or before `t` on the wall clock. */
  #latest(t: bigint): NumberedWindow {
    const wall = this.#zone ? this.#zone.wallClock(t) : t;
    const { every, period } = this.spec;
    let index: number;
    if (every.months > 0) {
      const zero = splitMonth(this.#zero);
      const target = splitMonth(wall);
      const months = target.months - (target.within < zero.within ? 1 : 0) - zero.months;
      index = Math.floor(months / every.months);
    } else index = Number(floorDivide(wall - this.#zero, every.nanoseconds));
    if (period.isNegative && !period.isMixed) {
      // Windows that reach back may hold `t` though they start later.
      const reach = every.months > 0 ? -period.months / every.months : Number(-period.nanoseconds / every.nanoseconds);
      index += Math.ceil(reach) + 1;
    }
    return this.#at(index);
  }
}
