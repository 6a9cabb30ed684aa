import type { Logger } from 'pino';
import type { Registration } from '../core/registration.ts';
import type { RegistrationStatus } from '../core/registration-document.ts';
import type { Clock } from '../ports/clock.ts';
import { CenterError, type Documents } from '../ports/documents.ts';
import { changeDocument } from './change-document.ts';

/**
 * Disables a registration of the center whose firings OpenWhisk refuses for good, as OpenWhisk's own alarms do, and says
 * why in its document. Its events stay in the journal, and are fired when it is enabled again.
 *
 * A platform that can't read its CouchDB answers 401 or 404 where nothing is wrong. So one refusal disables nothing: the
 * center must have been there before it and after it, and it must come again.
 */

/** How long the center must have been there. */
const STEADY_MS = 10_000;
/** How long it may take to read and write the document. */
const TIMEOUT_MS = 20_000;

/** Whether the platform's answer will be the same for as long as nobody changes anything. */
function isForGood(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 409 && status !== 429;
}

export interface DisableParts {
  readonly documents: Documents;
  /** Since when the center has been followed without a break, by the clock's elapsed ms; undefined while it is away. */
  readonly connectedSince: () => number | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DisableRegistrations {
  readonly #parts: DisableParts;
  /** By name: since when a registration has been refused although the center was there. */
  readonly #refusedSince = new Map<string, number>();
  readonly #busy = new Set<string>();

  constructor(parts: DisableParts) {
    this.#parts = parts;
  }

  /**
   * To be called for each refusal of a firing; resolves when its consequences are known.
   * A registration without a key of its own is fired with the site's, of whose faults the center knows nothing.
   */
  async refused({ name, auth }: Registration, status: number, reason: string): Promise<void> {
    const { clock, connectedSince } = this.#parts;
    if (auth === undefined || this.#busy.has(name)) return;
    const connected = connectedSince();
    if (!isForGood(status) || connected === undefined) return this.accepted(name);
    this.#busy.add(name);
    try {
      const since = this.#refusedSince.get(name);
      if (since === undefined || since < connected) {
        if (await this.#isCenterThere()) this.#refusedSince.set(name, clock.elapsed());
        else this.accepted(name);
      } else if (clock.elapsed() - since >= STEADY_MS) {
        await this.disable(name, { kind: 'AUTO', statusCode: status, message: reason });
      }
    } finally {
      this.#busy.delete(name);
    }
  }

  /** The feed learns of a cut only after a while. */
  async #isCenterThere(): Promise<boolean> {
    try {
      await this.#parts.documents.identity(AbortSignal.timeout(TIMEOUT_MS));
      return true;
    } catch (error) {
      if (error instanceof CenterError) return false;
      throw error;
    }
  }

  /** To be called when a firing of the registration got through, or the platform did not answer. */
  accepted(name: string): void {
    this.#refusedSince.delete(name);
  }

  /**
   * Writes into the document that the registration is not to be fired, unless it says so already.
   * @returns false: the center is away, so nothing was changed
   */
  async disable(name: string, reason: NonNullable<RegistrationStatus['reason']>): Promise<boolean> {
    return this.#set(name, { active: false, dateChanged: Date.now(), reason });
  }

  /** @returns false: the center is away, so nothing was changed */
  async enable(name: string): Promise<boolean> {
    this.accepted(name);
    return this.#set(name, { active: true, dateChanged: Date.now() });
  }

  async #set(name: string, status: RegistrationStatus): Promise<boolean> {
    const { documents, log } = this.#parts;
    try {
      await changeDocument(
        documents,
        name,
        (current) => current && withStatus(current, status),
        AbortSignal.timeout(TIMEOUT_MS),
      );
      log.warn(
        { registration: name, ...status },
        status.active ? 'enabled' : 'disabled; its events wait in the journal',
      );
      return true;
    } catch (error) {
      if (!(error instanceof CenterError)) throw error;
      log.warn({ registration: name, reason: error.message }, 'its status was not changed: the center is away');
      return false;
    }
  }
}

/** The document with this status; undefined where it stands as wanted. */
function withStatus(document: Readonly<Record<string, unknown>>, status: RegistrationStatus) {
  const { active = true } = (document.status ?? {}) as { active?: boolean };
  return active === status.active ? undefined : { ...document, status };
}
