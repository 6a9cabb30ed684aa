import type { Books } from '../../core/event.ts';
import { type SegmentedLog, segmentOf } from '../../storage/segmented-log.ts';
import { RecordedEvent } from './event-record.ts';
import type { SegmentFates } from './segment-fates.ts';

export interface CheckedParts {
  readonly events: SegmentedLog;
  readonly segments: ReadonlyMap<number, SegmentFates>;
  readonly closed: ReadonlyMap<string, Readonly<Books>>;
  readonly books: ReadonlyMap<string, Readonly<Books>>;
}

/**
 * Counts the events that are not settled in the log itself, a segment at a time, and compares the books with that.
 * @returns what differs, as sentences
 */
export async function selfCheck(parts: CheckedParts): Promise<string[]> {
  const differences: string[] = [];
  for (const number of [...parts.segments.keys()]) differences.push(...(await checkSegment(number, parts)));
  return [...differences, ...checkSums(parts)];
}

async function checkSegment(number: number, { events, segments }: CheckedParts): Promise<string[]> {
  const isWhole = () => segments.has(number) && number < segmentOf(events.durableEnd);
  if (!isWhole()) return [];
  const held: Array<{ sequence: number; registration: string }> = [];
  await events.readSegment(number, (...record) => {
    const { sequence, registration } = new RecordedEvent(...record);
    held.push({ sequence, registration });
  });
  if (!isWhole()) return [];
  // From here on nothing comes in between.
  const fates = segments.get(number)!;
  const counted = new Map<string, number>();
  for (const { sequence, registration } of held) {
    if (!fates.isSettled(sequence)) counted.set(registration, (counted.get(registration) ?? 0) + 1);
  }
  return [...fates.registrations()].flatMap((registration) => {
    const { pending } = fates.booksOf(registration);
    const found = counted.get(registration) ?? 0;
    if (pending === found) return [];
    return `${registration}: ${pending} pending in segment ${number} by the books, ${found} in the log`;
  });
}

function checkSums({ segments, closed, books }: CheckedParts): string[] {
  const sums = new Map([...closed].map(([registration, { received }]) => [registration, received]));
  for (const fates of segments.values()) {
    for (const registration of fates.registrations())
      sums.set(registration, (sums.get(registration) ?? 0) + fates.booksOf(registration).received);
  }
  return [...books].flatMap(([registration, { received, confirmed, pending, parked, expired, deduplicated }]) => {
    const differences: string[] = [];
    if (received !== confirmed + pending + parked + expired + deduplicated)
      differences.push(`${registration}: ${received} received are not the sum of their fates`);
    const sum = sums.get(registration) ?? 0;
    if (received !== sum)
      differences.push(`${registration}: ${received} received by the books, ${sum} by the segments`);
    return differences;
  });
}
