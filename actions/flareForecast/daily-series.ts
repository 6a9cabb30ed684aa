/** A lake's daily mean temperatures per depth, on one calendar of UTC days. Days are counted since 1970-01-01. */

export const DAY_MS = 86_400_000;

/** What water of a lake can have, in °C: a value outside is the sensor's, not the lake's. */
export const PLAUSIBLE = { min: -2, max: 45 } as const;

/** A day's mean that differs from the days before and after by more than this (°C), to the same side, is a spike. */
const SPIKE = 6;

export interface DailyMean {
  /** Days since 1970-01-01, UTC. */
  readonly day: number;
  /** Metres below the surface. */
  readonly depth: number;
  /** °C. */
  readonly value: number;
}

export class DailySeries {
  /** Metres, ascending. */
  readonly depths: readonly number[];
  readonly firstDay: number;
  readonly lastDay: number;
  /** Per depth, one value per day from `firstDay` on; NaN where there is none. */
  readonly #values: readonly Float64Array[];

  private constructor(depths: readonly number[], firstDay: number, lastDay: number, values: readonly Float64Array[]) {
    this.depths = depths;
    this.firstDay = firstDay;
    this.lastDay = lastDay;
    this.#values = values;
  }

  /**
   * Leaves out what is no number, implausible or a spike. Of two values for one day and depth the later one counts.
   * @returns undefined if nothing is left
   */
  static of(means: Iterable<DailyMean>): DailySeries | undefined {
    const kept = [...means].filter(
      ({ day, depth, value }) =>
        Number.isInteger(day) && Number.isFinite(depth) && value >= PLAUSIBLE.min && value <= PLAUSIBLE.max,
    );
    if (kept.length === 0) return undefined;
    const depths = [...new Set(kept.map(({ depth }) => depth))].sort((a, b) => a - b);
    const firstDay = kept.reduce((first, { day }) => Math.min(first, day), Number.POSITIVE_INFINITY);
    const lastDay = kept.reduce((last, { day }) => Math.max(last, day), Number.NEGATIVE_INFINITY);
    const values = depths.map(() => new Float64Array(lastDay - firstDay + 1).fill(Number.NaN));
    const index = new Map(depths.map((depth, at) => [depth, at]));
    for (const { day, depth, value } of kept) values[index.get(depth)!]![day - firstDay] = value;
    return new DailySeries(depths, firstDay, lastDay, values.map(withoutSpikes));
  }

  /** The same series as it was known when `day` had ended. */
  until(day: number): DailySeries | undefined {
    if (day < this.firstDay) return undefined;
    const lastDay = Math.min(day, this.lastDay);
    const length = lastDay - this.firstDay + 1;
    return new DailySeries(
      this.depths,
      this.firstDay,
      lastDay,
      this.#values.map((values) => values.subarray(0, length)),
    );
  }

  /** °C at the depth of this index, NaN if there is none. */
  at(depth: number, day: number): number {
    return this.#values[depth]![day - this.firstDay] ?? Number.NaN;
  }

  /** The last day with a value at this depth, not later than `day` and at most `maxAge` days earlier. */
  latest(depth: number, day: number, maxAge: number): number | undefined {
    for (let earlier = day; earlier >= day - maxAge; earlier--) {
      if (!Number.isNaN(this.at(depth, earlier))) return earlier;
    }
    return undefined;
  }

  /** On how many days there is a value at any depth. */
  get observedDays(): number {
    let days = 0;
    for (let at = 0; at <= this.lastDay - this.firstDay; at++) {
      if (this.#values.some((values) => !Number.isNaN(values[at]!))) days += 1;
    }
    return days;
  }
}

/** A real change stays (a turnover of the lake, a sensor moved); a spike goes back at once. */
function withoutSpikes(values: Float64Array): Float64Array {
  return values.map((value, at) => {
    const [before, after] = [value - values[at - 1]!, value - values[at + 1]!];
    const isSpike = Math.abs(before) > SPIKE && Math.abs(after) > SPIKE && before > 0 === after > 0;
    return isSpike ? Number.NaN : value;
  });
}
