import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { nextPayload } from '../shared/flare/step.ts';
import { type Line, write } from '../shared/influx.ts';
import { parametersOf } from '../shared/parameters.ts';
import type { Params } from '../shared/payload.ts';
import { type NextStep, type Outcome, settled } from '../shared/receipt.ts';
import { ActionError, type Refusal, type Result } from '../shared/result.ts';
import { isoWindow } from '../shared/window.ts';
import { storeOf } from '../shared/workdir/parameters.ts';
import { push } from '../shared/workdir/push.ts';
import { SCRATCH_PREFIX } from '../shared/workdir/scratch.ts';
import { DAY_MS, type DailySeries } from './daily-series.ts';
import { calibrate, HORIZON, MAX_AGE_DAYS, MODEL_ID } from './damped-anomaly.ts';
import { type Forecast, forecast } from './ensemble.ts';
import { csvLines, csvName } from './flare-csv.ts';
import { observedBefore } from './observations.ts';
import { FORECAST, forecastLines, MEMBER, memberLines, SCORE } from './points.ts';
import { SCORED_DAYS, scoreLines } from './scoring.ts';
import { type Task, taskOf } from './task.ts';

const RETRY_MS = 20_000;
const FORWARD_TIMEOUT_SECONDS = 120;

/**
 * Forecasts a lake's water temperatures from what the site has measured: daily means per depth, 16 days from the cycle's
 * day on. Scores the forecasts that were made for the days just observed, and has all of it forwarded to the center.
 * The same cycle again makes the same points from the same readings.
 */
export function main(params: Params): Promise<Result> {
  return settled(params, async () => {
    const parameters = await parametersOf(params);
    const task = taskOf(params, parameters);
    const series = await observedBefore(task.referenceDay, task);
    const made = series && forecastOf(task, series);
    if (!series || !made || made.depths.length === 0) return nothingToForecast(task, series);

    const origin = { lake: task.step.cycle.lake, datacenterId: task.datacenterId };
    const historyDays = series.observedDays;
    const scores = await scoreLines(series, task.referenceDay, task.forecasts, origin);
    const forecasts = forecastLines(made, origin, historyDays);
    const members = task.writesMembers ? memberLines(made, origin) : [];
    const refused = await written(task, [...forecasts, ...members, ...scores]);
    const archive = parameters.workdir_store === undefined ? undefined : await archived(task, made, parameters);
    return {
      result: {
        model: MODEL_ID,
        lake: origin.lake,
        cycle: task.step.cycle.date,
        reference: isoDay(task.referenceDay),
        depths: made.depths.map(({ depth }) => depth),
        ...(made.silentDepths.length > 0 && { silentDepths: made.silentDepths }),
        ...basis(made, historyDays),
        points: forecasts.length + members.length,
        scores: scores.length,
        archive: archive ?? 'none: no workdir_store is given',
      },
      refused,
      next: nextSteps(task),
    };
  });
}

function forecastOf(task: Task, series: DailySeries): Forecast {
  return forecast(calibrate(series), series, task.referenceDay, `${task.step.cycle.lake} ${task.referenceDay}`);
}

/** What the forecast rests on, and in words if that is little. */
function basis({ depths, independentErrors, widening }: Forecast, historyDays: number): Record<string, unknown> {
  const knowsSeason = depths.every((depth) => depth.knowsSeason);
  const shortfall = `too little history (${historyDays} days): no earlier year tells the season, so the forecast is the last value (persistence), with the spread of its own past errors widened ${widening.toFixed(2)} times`;
  return {
    historyDays,
    knowsSeason,
    independentErrors: Number(independentErrors.toFixed(1)),
    widening: Number(widening.toFixed(2)),
    ...(!knowsSeason && { note: shortfall }),
  };
}

/** Nothing is wrong with a lake whose sensors are out for the winter; a site that has just begun is asked again. */
function nothingToForecast(
  { waitsForReadings, measurement, readings, referenceDay, step }: Task,
  series?: DailySeries,
): Outcome {
  const last = series ? `the last is of ${isoDay(series.lastDay)}` : 'there is none at all';
  const note = `no forecast: bucket ${readings.bucket} has no ${measurement} of lake ${step.cycle.lake} in the ${MAX_AGE_DAYS} days before ${isoDay(referenceDay)}; ${last}`;
  if (waitsForReadings) throw new ActionError('NO_READINGS', `${note}.`, { afterMs: RETRY_MS });
  return { result: { model: MODEL_ID, lake: step.cycle.lake, cycle: step.cycle.date, points: 0, note } };
}

async function written({ forecasts }: Task, texts: readonly string[]): Promise<Refusal | undefined> {
  const lines = texts.map((text, message): Line => ({ message, text }));
  const [first, ...others] = await write(forecasts, lines);
  return (
    first && {
      code: 'INFLUX_REFUSED',
      message: `bucket ${forecasts.bucket} refused ${others.length + 1} of ${lines.length} points: ${first.reason}`,
    }
  );
}

/** Publishes the ensemble in FLARE's columns as this step's working directory; returns its key. */
async function archived({ step, publishedAt }: Task, made: Forecast, parameters: Params): Promise<string> {
  const { cycle, container } = step;
  const store = await storeOf(parameters);
  const folder = await mkdtemp(join(tmpdir(), SCRATCH_PREFIX));
  try {
    const file = join(folder, csvName(cycle.lake, made.referenceDay));
    await pipeline(Readable.from(csvLines(made, cycle.lake, publishedAt)), createWriteStream(file));
    const { key } = await push({ store, cycle, container, from: folder });
    return key;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** To the center, and to the step that follows in the lake's workflow, if there is one. */
function nextSteps({ step, referenceDay, forecasts, forwardTrigger, writesMembers }: Task): NextStep[] {
  const window = { from: (referenceDay - SCORED_DAYS) * DAY_MS, to: (referenceDay + HORIZON) * DAY_MS };
  const measurements = [FORECAST, ...(writesMembers ? [MEMBER] : []), SCORE];
  const forward = {
    trigger: forwardTrigger,
    key: `forward ${step.cycle.lake} ${isoDay(referenceDay)}`,
    payload: { kind: 'forecast', bucket: forecasts.bucket, measurements, window: isoWindow(window) },
    receiptTimeoutSeconds: FORWARD_TIMEOUT_SECONDS,
  };
  if (!step.next) return [forward];
  const following = { trigger: step.next.name, key: `next ${step.next.name}`, payload: nextPayload(step, step.next) };
  return [forward, following];
}

function isoDay(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}
