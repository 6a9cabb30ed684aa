import { DateTime } from 'luxon';

/** ms since 1970; `to` is no part of it. */
export interface Period {
  readonly from: number;
  readonly to: number;
}

/**
 * A date (`2018-08-29`: its midnight in the zone) or an ISO 8601 time, by the zone's clocks where it names no offset.
 * @returns ms since 1970; undefined if it is neither
 */
export function parseInstant(text: string, zone: string): number | undefined {
  const time = DateTime.fromISO(text.trim(), { zone });
  return time.isValid ? time.toMillis() : undefined;
}

/** Cuts a period at midnights of the zone into at most `parts` of equally many days. */
export function inParts({ from, to }: Period, parts: number, zone: string): Period[] {
  const days = Math.ceil(DateTime.fromMillis(to).diff(DateTime.fromMillis(from), 'days').days / parts);
  const cut: Period[] = [];
  for (let begin = from; begin < to; begin = cut.at(-1)!.to) {
    const end = DateTime.fromMillis(begin, { zone })
      .startOf('day')
      .plus({ days: Math.max(days, 1) })
      .toMillis();
    cut.push({ from: begin, to: Math.min(end, to) });
  }
  return cut;
}

/** The midnight before, in the zone: up to then its days are closed. */
export function startOfDay(instant: number, zone: string): number {
  return DateTime.fromMillis(instant, { zone }).startOf('day').toMillis();
}
