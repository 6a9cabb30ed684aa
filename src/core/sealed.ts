import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { FogwhiskError } from './errors.ts';

/** Secrets as they stand in CouchDB, where everybody who may read the database sees them. */

const IV_BYTES = 12; // what GCM is made for (NIST SP 800-38D, 8.2)
const TAG_BYTES = 16;
const MAX_SEALED_CHARACTERS = 100_000;

/** `KEY.DATA`: which key sealed it, and base64url of nonce, ciphertext and tag. */
const sealedSchema = z.strictObject({
  sealed: z
    .string()
    .max(MAX_SEALED_CHARACTERS)
    .regex(/^[0-9a-f]{8}\.[A-Za-z0-9_-]+$/, 'is no sealed value'),
});

/** The name under which each site has the secret itself, in its files or its environment. */
const secretRefSchema = z.strictObject({ secretRef: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/) });

export const secretSchema = z.union([sealedSchema, secretRefSchema], 'must be {"sealed": …} or {"secretRef": NAME}');

export type Sealed = z.output<typeof sealedSchema>;
export type Secret = z.output<typeof secretSchema>;

/** Where a sealed value stands: it can't be opened in another document or field. */
export interface Place {
  readonly document: string;
  readonly field: string;
}

interface Key {
  readonly id: string;
  readonly bytes: Buffer;
}

/** Seals with AES-256-GCM under the first of the shared keys, and opens what any of them sealed. */
export class Seal {
  readonly #keys: readonly Key[];

  /** @param sharedKeys text of any length, the current one first; for a rotation the previous one after it */
  constructor(sharedKeys: readonly string[]) {
    this.#keys = sharedKeys.map((text) => ({
      id: derived(text, 'fogwhisk: name of a sealing key', 4).toString('hex'),
      bytes: derived(text, 'fogwhisk: sealing key', 32),
    }));
  }

  /** @throws FogwhiskError `SHARED_KEY_MISSING` */
  seal(text: string, place: Place): Sealed {
    const [key] = this.#keys;
    if (!key) throw new FogwhiskError('SHARED_KEY_MISSING', { ...place });
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key.bytes, iv).setAAD(placeBytes(place));
    const data = Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return { sealed: `${key.id}.${data.toString('base64url')}` };
  }

  /** @throws FogwhiskError `SEALING_KEY_UNKNOWN`, `SEALED_VALUE_DAMAGED` */
  open({ sealed }: Sealed, place: Place): string {
    const [id, encoded] = sealed.split('.') as [string, string];
    const key = this.#keys.find((each) => each.id === id);
    if (!key) throw new FogwhiskError('SEALING_KEY_UNKNOWN', { ...place, key: id });
    const data = Buffer.from(encoded, 'base64url');
    try {
      const decipher = createDecipheriv('aes-256-gcm', key.bytes, data.subarray(0, IV_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(placeBytes(place)).setAuthTag(data.subarray(-TAG_BYTES));
      const text = decipher.update(data.subarray(IV_BYTES, -TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString('utf8');
    } catch (error) {
      throw new FogwhiskError('SEALED_VALUE_DAMAGED', { ...place }, { cause: error });
    }
  }

  /** Whether it was sealed with the current key; a rotation is over when all were. */
  isCurrent({ sealed }: Sealed): boolean {
    return sealed.startsWith(`${this.#keys[0]?.id}.`);
  }
}

/**
 * What a site seals and opens with. Where the CouchDB is its own, nobody shares its secrets, and its own key does.
 * @param sharedKeys those of the configuration, if it has any
 * @param siteKey the site's own, with which its files are sealed
 */
export function siteSeals(
  sharedKeys: readonly string[] | undefined,
  siteKey: string,
  { isOwnCouchdb }: { readonly isOwnCouchdb: boolean },
): { readonly writes: Seal; readonly reads: Seal } {
  const shared = sharedKeys ?? (isOwnCouchdb ? [siteKey] : []);
  // What it seals for its own disk outlives the shared keys.
  return { writes: new Seal(shared), reads: new Seal([siteKey, ...shared]) };
}

/** Where secrets are had from: opened, or looked up at this site by their name. */
export interface Secrets {
  readonly seal: Seal;
  /** The site's own secret of this name. */
  readonly named: (name: string) => string | undefined;
}

/** @throws FogwhiskError `SEALING_KEY_UNKNOWN`, `SEALED_VALUE_DAMAGED`, `SECRET_UNKNOWN` */
export function revealed(secret: Secret, { seal, named }: Secrets, place: Place): string {
  if ('sealed' in secret) return seal.open(secret, place);
  const text = named(secret.secretRef);
  if (text === undefined) throw new FogwhiskError('SECRET_UNKNOWN', { ...place, name: secret.secretRef });
  return text;
}

function derived(text: string, use: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', text, '', use, bytes));
}

function placeBytes({ document, field }: Place): Buffer {
  return Buffer.from(`${document}\0${field}`);
}
