import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { ActionError } from '../result.ts';

/** What archives are read and written in: fewer, larger steps than Node's 64 KiB cost half the time. */
export const CHUNK_BYTES = 1_048_576;

/** What content has to be. */
interface Expected {
  /** Bytes; any number where it is absent. */
  readonly size?: number;
  /** Hexadecimal; one of them. Content published without one is taken as it is. */
  readonly sha256: readonly string[];
}

/** Passes content on while it measures it, and fails at its end with `ARCHIVE_ALTERED` if it is not what it has to be. */
export class CheckedContent extends Transform {
  readonly #key: string;
  readonly #expected: Expected;
  readonly #hash = createHash('sha256');
  #size = 0;
  #sha256: string | undefined;

  /** @param key how the error calls it */
  constructor(key: string, expected: Expected) {
    super({ highWaterMark: CHUNK_BYTES });
    this.#key = key;
    this.#expected = expected;
  }

  /** Known once the content has ended. */
  get sha256(): string {
    if (this.#sha256 === undefined) throw new Error(`${this.#key} has not been read to its end`);
    return this.#sha256;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#hash.update(chunk);
    this.#size += chunk.length;
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    this.#sha256 = this.#hash.digest('hex');
    const { size, sha256 } = this.#expected;
    if (size !== undefined && this.#size !== size) {
      done(this.#altered(`${this.#size} bytes instead of ${size}`));
    } else if (sha256.length > 0 && !sha256.includes(this.#sha256)) {
      done(this.#altered(`SHA-256 ${this.#sha256} instead of ${sha256.at(-1)}`));
    } else done();
  }

  #altered(difference: string): ActionError {
    return new ActionError(
      'ARCHIVE_ALTERED',
      `${this.#key} is torn or was altered: ${difference}. Remove it, or run the step that publishes it again.`,
      { key: this.#key },
    );
  }
}

/** The digests in the text of a `.sha256` file, as `sha256sum` writes them; the newest last. */
export function digestsIn(text: string): string[] {
  return [...text.matchAll(/^([0-9a-f]{64}) [ *]/gm)].map(([, digest]) => digest!);
}

/** A line of a `.sha256` file. */
export function digestLine(sha256: string, key: string): string {
  return `${sha256}  ${key.slice(key.lastIndexOf('/') + 1)}\n`;
}
