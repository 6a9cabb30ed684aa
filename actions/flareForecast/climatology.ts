import type { DailySeries } from './daily-series.ts';

/**
 * What a depth's temperature is on a day of the year: a yearly and a half-yearly wave, fitted by least squares that
 * outliers do not bend (Huber's weights) and that a small ridge keeps solvable on any record.
 */

const YEAR_DAYS = 365.2425;
const WAVES = 2;
const TERMS = 1 + 2 * WAVES;
/** In days of data: enough to keep the equations solvable, too little to matter. */
const RIDGE = 1;
/** Huber's constant: 95 % efficiency where the errors are normal. */
const HUBER = 1.345;
const REWEIGHTINGS = 3;
/**
 * Days left out together when a forecast of the past is made as if they had not been seen: longer than the anomalies'
 * memory, short enough that the rest still holds the season.
 */
const BLOCK_DAYS = 60;
/** How near a day of an earlier year must be to tell something of a day of this year. */
const NEAR_DAYS = 15;

export class Climatology {
  readonly #series: DailySeries;
  readonly #depth: number;
  readonly #whole: readonly number[];
  readonly #without = new Map<number, readonly number[]>();

  /** @param depth the index of a depth of the series */
  constructor(series: DailySeries, depth: number) {
    this.#series = series;
    this.#depth = depth;
    const days: number[] = [];
    for (let day = series.firstDay; day <= series.lastDay; day++) {
      if (!Number.isNaN(series.at(depth, day))) days.push(day);
    }
    const weights = new Float64Array(days.length).fill(1);
    const whole = new Equations();
    let coefficients: readonly number[] = [];
    for (let round = 0; round <= REWEIGHTINGS; round++) {
      whole.clear();
      days.forEach((day, at) => void whole.add(waves(day), series.at(depth, day), weights[at]!));
      coefficients = whole.solve();
      const residuals = days.map((day) => Math.abs(series.at(depth, day) - dot(coefficients, waves(day))));
      const limit = (HUBER * median(residuals)) / 0.6745;
      residuals.forEach((residual, at) => {
        weights[at] = residual <= limit ? 1 : limit / residual;
      });
    }
    this.#whole = coefficients;

    const blocks = new Map<number, Equations>();
    days.forEach((day, at) => {
      const block = blocks.get(blockOf(day)) ?? new Equations();
      blocks.set(blockOf(day), block);
      block.add(waves(day), series.at(depth, day), weights[at]!);
    });
    for (const [block, equations] of blocks) this.#without.set(block, whole.minus(equations).solve());
  }

  /** °C on a day, from the whole record. */
  on(day: number): number {
    return dot(this.#whole, waves(day));
  }

  /** °C on a day, from the record without the days around `left`: as a forecast made then might have known it. */
  without(left: number, day: number): number {
    return dot(this.#without.get(blockOf(left)) ?? this.#whole, waves(day));
  }

  /** Whether an earlier year has been observed around this day of the year; this year's own days prove nothing. */
  covers(day: number): boolean {
    for (let years = 1; ; years++) {
      const then = Math.round(day - years * YEAR_DAYS);
      if (then + NEAR_DAYS < this.#series.firstDay) return false;
      if (this.#series.latest(this.#depth, then + NEAR_DAYS, 2 * NEAR_DAYS) !== undefined) return true;
    }
  }
}

/** How many days two days of the year lie apart, at most half a year. */
export function seasonDistance(one: number, other: number): number {
  const apart = Math.abs(one - other) % YEAR_DAYS;
  return Math.min(apart, YEAR_DAYS - apart);
}

function blockOf(day: number): number {
  return Math.floor(day / BLOCK_DAYS);
}

const wavesOf = new Map<number, readonly number[]>();

function waves(day: number): readonly number[] {
  let terms = wavesOf.get(day);
  if (!terms) {
    const angle = (2 * Math.PI * day) / YEAR_DAYS;
    terms = [1, Math.cos(angle), Math.sin(angle), Math.cos(2 * angle), Math.sin(2 * angle)];
    wavesOf.set(day, terms);
  }
  return terms;
}

function dot(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at]! * b[at]!;
  return sum;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** The normal equations of a weighted least squares fit; sums, so those of a part can be taken off the whole. */
class Equations {
  readonly #matrix = new Float64Array(TERMS * TERMS);
  readonly #right = new Float64Array(TERMS);

  clear(): void {
    this.#matrix.fill(0);
    this.#right.fill(0);
  }

  add(terms: readonly number[], value: number, weight: number): void {
    for (let row = 0; row < TERMS; row++) {
      this.#right[row]! += weight * terms[row]! * value;
      for (let column = 0; column < TERMS; column++) {
        this.#matrix[row * TERMS + column]! += weight * terms[row]! * terms[column]!;
      }
    }
  }

  minus(part: Equations): Equations {
    const rest = new Equations();
    rest.#matrix.set(this.#matrix.map((value, at) => value - part.#matrix[at]!));
    rest.#right.set(this.#right.map((value, at) => value - part.#right[at]!));
    return rest;
  }

  /** By Cholesky's decomposition: with the ridge the matrix is positive definite. The mean is not shrunk. */
  solve(): number[] {
    const lower = Float64Array.from(this.#matrix);
    for (let term = 0; term < TERMS; term++) lower[term * TERMS + term]! += term === 0 ? 1e-9 : RIDGE;
    for (let row = 0; row < TERMS; row++) {
      for (let column = 0; column <= row; column++) {
        let sum = lower[row * TERMS + column]!;
        for (let at = 0; at < column; at++) sum -= lower[row * TERMS + at]! * lower[column * TERMS + at]!;
        // rounding may leave a hair below zero where days were taken off a short record
        lower[row * TERMS + column] =
          row === column ? Math.sqrt(Math.max(sum, 1e-9)) : sum / lower[column * TERMS + column]!;
      }
    }
    const solution = Array.from(this.#right);
    for (let row = 0; row < TERMS; row++) {
      for (let at = 0; at < row; at++) solution[row]! -= lower[row * TERMS + at]! * solution[at]!;
      solution[row]! /= lower[row * TERMS + row]!;
    }
    for (let row = TERMS - 1; row >= 0; row--) {
      for (let at = row + 1; at < TERMS; at++) solution[row]! -= lower[at * TERMS + row]! * solution[at]!;
      solution[row]! /= lower[row * TERMS + row]!;
    }
    return solution;
  }
}
