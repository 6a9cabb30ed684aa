import { CenterError, type Change, type Documents, type StoredDocument } from '../ports/documents.ts';

/** How often a change is tried that others were faster than. */
const MAX_TRIES = 10;

type NewDocument = Readonly<Record<string, unknown>>;

/**
 * Reads a document, changes it and stores it, again if somebody else changed it meanwhile. A missing database is made.
 * @param change what to store instead, or undefined to leave it; may throw. `{_deleted: true}` deletes it
 * @throws CenterError
 */
export async function changeDocument(
  database: Documents,
  id: string,
  change: (current: StoredDocument | undefined) => NewDocument | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    const latest = await readOrMakeDatabase(database, id, signal);
    const current = latest?.document;
    const changed = change(current);
    const isDeletedAlready = latest !== undefined && current === undefined;
    if (!changed || (changed._deleted === true && isDeletedAlready)) return;
    const document = { ...changed, _id: id, ...(current && { _rev: current._rev }) };
    if (await database.write(document, signal)) return;
  }
  throw new CenterError(`${id} is being changed by others all the time`);
}

async function readOrMakeDatabase(database: Documents, id: string, signal: AbortSignal): Promise<Change | undefined> {
  try {
    return (await database.read([id], signal))[0];
  } catch (error) {
    if (!(error instanceof CenterError) || error.status !== 404) throw error;
    await database.prepare(signal);
    return undefined;
  }
}
