import { type RefusedLine, write } from '../shared/influx.ts';
import { parametersOf } from '../shared/parameters.ts';
import type { Params } from '../shared/payload.ts';
import { type NextStep, type Outcome, settled } from '../shared/receipt.ts';
import type { Result } from '../shared/result.ts';
import { before, isoWindow, subdivided, type Window } from '../shared/window.ts';
import { aggregated, isStored, lineOf } from './compute.ts';
import { type Task, taskOf } from './task.ts';

/** After so long the rest is left to a firing of its own, so that the receipt comes in time. */
const WORK_MS = 15_000;
/** How many windows the activation's record names. */
const MAX_WINDOWS_SHOWN = 100;
/** How long the provider shall wait for the receipts of firings that this one asks for: a day may have many readings. */
const RECEIPT_TIMEOUT_SECONDS = 300;
const FORWARD_TIMEOUT_SECONDS = 60;

/**
 * Aggregates the readings of a closed window: one point for each window, datacenter and quantity, into the site's own
 * bucket; then asks for their forwarding to the center. The same window again makes the same points.
 */
export function main(params: Params): Promise<Result> {
  return settled(params, async () => {
    const task = taskOf(params, await parametersOf(params));
    const stopAt = performance.now() + WORK_MS;
    const done = await compute(task, stopAt);
    const changed = done.end < task.window.to ? [] : await changedWindows(task, stopAt);
    return outcomeOf(task, done, changed);
  });
}

interface Done {
  windows: number;
  points: number;
  /** Up to where the task's window is done. */
  end: number;
  readonly empty: Window[];
  readonly notNumeric: Set<string>;
  readonly refused: RefusedLine[];
}

async function compute(task: Task, stopAt: number): Promise<Done> {
  const { source, target, window, every, zone, measurements, statistics } = task;
  const done: Done = { windows: 0, points: 0, end: window.from, empty: [], notNumeric: new Set(), refused: [] };
  for (const each of every ? subdivided(window, every, zone) : [window]) {
    const { aggregates, notNumeric } = await aggregated(source, each, measurements, statistics);
    const lines = aggregates.map((aggregate, message) => ({ message, text: lineOf(aggregate, each, task) }));
    const refused = await write(target, lines);
    done.windows += 1;
    done.points += lines.length - refused.length;
    done.end = each.to;
    if (lines.length === 0) done.empty.push(each);
    for (const name of notNumeric) done.notNumeric.add(name);
    done.refused.push(...refused);
    if (performance.now() > stopAt) break;
  }
  return done;
}

/**
 * Those of the windows before the task's whose readings have changed since they were aggregated. They are not written
 * here but get firings of their own: after a crash between writing and asking, nobody would know that they changed.
 */
async function changedWindows(task: Task, stopAt: number): Promise<Window[]> {
  const { source, target, window, every, zone, measurements, statistics, recompute } = task;
  if (recompute === 0 || !every) return [];
  const changed: Window[] = [];
  for (const each of subdivided(before(window, every, recompute, zone), every, zone)) {
    const { aggregates } = await aggregated(source, each, measurements, statistics);
    if (!(await isStored(target, each, measurements, aggregates))) changed.push(each);
    if (performance.now() > stopAt) break;
  }
  return changed;
}

function outcomeOf(task: Task, done: Done, changed: readonly Window[]): Outcome {
  const { window, isForwarded, forwardTrigger, aggregatesTrigger, target, measurements } = task;
  const { windows, points, end, empty, notNumeric, refused } = done;
  const next: NextStep[] = [];
  if (isForwarded && points > 0) {
    const payload = {
      kind: 'aggregates',
      bucket: target.bucket,
      measurements,
      window: isoWindow({ ...window, to: end }),
    };
    next.push({
      trigger: forwardTrigger,
      key: `forward ${window.from}`,
      payload,
      receiptTimeoutSeconds: FORWARD_TIMEOUT_SECONDS,
    });
  }
  const rest = end < window.to ? [{ from: end, to: window.to }] : [];
  for (const each of [...rest, ...changed]) {
    const payload = { ...task.options, window: isoWindow(each), recompute: each === rest[0] ? task.recompute : 0 };
    const receiptTimeoutSeconds = RECEIPT_TIMEOUT_SECONDS;
    next.push({ trigger: aggregatesTrigger, key: `aggregates ${each.from}`, payload, receiptTimeoutSeconds });
  }
  const [first] = refused;
  return {
    result: {
      windows,
      points,
      empty: empty.length,
      ...(empty.length > 0 && { emptyWindows: empty.slice(0, MAX_WINDOWS_SHOWN).map(isoWindow) }),
      ...(notNumeric.size > 0 && { notNumeric: [...notNumeric] }),
      ...(rest[0] && { rest: isoWindow(rest[0]) }),
      ...(changed.length > 0 && { changed: changed.slice(0, MAX_WINDOWS_SHOWN).map(isoWindow) }),
      ...(first && { refused: refused.length, reason: first.reason }),
    },
    refused: first && {
      code: 'INFLUX_REFUSED',
      message: `bucket ${target.bucket} refused ${refused.length} of ${points + refused.length} aggregates: ${first.reason}`,
    },
    next,
  };
}
