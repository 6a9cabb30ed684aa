import { escape as escapeName } from '@influxdata/influxdb-client';
import { DAY_MS } from './daily-series.ts';
import { MODEL_ID } from './damped-anomaly.ts';
import type { Forecast } from './ensemble.ts';
import { QUANTILES, quantile } from './scores.ts';

/**
 * Forecasts as points. Their time is the day that is forecast, and instead of the day that it was forecast on they have
 * a tag `horizon`, from 1: so each day's forecast continues the same series and their number does not grow.
 */

export const FORECAST = 'forecast';
export const MEMBER = 'forecast_member';
export const SCORE = 'forecast_score';
export const VARIABLE = 'temperature';

/** Whose forecast it is. */
export interface Origin {
  readonly lake: string;
  readonly datacenterId: string;
}

/** The field of a quantile: `q05`, `q50`, `q975`. */
export function quantileField(probability: number): string {
  return `q${probability.toFixed(3).slice(2).replace(/0$/, '')}`;
}

/** The mean and the quantiles of each depth and day, what persistence says beside, and what they rest on. */
export function forecastLines(forecast: Forecast, origin: Origin, historyDays: number): string[] {
  return forecast.depths.flatMap(({ depth, knowsSeason, persistence, persistenceDeviations, members }) =>
    persistenceDeviations.map((deviation, at) => {
      const sorted = members.map((member) => member[at]!).sort((a, b) => a - b);
      const fields = {
        mean: sorted.reduce((sum, member) => sum + member, 0) / sorted.length,
        ...Object.fromEntries(QUANTILES.map((each) => [quantileField(each), quantile(sorted, each)])),
        persistence,
        persistence_sd: deviation,
        knows_season: knowsSeason ? 1 : 0,
        history_days: historyDays,
      };
      return line(FORECAST, { ...tagsOf(origin, depth), horizon: at + 1 }, fields, forecast.referenceDay + at);
    }),
  );
}

/** Every member of every depth and day. */
export function memberLines({ depths, referenceDay }: Forecast, origin: Origin): string[] {
  return depths.flatMap(({ depth, members }) =>
    members.flatMap((member, number) =>
      member.map((prediction, at) => {
        const tags = { ...tagsOf(origin, depth), horizon: at + 1, parameter: number + 1 };
        return line(MEMBER, tags, { prediction }, referenceDay + at);
      }),
    ),
  );
}

export function tagsOf({ lake, datacenterId }: Origin, depth: number): Record<string, string | number> {
  return {
    ...(datacenterId !== '' && { datacenter_id: datacenterId }),
    site_id: lake,
    model_id: MODEL_ID,
    variable: VARIABLE,
    depth,
  };
}

/** A line of line protocol. @param day days since 1970-01-01 */
export function line(
  measurement: string,
  tags: Readonly<Record<string, string | number>>,
  fields: Readonly<Record<string, number>>,
  day: number,
): string {
  const tagSet = Object.entries(tags).map(([name, value]) => `,${name}=${escapeName.tag(String(value))}`);
  const fieldSet = Object.entries(fields).map(([name, value]) => `${name}=${rounded(value)}`);
  return `${measurement}${tagSet.join('')} ${fieldSet.join(',')} ${day * DAY_MS}000000`;
}

/** To 0.0001 °C: sensors tell no more. */
export function rounded(value: number): number {
  return Number(value.toFixed(4));
}
