import type { ParkedRow } from '../ports/journal.ts';
import { askProvider } from './provider-client.ts';

export interface ParkedOptions {
  readonly config?: string;
  readonly registration?: string;
  readonly code?: string;
  readonly body?: string;
}

type Listed = ParkedRow & { receivedAt: string };

/** `fogwhisk parked list`: parked messages, oldest first. */
export async function listParked(options: ParkedOptions): Promise<void> {
  const { count, parked } = await askProvider<{ count: number; parked: Listed[] }>(
    options,
    `/parked?limit=1000${filterOf(options, '&')}`,
  );
  for (const { id, receivedAt, registration, topic, bytes, reason } of parked) {
    process.stdout.write(
      `${id}  ${receivedAt}  ${registration || '-'}  ${topic}  ${bytes} bytes  ${reason.code}: ${reason.message}\n`,
    );
  }
  process.stdout.write(`${parked.length} shown, ${count} parked\n`);
}

/** `fogwhisk parked show ID`: one message with its body. */
export async function showParked(id: string, options: ParkedOptions): Promise<void> {
  process.stdout.write(`${JSON.stringify(await askProvider(options, `/parked/${encodeURIComponent(id)}`), null, 2)}\n`);
}

/** `fogwhisk parked redrive [ID]`: fires one again, mended if a body is given, or all that a filter names. */
export async function redriveParked(id: string | undefined, options: ParkedOptions): Promise<void> {
  const path =
    id === undefined ? `/parked/redrive${filterOf(options, '?')}` : `/parked/${encodeURIComponent(id)}/redrive`;
  const body = options.body === undefined ? {} : { body: JSON.stringify({ body: options.body }) };
  const { redriven } = await askProvider<{ redriven: number }>(options, path, { method: 'POST', ...body });
  process.stdout.write(`${redriven} fired again\n`);
}

/** `fogwhisk parked delete [ID]`: deletes one, or all that a filter names; they count as expired. */
export async function deleteParked(id: string | undefined, options: ParkedOptions): Promise<void> {
  const path = id === undefined ? `/parked${filterOf(options, '?')}` : `/parked/${encodeURIComponent(id)}`;
  const { deleted } = await askProvider<{ deleted: number }>(options, path, { method: 'DELETE' });
  process.stdout.write(`${deleted} deleted\n`);
}

function filterOf({ registration, code }: ParkedOptions, first: '?' | '&'): string {
  const query = new URLSearchParams({
    ...(registration !== undefined && { registration }),
    ...(code !== undefined && { code }),
  });
  return query.size > 0 ? `${first}${query}` : '';
}
