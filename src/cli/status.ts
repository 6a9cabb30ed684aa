import type { Books } from '../core/event.ts';
import type { SiteStatus } from '../http/site-status.ts';
import { askProvider } from './provider-client.ts';

const COLUMNS = ['received', 'confirmed', 'pending', 'parked', 'expired', 'deduplicated'] as const;

/** `fogwhisk status`: the books of the running site, by registration, and what is in the way. */
export async function status(options: { config?: string }): Promise<void> {
  const site = await askProvider<SiteStatus>(options, '/status');
  const rows = [
    ...site.registrations.map(({ name, books }) => ({ name, books })),
    { name: 'total', books: site.books },
  ];
  const width = Math.max(12, ...rows.map(({ name }) => name.length));
  const line = (name: string, cells: readonly string[]) =>
    `${name.padEnd(width)}${cells.map((cell) => cell.padStart(14)).join('')}`;
  const lines = [
    `site ${site.site}, broker ${site.broker}, journal ${(site.journal.bytes / 1_048_576).toFixed(1)} MiB`,
    '',
    line('registration', COLUMNS),
    ...rows.map(({ name, books }) =>
      line(
        name,
        COLUMNS.map((column) => books[column].toLocaleString('en')),
      ),
    ),
    ...(site.alarms.length > 0 ? ['', `${'alarm'.padEnd(width)}  next`] : []),
    ...site.alarms.map(({ name, next, disabled }) => `${name.padEnd(width)}  ${next ?? disabled ?? ''}`),
    '',
    ...problemsOf(site).map((problem) => `! ${problem}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function problemsOf({ journal, registrations, books, center }: SiteStatus): string[] {
  return [
    ...(journal.full ? ['the journal is full: reading from the broker has stopped until events are confirmed'] : []),
    ...(journal.stalledBy ? [`the journal cannot be written: ${journal.stalledBy}`] : []),
    ...journal.damage.map((file) => `the journal was damaged; a copy is in ${file}`),
    ...(isBalanced(books) ? [] : ['the books do not balance: please report this']),
    ...journal.differences.map((difference) => `the books differ from the journal, please report this: ${difference}`),
    ...[center.registrations, center.parameters].flatMap(({ database, problem, orphans }) => [
      ...(problem ? [`the center's ${database}: ${problem}`] : []),
      ...orphans.map(
        (id) => `${id} is not in the center any more since that was rebuilt; it stays in use until it is removed`,
      ),
    ]),
    ...center.problems,
    ...registrations.flatMap(({ name, held }) => (held === undefined ? [] : [`${name}: its events are kept: ${held}`])),
    ...registrations.flatMap(({ name, obstacle, pendingSince, books: { pending } }) =>
      obstacle ? [`${name}: ${obstacle.reason}${pendingSince ? `; ${pending} wait, since ${pendingSince}` : ''}`] : [],
    ),
  ];
}

function isBalanced({ received, confirmed, pending, parked, expired, deduplicated }: Books): boolean {
  return received === confirmed + pending + parked + expired + deduplicated;
}
