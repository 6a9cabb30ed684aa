/**
 * A t-digest (Dunning's merging digest with the arcsine scale): quantiles of any number of values in a bounded
 * number of centroids. InfluxDB's `median` and `quantile` are estimated by one, so it is the definition of their
 * results; up to about a thousand values it keeps each.
 */

interface Centroid {
  mean: number;
  weight: number;
}

export class TDigest {
  readonly #compression: number;
  #centroids: Centroid[] = [];
  #waiting: Centroid[] = [];
  #weight = 0;
  #min = Number.MAX_VALUE;
  #max = -Number.MAX_VALUE;

  constructor(compression: number) {
    this.#compression = compression;
  }

  add(value: number): void {
    if (Number.isNaN(value)) return;
    this.#waiting.push({ mean: value, weight: 1 });
    if (this.#waiting.length > 8 * Math.ceil(this.#compression)) this.#merge();
  }

  /** NaN if there are no values or `q` is not within 0 and 1. */
  quantile(q: number): number {
    this.#merge();
    const centroids = this.#centroids;
    const first = centroids[0];
    const last = centroids.at(-1);
    if (q < 0 || q > 1 || !first || !last) return Number.NaN;
    if (centroids.length === 1) return first.mean;
    const index = q * this.#weight;
    if (index <= first.weight / 2) return this.#min + ((2 * index) / first.weight) * (first.mean - this.#min);
    // Half of each centroid's weight lies before its mean.
    let before = first.weight / 2;
    for (let i = 1; i < centroids.length; i++) {
      const [left, right] = [centroids[i - 1]!, centroids[i]!];
      const next = before + left.weight / 2 + right.weight / 2;
      if (next >= index) return weightedAverage(left.mean, next - index, right.mean, index - before);
      before = next;
    }
    const z1 = index - this.#weight - last.weight / 2;
    return weightedAverage(last.mean, z1, this.#max, last.weight / 2 - z1);
  }

  #merge(): void {
    if (this.#waiting.length === 0) return;
    const sorted = [...this.#waiting, ...this.#centroids].sort((a, b) => a.mean - b.mean);
    this.#weight += this.#waiting.reduce((total, { weight }) => total + weight, 0);
    this.#waiting = [];
    let current = sorted[0]!;
    const merged = [current];
    let soFar = current.weight;
    let limit = this.#weight * this.#quantileAt(1);
    for (const centroid of sorted.slice(1)) {
      if (soFar + centroid.weight <= limit) {
        soFar += centroid.weight;
        current.weight += centroid.weight;
        current.mean += (centroid.weight * (centroid.mean - current.mean)) / current.weight;
      } else {
        limit = this.#weight * this.#quantileAt(this.#locationOf(soFar / this.#weight) + 1);
        soFar += centroid.weight;
        current = centroid;
        merged.push(current);
      }
    }
    this.#centroids = merged;
    this.#min = Math.min(this.#min, merged[0]!.mean);
    this.#max = Math.max(this.#max, current.mean);
  }

  #quantileAt(location: number): number {
    const bounded = Math.min(location, this.#compression);
    return (Math.sin((bounded * Math.PI) / this.#compression - Math.PI / 2) + 1) / 2;
  }

  #locationOf(quantile: number): number {
    return (this.#compression * (Math.asin(2 * quantile - 1) + Math.PI / 2)) / Math.PI;
  }
}

function weightedAverage(x1: number, w1: number, x2: number, w2: number): number {
  const [low, lowWeight, high, highWeight] = x1 <= x2 ? [x1, w1, x2, w2] : [x2, w2, x1, w1];
  return Math.max(low, Math.min((low * lowWeight + high * highWeight) / (lowWeight + highWeight), high));
}
