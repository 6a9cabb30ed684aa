import type { Alarm } from './alarm.ts';
import type { Timetable } from './schedule.ts';

/** An instant that is late by no more than this was not missed: a restart or a busy moment came between. */
const IN_TIME_MS = 60_000;
/** How many missed instants are counted. */
const MAX_COUNTED = 1_000;

export interface DueInstants {
  /** To be rung, in order; ms since 1970. */
  readonly ring: readonly number[];
  /** How many before these were missed for good, by the alarm's policy; more than a thousand are not counted. */
  readonly missed: number;
}

/** What is to be done with the instants after `after` up to `now` (ms since 1970). */
export function dueInstants(
  timetable: Timetable,
  { misfire, misfireLimit, misfireHorizonSeconds }: Alarm,
  after: number,
  now: number,
): DueInstants {
  const lateLimit = { fireOnce: 1, fireAll: misfireLimit, skip: 0 }[misfire];
  const ring: number[] = [];
  let late = 0;
  let missed = 0;
  // From the last one back, so that a long absence costs no more than what comes of it.
  let instant = timetable.previous(now + 1);
  while (instant !== undefined && instant > after && missed < MAX_COUNTED) {
    if (instant >= now - IN_TIME_MS) {
      ring.unshift(instant);
    } else if (late < lateLimit && instant >= now - misfireHorizonSeconds * 1_000) {
      ring.unshift(instant);
      late += 1;
    } else {
      missed += 1;
    }
    instant = timetable.previous(instant);
  }
  return { ring, missed };
}
