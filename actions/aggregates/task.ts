import { type Connection, connectionOf } from '../shared/influx.ts';
import { patternsOf, wholeNumberOf } from '../shared/options.ts';
import type { Params } from '../shared/payload.ts';
import { ActionError } from '../shared/result.ts';
import {
  closedBefore,
  type Every,
  everyOf,
  everyText,
  lengthOf,
  type Window,
  windowOf,
  zoneOf,
} from '../shared/window.ts';
import { type Statistic, statisticsOf } from './statistics.ts';

/** What an activation has to do. */
export interface Task {
  readonly source: Connection;
  readonly target: Connection;
  /** The site keeps the points and has them forwarded; in the predecessor's way they go to the center alone. */
  readonly isForwarded: boolean;
  readonly window: Window;
  /** Absent: the window is one, of no regular length, and has none before it that could be looked at again. */
  readonly every: Every | undefined;
  readonly zone: string;
  readonly measurements: readonly string[];
  readonly statistics: readonly Statistic[];
  readonly dateTags: boolean;
  readonly recompute: number;
  readonly aggregatesTrigger: string;
  readonly forwardTrigger: string;
  /** What firings that follow are to be told, so that they do the same. */
  readonly options: Params;
}

/** Late readings may change so many windows: a receipt has room for as many firings. */
const MAX_RECOMPUTE = 900;
const OPTIONS = ['measurements', 'statistics', 'timezone', 'dateTags', 'every', 'recompute'] as const;

/**
 * Reads the task from the firing (`params`) and the parameters that are in force. The predecessor's names for the
 * connections, `local_…` and `central_…`, choose the predecessor's way.
 * @throws ActionError `PARAMETER_MISSING`, `PARAMETER_INVALID` or `PAYLOAD_INVALID`
 */
export function taskOf(params: Params, parameters: Params): Task {
  // what a firing of ours or of the command line names is meant so, whatever is configured
  const named = params.type === 'next' ? pick(params) : {};
  const given: Params = { ...parameters, ...named };
  const isForwarded = given.local_url === undefined;
  const source = connectionOf(given, isForwarded ? 'influx' : 'local');
  const zone = zoneOf(given.timezone);
  const window = windowOf(params);
  const recompute = wholeNumberOf(given.recompute, 'recompute', MAX_RECOMPUTE);
  const every = given.every === undefined && window ? lengthOf(window, zone) : everyOf(given.every ?? 'day');
  return {
    source,
    target: isForwarded
      ? { ...source, bucket: nameOf(given, 'aggregates_bucket', 'aggregates') }
      : connectionOf(given, 'central'),
    isForwarded,
    window: window ?? closedBefore(Date.now(), every!, zone),
    every,
    zone,
    // bound to the predecessor's actions of one statistic
    measurements: patternsOf(given.quantity ?? given.measurements),
    statistics: statisticsOf(given.statistic ?? given.statistics),
    dateTags: given.dateTags === true || given.dateTags === 'true',
    recompute,
    aggregatesTrigger: nameOf(given, 'aggregatesTrigger', 'aggregatesTrigger'),
    forwardTrigger: nameOf(given, 'forwardTrigger', 'forwardTrigger'),
    options: { ...pick(params), ...(every && { every: everyText(every) }) },
  };
}

function pick(params: Params): Params {
  return Object.fromEntries(OPTIONS.filter((name) => params[name] !== undefined).map((name) => [name, params[name]]));
}

function nameOf(parameters: Params, key: string, otherwise: string): string {
  const name = parameters[key] ?? otherwise;
  if (typeof name !== 'string' || name === '') throw new ActionError('PARAMETER_INVALID', `${key} must be a name.`);
  return name;
}
