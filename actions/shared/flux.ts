import type { Row } from '@influxdata/influxdb-client';
import type { Window } from './window.ts';

/** Parts of Flux scripts, and what their answers hold. */

/** Text as a string literal. */
export function quoted(text: string): string {
  return `"${text
    .replace(/["\\$]/g, '\\$&')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')}"`;
}

/** `from(bucket) |> range`: the points of a window. */
export function pointsOf(bucket: string, { from, to }: Window): string {
  return `from(bucket: ${quoted(bucket)}) |> range(start: ${new Date(from).toISOString()}, stop: ${new Date(to).toISOString()})`;
}

/** A filter for measurements whose names match one of the patterns; `*` stands for any characters. Empty for all. */
export function measurementFilter(patterns: readonly string[]): string {
  if (patterns.includes('*')) return '';
  const names = patterns.map((pattern) => pattern.split('*').map(literally).join('.*'));
  return ` |> filter(fn: (r) => r._measurement =~ /^(?:${names.join('|')})$/)`;
}

/** A text as it stands in a regular expression literal. */
function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

/** The nanoseconds since 1970 of a time as InfluxDB writes it, `2024-03-10T16:52:19.2Z`. */
export function nanoseconds(time: string): bigint {
  const [, seconds = '', fraction = ''] = /^(.+?)(?:\.(\d+))?Z$/.exec(time) ?? [];
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

/** A cell of an answer as it is written there; '' where the table has no such column. */
export function cellOf({ values, tableMeta }: Row, label: string): string {
  const { index, defaultValue } = tableMeta.column(label, false);
  return values[index] || (index < 0 ? '' : defaultValue);
}
