import type { Verdict } from './ledger.ts';

/** What became of one fault. */
export interface FaultOutcome {
  readonly name: string;
  /** From its healing until events were confirmed again; undefined if they were not. */
  readonly recoveryMs: number | undefined;
}

export interface Outcome {
  readonly seed: number;
  readonly seconds: number;
  readonly faults: readonly FaultOutcome[];
  readonly skipped: readonly string[];
  readonly verdict: Verdict;
  /** Readings in all firings that reached the platform. */
  readonly fired: number;
  readonly received: number;
  readonly booksRead: number;
  /** What was wrong besides lost and duplicated readings, as sentences. */
  readonly problems: readonly string[];
}

/** The campaign's tables, in Markdown. */
export function report({
  seed,
  seconds,
  faults,
  skipped,
  verdict,
  fired,
  received,
  booksRead,
  problems,
}: Outcome): string {
  const recoveries = faults.map(({ recoveryMs }) => recoveryMs ?? Number.POSITIVE_INFINITY);
  const { published, pubacked, inDoubt, lost, lostByBroker, points, parked, duplicated, repeatedByBroker } = verdict;
  return [
    '',
    `| fault | times | longest recovery |`,
    '|---|---:|---:|',
    ...byName(faults).map(([name, ms]) => `| ${name} | ${ms.length} | ${inSeconds(Math.max(...ms))} |`),
    `| **all** | **${faults.length}** | **${inSeconds(Math.max(0, ...recoveries))}** |`,
    '',
    `| seed ${seed}, ${Math.round(seconds)} s | readings |`,
    '|---|---:|',
    `| published | ${published} |`,
    `| PUBACKed by the broker | ${pubacked} |`,
    `| in doubt (the connection broke before the PUBACK) | ${inDoubt} |`,
    `| received, by the provider's books | ${received} |`,
    `| points | ${points} |`,
    `| parked | ${parked} |`,
    `| **lost** | **${lost.length}** |`,
    `| **duplicated** | **${duplicated.length}** |`,
    `| fired again | ${Math.max(0, fired - received)} |`,
    `| forgotten by the broker in a kill -9 between two saves, never handed to us | ${lostByBroker} |`,
    `| sent again by the broker as new messages after a kill -9, without a time of their own | ${repeatedByBroker} |`,
    '',
    `The books were read ${booksRead} times.`,
    ...skipped.map((what) => `Skipped: ${what}.`),
    ...problems.map((problem) => `PROBLEM: ${problem}`),
    '',
  ].join('\n');
}

function byName(faults: readonly FaultOutcome[]): Array<[string, number[]]> {
  const names = new Map<string, number[]>();
  for (const { name, recoveryMs } of faults) {
    names.set(name, [...(names.get(name) ?? []), recoveryMs ?? Number.POSITIVE_INFINITY]);
  }
  return [...names].sort(([a], [b]) => a.localeCompare(b));
}

function inSeconds(ms: number): string {
  return Number.isFinite(ms) ? `${(ms / 1_000).toFixed(1)} s` : 'never';
}
