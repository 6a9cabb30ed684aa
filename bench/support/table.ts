/** A goal on a number: how it is written, and whether a median reaches it. */
export interface Goal {
  readonly text: string;
  readonly isReached: (value: number) => boolean;
}

export const atLeast = (limit: number): Goal => ({ text: `>= ${limit}`, isReached: (value) => value >= limit });
export const atMost = (limit: number): Goal => ({ text: `<= ${limit}`, isReached: (value) => value <= limit });

/** The values that one thing had, one per repetition. */
export interface Series {
  readonly what: string;
  readonly unit: string;
  readonly values: number[];
  readonly goal?: Goal;
}

/** What a row of the benchmark found. */
export class Table {
  readonly all: Series[] = [];

  /** Adds the value of one repetition. */
  note(what: string, unit: string, value: number, goal?: Goal): void {
    let series = this.all.find((each) => each.what === what && each.unit === unit);
    if (!series) {
      series = { what, unit, values: [], ...(goal && { goal }) };
      this.all.push(series);
    }
    series.values.push(value);
  }

  /** One series over another, repetition by repetition: what disturbs the machine disturbs both. */
  ratio(what: string, unit: string, over: string, goal: Goal): void {
    const [ours, theirs] = [what, over].map((name) =>
      this.all.find((each) => each.what === name && each.unit === unit),
    );
    if (!ours || !theirs) return; // a peer that this machine doesn't have
    const values = ours.values.map((value, repetition) => value / theirs.values[repetition]!);
    this.all.push({ what: `${what} / ${over}`, unit: `x (${unit})`, values, goal });
  }

  /** As Markdown, with medians and spreads. */
  markdown(title: string): string {
    const rows = this.all.map(({ what, unit, values, goal }) => {
      const middle = median(values);
      const spread = values.length > 1 ? `${rounded(Math.min(...values))} to ${rounded(Math.max(...values))}` : '';
      const verdict = goal ? (goal.isReached(middle) ? 'yes' : '**no**') : '';
      return `| ${what} | ${rounded(middle)} ${unit} | ${spread} | ${goal?.text ?? ''} | ${verdict} |`;
    });
    return [
      `### ${title}`,
      '',
      '| what | median | from to | goal | reached |',
      '|---|---|---|---|---|',
      ...rows,
      '',
    ].join('\n');
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function rounded(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return Number(value.toFixed(digits)).toLocaleString('en');
}
