import { deflateSync, inflateSync } from 'node:zlib';

/**
 * JSON in Erlang's external term format (https://www.erlang.org/doc/apps/erts/erl_ext_dist.html) and in its written
 * form: CouchDB's bookmarks are the one, the values in its error messages the other.
 */

const VERSION = 131;
const COMPRESSED = 80;
const MAX_TERM_BYTES = 1024 * 1024;

/** `term_to_binary(Term, [compressed])` of `[{Name, Json}, …]`, in base64url. */
export function encodeProperties(properties: Array<[name: string, value: unknown]>): string {
  const term = Buffer.concat([
    list(properties.length),
    ...properties.map(([name, value]) => Buffer.concat([tuple(2), atom(name), encode(value)])),
    NIL,
  ]);
  const deflated = deflateSync(term);
  if (deflated.length + 5 >= term.length) return Buffer.concat([Buffer.of(VERSION), term]).toString('base64url');
  const header = Buffer.of(VERSION, COMPRESSED, 0, 0, 0, 0);
  header.writeUInt32BE(term.length, 2);
  return Buffer.concat([header, deflated]).toString('base64url');
}

/** The reverse. @throws Error for anything else */
export function decodeProperties(text: string): Map<string, unknown> {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes[0] !== VERSION) throw new RangeError('no term');
  const isCompressed = bytes[1] === COMPRESSED;
  const term = isCompressed ? inflateSync(bytes.subarray(6), { maxOutputLength: MAX_TERM_BYTES }) : bytes.subarray(1);
  return new Map(new Decoder(term).term(0) as Array<[string, unknown]>);
}

const NIL = Buffer.of(106);
const tuple = (arity: number) => Buffer.of(104, arity);
const atom = (name: string) => Buffer.concat([Buffer.of(100, 0, name.length), Buffer.from(name, 'latin1')]);

function list(length: number): Buffer {
  const header = Buffer.alloc(5, 108);
  header.writeUInt32BE(length, 1);
  return header;
}

function encode(value: unknown): Buffer {
  if (value === null || typeof value === 'boolean') return atom(String(value));
  if (typeof value === 'number') return encodeNumber(value);
  if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    const header = Buffer.alloc(5, 109);
    header.writeUInt32BE(bytes.length, 1);
    return Buffer.concat([header, bytes]);
  }
  if (Array.isArray(value)) {
    if (value.length === 0) return NIL;
    // Erlang takes a list of small integers for a string.
    if (value.length <= 0xffff && value.every((item) => Number.isInteger(item) && item >= 0 && item <= 255)) {
      return Buffer.concat([Buffer.of(107, value.length >> 8, value.length & 255), Buffer.from(value as number[])]);
    }
    return Buffer.concat([list(value.length), ...value.map(encode), NIL]);
  }
  const members = Object.entries(value as object);
  const pairs = members.map(([key, member]) => Buffer.concat([tuple(2), encode(key), encode(member)]));
  return Buffer.concat([tuple(1), ...(pairs.length > 0 ? [list(pairs.length), ...pairs] : []), NIL]);
}

function encodeNumber(value: number): Buffer {
  if (Number.isInteger(value) && value >= 0 && value <= 255) return Buffer.of(97, value);
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 27) {
    const integer = Buffer.alloc(5, 98);
    integer.writeInt32BE(value, 1);
    return integer;
  }
  const float = Buffer.alloc(9, 70);
  float.writeDoubleBE(value, 1);
  return float;
}

class Decoder {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  term(depth: number): unknown {
    if (depth > 100) throw new RangeError('a term is nested too deeply');
    const tag = this.#unsigned(1);
    switch (tag) {
      case 97:
        return this.#unsigned(1);
      case 98:
        return this.#take(4).readInt32BE();
      case 70:
        return this.#take(8).readDoubleBE();
      case 100:
        return atomValue(this.#take(this.#unsigned(2)).toString('latin1'));
      case 109:
        return this.#take(this.#unsigned(4)).toString('utf8');
      case 106:
        return [];
      case 107:
        return [...this.#take(this.#unsigned(2))];
      case 108: {
        const items = this.#terms(this.#unsigned(4), depth);
        this.term(depth + 1);
        return items;
      }
      case 104: {
        const items = this.#terms(this.#unsigned(1), depth);
        return items.length === 1 ? Object.fromEntries(items[0] as Array<[string, unknown]>) : items;
      }
      default:
        throw new RangeError(`an unknown term ${tag}`);
    }
  }

  #terms(count: number, depth: number): unknown[] {
    if (count > this.#bytes.length) throw new RangeError('a term is cut off');
    return Array.from({ length: count }, () => this.term(depth + 1));
  }

  #unsigned(bytes: number): number {
    return this.#take(bytes).readUIntBE(0, bytes);
  }

  #take(bytes: number): Buffer {
    const taken = this.#bytes.subarray(this.#at, this.#at + bytes);
    if (taken.length < bytes) throw new RangeError('a term is cut off');
    this.#at += bytes;
    return taken;
  }
}

function atomValue(name: string): unknown {
  if (name === 'null') return null;
  return name === 'true' || name === 'false' ? name === 'true' : name;
}

/** A JSON value as Erlang writes it: strings as `<<"text">>` if `readable`, else as bytes. */
export function written(value: unknown, readable = false): string {
  if (typeof value === 'string') {
    return readable ? `<<${JSON.stringify(value)}>>` : `<<${Buffer.from(value).join(',')}>>`;
  }
  if (Array.isArray(value)) return `[${value.map((item) => written(item, readable)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([k, v]) => `{${written(k, readable)},${written(v, readable)}}`);
    return `{[${pairs.join(',')}]}`;
  }
  return String(value);
}
