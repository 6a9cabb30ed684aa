import { secretPlace } from '../core/parameters.ts';
import { withoutPlainSecrets } from '../core/registration-document.ts';
import { type Place, type Seal, secretSchema } from '../core/sealed.ts';
import { changeDocument } from '../flows/change-document.ts';
import type { StoredDocument } from '../ports/documents.ts';
import { allDocuments, type Center, withCenter } from './center.ts';

type Members = Readonly<Record<string, unknown>>;

/** `fogwhisk reseal`: seals every secret of the center with the current key, so that the previous one can go. */
export async function reseal(options: { config?: string }): Promise<void> {
  const registrations = await withCenter(options, 'topic_listeners', (center) =>
    resealAll(center, (document) => {
      const sealed = withoutPlainSecrets(document, center.seal);
      return resealed(sealed, (field) => ({ document: document._id, field }), center.seal);
    }),
  );
  const parameters = await withCenter(options, 'parameters', (center) =>
    resealAll(center, (document) => {
      const secrets = (document.secrets ?? {}) as Members;
      const fresh = resealed(secrets, (name) => secretPlace(document._id, name), center.seal);
      return fresh === secrets ? document : { ...document, secrets: fresh };
    }),
  );
  process.stdout.write(`${registrations + parameters} documents sealed anew\n`);
}

/** Returns how many documents changed. */
async function resealAll(center: Center, change: (document: StoredDocument) => Members): Promise<number> {
  let count = 0;
  for (const { _id } of await allDocuments(center)) {
    await changeDocument(
      center.documents,
      _id,
      (current) => {
        const fresh = current && change(current);
        if (fresh === current) return undefined;
        count += 1;
        return fresh;
      },
      center.signal,
    );
  }
  return count;
}

/** The same members where none is sealed with an older key. */
function resealed<T extends Members>(members: T, place: (name: string) => Place, seal: Seal): T {
  const fresh: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(members)) {
    const secret = secretSchema.safeParse(value);
    if (!secret.success || !('sealed' in secret.data) || seal.isCurrent(secret.data)) continue;
    fresh[name] = seal.seal(seal.open(secret.data, place(name)), place(name));
  }
  return Object.keys(fresh).length === 0 ? members : { ...members, ...fresh };
}
