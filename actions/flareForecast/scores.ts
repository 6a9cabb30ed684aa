/** How good a probabilistic forecast was: scores of Gneiting and Raftery (2007), all negatively oriented, in °C. */

/** The quantiles that a forecast is stored by. */
export const QUANTILES: readonly number[] = [
  0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.975,
];

/** A quantile of sorted values, interpolated between neighbours. */
export function quantile(sorted: readonly number[], probability: number): number {
  const place = probability * (sorted.length - 1);
  const below = Math.floor(place);
  const [low, high] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!];
  return low + (high - low) * (place - below);
}

/** CRPS of an ensemble: mean |member - observation| less half the mean |member - member|. */
export function crpsOfEnsemble(sorted: readonly number[], observation: number): number {
  const size = sorted.length;
  let error = 0;
  let spread = 0;
  sorted.forEach((member, rank) => {
    error += Math.abs(member - observation);
    spread += member * (2 * rank - size + 1);
  });
  return error / size - spread / (size * size);
}

/** CRPS of a normal distribution, in closed form; of a single value its absolute error. */
export function crpsOfNormal(mean: number, deviation: number, observation: number): number {
  if (deviation === 0) return Math.abs(observation - mean);
  const z = (observation - mean) / deviation;
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  return deviation * (z * (2 * cumulativeNormal(z) - 1) + 2 * density - 1 / Math.sqrt(Math.PI));
}

/** Abramowitz and Stegun 7.1.26, to 1.5e-7. */
function cumulativeNormal(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const upper = (series * Math.exp(-x * x)) / 2;
  return z > 0 ? 1 - upper : upper;
}

/**
 * CRPS from the values of `QUANTILES`: twice the pinball loss integrated over the probabilities, each quantile standing
 * for the probabilities nearest to it.
 */
export function crpsOfQuantiles(values: readonly number[], observation: number): number {
  let sum = 0;
  QUANTILES.forEach((probability, at) => {
    const from = at === 0 ? 0 : (QUANTILES[at - 1]! + probability) / 2;
    const to = at === QUANTILES.length - 1 ? 1 : (probability + QUANTILES[at + 1]!) / 2;
    const above = observation - values[at]!;
    sum += (to - from) * (above >= 0 ? probability * above : (probability - 1) * above);
  });
  return 2 * sum;
}
