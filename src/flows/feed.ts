import {
  documentKey,
  documentProblems,
  type PlainDocument,
  withoutPlainSecrets,
} from '../core/registration-document.ts';
import type { Seal, Secrets } from '../core/sealed.ts';
import { isSameSecret } from '../core/token.ts';
import type { Documents, StoredDocument } from '../ports/documents.ts';
import type { TriggerKeys } from '../ports/trigger-keys.ts';
import { changeDocument } from './change-document.ts';

/**
 * What feed actions do with the registrations in the center. A registration belongs to the OpenWhisk key that made it
 * and that fires it; nobody else sees, changes or removes it, but the operator.
 *
 * The predecessor's action sends no key when it removes. So what was made its way, without the key in the header, is
 * removed its way, by anybody who reaches the provider; what was made with the key in the header only with that key.
 */

export type Caller =
  | { readonly kind: 'operator' }
  /** @see Authorization: Basic */
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'anonymous' };

export interface FeedParts {
  readonly documents: Documents;
  /** Of the shared keys. */
  readonly seal: Seal;
  readonly secrets: Secrets;
  readonly keys: TriggerKeys;
}

/** Why a caller did not get what it asked for, for the caller. */
export class FeedRefusal extends Error {
  readonly code: 'INVALID' | 'FORBIDDEN' | 'NOT_FOUND' | 'CONFLICT' | 'PLATFORM_AWAY';

  constructor(code: FeedRefusal['code'], message: string) {
    super(message);
    this.name = 'FeedRefusal';
    this.code = code;
  }
}

const TIMEOUT_MS = 20_000;

export class Feed {
  readonly #parts: FeedParts;

  constructor(parts: FeedParts) {
    this.#parts = parts;
  }

  /**
   * Stores the registration of a trigger for the key that made it. The same one again is no error; another one of the
   * same name is.
   * @param trigger `/NAMESPACE/NAME`; the namespace `_` is that of the key
   * @param fields of the document, without secrets but the login of `url`
   * @param isSame whether a registration that is there says the same
   * @throws FeedRefusal, FogwhiskError, CenterError
   */
  async create(
    trigger: string,
    fields: Readonly<Record<string, unknown>>,
    key: string,
    isSame: (current: StoredDocument) => boolean,
    { isKeyless = false } = {},
  ): Promise<void> {
    const id = await this.#resolved(trigger, key);
    const [username, ...password] = key.split(':');
    const sealed = this.#checked({
      ...fields,
      _id: id,
      trigger: id,
      username,
      password: password.join(':'),
      ...(isKeyless && { removableBy: 'anyone' }),
    });
    await this.#change(id, (current) => {
      if (current) {
        this.#checkOwner(current, { kind: 'key', key });
        if (!isSame(current)) throw new FeedRefusal('CONFLICT', `${id} is registered already, with other parameters`);
      }
      return sealed;
    });
  }

  /** @throws FeedRefusal, CenterError */
  async read(trigger: string, caller: Caller): Promise<StoredDocument> {
    const id = caller.kind === 'key' ? await this.#resolved(trigger, caller.key) : trigger;
    const [change] = await this.#parts.documents.read([id], AbortSignal.timeout(TIMEOUT_MS));
    return this.#checkOwner(change?.document, caller);
  }

  /** Changes a registration. @throws FeedRefusal, FogwhiskError, CenterError */
  async update(trigger: string, caller: Caller, change: (current: StoredDocument) => PlainDocument): Promise<void> {
    const id = caller.kind === 'key' ? await this.#resolved(trigger, caller.key) : trigger;
    await this.#change(id, (current) => this.#checked(change(this.#checkOwner(current, caller))));
  }

  /** @throws FeedRefusal, CenterError */
  async remove(trigger: string, caller: Caller): Promise<void> {
    if (caller.kind === 'anonymous') return this.#removeKeyless(trigger);
    const id = caller.kind === 'key' ? await this.#resolved(trigger, caller.key) : trigger;
    await this.#change(id, (current) => {
      this.#checkOwner(current, caller);
      return { _deleted: true };
    });
  }

  async #removeKeyless(trigger: string): Promise<void> {
    const id = trigger.startsWith('/_/') ? await this.#onlyKeyless(trigger.slice(2)) : trigger;
    await this.#change(id, (current) => {
      if (!current || !isKeyless(current)) this.#checkOwner(current, { kind: 'anonymous' });
      return { _deleted: true };
    });
  }

  /** Without a key there is nobody whose namespace `_` could be: the name must say it all. */
  async #onlyKeyless(ending: string): Promise<string> {
    const { documents } = this.#parts;
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const ids = [...(await documents.revisions(signal)).keys()].filter((id) => id.endsWith(ending));
    const keyless = (await documents.read(ids, signal)).filter(({ document }) => document && isKeyless(document));
    const [only, ...others] = keyless;
    if (!only || others.length > 0) {
      throw new FeedRefusal('NOT_FOUND', `${keyless.length} namespaces have ${ending}: name one, or send the key`);
    }
    return only.id;
  }

  #change(id: string, change: Parameters<typeof changeDocument>[2]): Promise<void> {
    return changeDocument(this.#parts.documents, id, change, AbortSignal.timeout(TIMEOUT_MS));
  }

  #checked(document: PlainDocument): PlainDocument {
    const problems = documentProblems(document);
    if (problems.length > 0) throw new FeedRefusal('INVALID', problems.join('; '));
    return withoutPlainSecrets(document, this.#parts.seal);
  }

  /** The full name of a trigger that the key may use. */
  async #resolved(trigger: string, key: string): Promise<string> {
    const resolved = await this.#parts.keys.resolve(trigger, key);
    switch (resolved.kind) {
      case 'allowed':
        return resolved.trigger;
      case 'refused':
        throw new FeedRefusal('FORBIDDEN', `OpenWhisk refuses this key for ${trigger}`);
      case 'unavailable':
        throw new FeedRefusal('PLATFORM_AWAY', "OpenWhisk can't be asked about the key now");
    }
  }

  /** To those whose it is not, a registration is as one that does not exist. */
  #checkOwner(document: StoredDocument | undefined, caller: Caller): StoredDocument {
    if (caller.kind === 'anonymous')
      throw new FeedRefusal('FORBIDDEN', 'the OpenWhisk key is needed, as Authorization: Basic');
    if (document && caller.kind === 'operator') return document;
    const owner = document && documentKey(document, this.#parts.secrets);
    if (!document || owner === undefined || caller.kind !== 'key' || !isSameSecret(owner, caller.key)) {
      throw new FeedRefusal('NOT_FOUND', 'no registration of this name was made with this key');
    }
    return document;
  }
}

/** Made by an action that sends no key when it removes: the predecessor's. */
function isKeyless(document: StoredDocument): boolean {
  return document.removableBy === 'anyone' || typeof document.password === 'string';
}
