import { type Step, stepOf } from '../shared/flare/step.ts';
import { type Connection, connectionOf } from '../shared/influx.ts';
import { isRecord, type Params } from '../shared/payload.ts';
import { ActionError } from '../shared/result.ts';
import { DAY_MS } from './daily-series.ts';

/** What an activation has to do. */
export interface Task {
  readonly step: Step;
  /** The first day that is forecast, in days since 1970-01-01: what was measured before it starts is used. */
  readonly referenceDay: number;
  /** When the forecast is made, ISO 8601: the alarm's instant, so that a repeated forecast says the same. */
  readonly publishedAt: string;
  /** Where the readings are. */
  readonly readings: Connection;
  /** Names of the measurements, with `<depth>` for the metres; `1.5` may be written `1_5`. */
  readonly measurement: string;
  /** The readings' tags that make them this lake's. */
  readonly tags: Readonly<Record<string, string>>;
  /** Where forecasts and scores go. */
  readonly forecasts: Connection;
  readonly datacenterId: string;
  readonly writesMembers: boolean;
  /** Whether it is "not now" rather than nothing to do if there are no readings yet. */
  readonly waitsForReadings: boolean;
  readonly forwardTrigger: string;
}

const CONTAINER = 'flareForecast';

/**
 * Reads the task from the firing and the parameters in force. The cycle comes with the payload, as `cycle` or as the
 * alarm's `scheduledFor`; the clock is not asked.
 * @throws ActionError `CYCLE_MISSING`, `PARAMETER_MISSING`, `PARAMETER_INVALID` or `PAYLOAD_INVALID`
 */
export function taskOf(params: Params, parameters: Params): Task {
  const { scheduledFor, cycle } = params;
  if (scheduledFor === undefined && cycle === undefined) {
    throw new ActionError('CYCLE_MISSING', 'the payload gives neither cycle nor scheduledFor: which day is it?');
  }
  const datacenterId = textOf(parameters.datacenter_id ?? parameters.site ?? '', 'datacenter_id');
  // a site's id may have what a lake's name may not
  const lake = params.lake ?? datacenterId.replaceAll(/[._]/g, '-');
  const step = stepOf({ container_name: CONTAINER, ...params, lake }, 0);
  const day = dayOf(step.cycle.date);
  // East of Greenwich the alarm's day begins before that of UTC, which is not over then.
  const referenceDay = scheduledFor === undefined ? day : Math.min(day, dayOf(String(scheduledFor)));
  const readings = connectionOf({
    ...parameters,
    ...(params.bucket !== undefined && { influx_bucket: params.bucket }),
  });
  const measurement = textOf(parameters.measurement ?? 'wtr_<depth>', 'measurement');
  if (measurement.split('<depth>').length !== 2) {
    throw new ActionError('PARAMETER_INVALID', 'measurement must name the depth once, as in wtr_<depth>.');
  }
  return {
    step,
    referenceDay,
    publishedAt: new Date(scheduledFor === undefined ? day * DAY_MS : String(scheduledFor)).toISOString(),
    readings,
    measurement,
    tags: tagsOf(parameters.tags ?? (datacenterId === '' ? {} : { datacenter_id: datacenterId })),
    forecasts: { ...readings, bucket: textOf(parameters.aggregates_bucket ?? 'aggregates', 'aggregates_bucket') },
    datacenterId,
    writesMembers: parameters.members === true || parameters.members === 'true',
    waitsForReadings: params.waitForReadings === true,
    forwardTrigger: textOf(parameters.forwardTrigger ?? 'forwardTrigger', 'forwardTrigger'),
  };
}

function dayOf(time: string): number {
  return Math.floor(Date.parse(time) / DAY_MS);
}

function textOf(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  throw new ActionError('PARAMETER_INVALID', `${name} must be a text.`);
}

function tagsOf(value: unknown): Record<string, string> {
  if (!isRecord(value)) throw new ActionError('PARAMETER_INVALID', 'tags must be an object of tag names and values.');
  return Object.fromEntries(Object.entries(value).map(([name, text]) => [name, textOf(text, `tags.${name}`)]));
}
