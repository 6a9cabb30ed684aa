import { ActionError } from '../shared/result.ts';

/** What can be said about the values of a quantity in a window. */
export interface Statistic {
  /** The field of the point. */
  readonly field: string;
  /** The Flux that makes one row of a group's values; absent where the survey of the window knows it. */
  readonly flux?: string;
}

const DEFAULT_STATISTICS = ['avg', 'min', 'max', 'median', 'stddev', 'count'];

/**
 * `stddev` is the sample's (n - 1), which one value alone has not; `median` and percentiles are exact, interpolated
 * linearly between the two nearest values; of values at one instant `first` and `last` take the one of the device
 * whose fingerprint is first, or last, in the alphabet.
 */
const STATISTICS: Readonly<Record<string, Statistic>> = {
  avg: { field: 'avg', flux: 'mean()' },
  min: { field: 'min', flux: 'min()' },
  max: { field: 'max', flux: 'max()' },
  median: { field: 'median', flux: 'median(method: "exact_mean")' },
  stddev: { field: 'stddev', flux: 'stddev(mode: "sample")' },
  spread: { field: 'spread', flux: 'spread()' },
  count: { field: 'count', flux: 'count()' },
  first: { field: 'first' },
  last: { field: 'last' },
};

/**
 * The statistics of a list of names, or of one text with commas; `percentile(95)` becomes the field `p95`.
 * @throws ActionError `PARAMETER_INVALID`
 */
export function statisticsOf(value: unknown = DEFAULT_STATISTICS): Statistic[] {
  const names: unknown[] = typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : [];
  const statistics = names.map((name) => statisticOf(typeof name === 'string' ? name.trim() : ''));
  if (statistics.length === 0 || statistics.includes(undefined)) {
    const known = [...Object.keys(STATISTICS), 'percentile(P)'].join(', ');
    throw new ActionError('PARAMETER_INVALID', `statistics must be a list of ${known}, P from 0 to 100.`);
  }
  return [...new Map(statistics.map((one) => [one!.field, one!])).values()];
}

function statisticOf(name: string): Statistic | undefined {
  if (Object.hasOwn(STATISTICS, name)) return STATISTICS[name];
  const percent = /^(?:percentile\(\s*(\d{1,3}(?:\.\d{1,3})?)\s*\)|p(\d{1,3}(?:\.\d{1,3})?))$/.exec(name);
  const p = Number(percent?.[1] ?? percent?.[2]);
  if (!(p <= 100)) return undefined;
  return { field: `p${p}`, flux: `quantile(q: ${(p / 100).toFixed(5)}, method: "exact_mean")` };
}
