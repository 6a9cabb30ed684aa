import { createHash } from 'node:crypto';

/** What is remembered at most; beyond that the oldest is forgotten early. */
const MAX_REMEMBERED = 100_000;

/** Tells copies: messages equal to one that came on the same topic less than a window ago. */
export class Copies {
  readonly #windowNs: bigint;
  /** Digest of topic and body → when it came first (ns), oldest first. */
  readonly #seen = new Map<string, bigint>();

  constructor(windowMs: number) {
    this.#windowNs = BigInt(windowMs) * 1_000_000n;
  }

  /** Whether a message is a copy; one that is not is remembered. */
  isCopy(topic: string, body: Uint8Array, now: bigint): boolean {
    for (const [digest, at] of this.#seen) {
      if (at > now - this.#windowNs && at <= now && this.#seen.size <= MAX_REMEMBERED) break;
      this.#seen.delete(digest);
    }
    const digest = createHash('sha256').update(topic).update('\0').update(body).digest('base64');
    if (this.#seen.has(digest)) return true;
    this.#seen.set(digest, now);
    return false;
  }
}
