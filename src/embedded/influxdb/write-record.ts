import type { Series, Value, ValueType } from './catalog.ts';

/**
 * The rows of one request as a record of the write log: the header's length (u32le), the header (JSON: the sequence
 * number of the first row, the count of rows, the series that are new) and per row the series' id (u32le), the type
 * (u8), the time (i64le) and the value (f64le, i64le, u64le, one byte, or a length and UTF-8). A row says its type so
 * that it can be read when its series is gone.
 */
interface Header {
  readonly seq: number;
  readonly rows: number;
  readonly series: Array<Omit<Series, 'tags'> & { readonly tags: Array<[key: string, value: string]> }>;
}

const TYPES: readonly ValueType[] = ['float', 'integer', 'unsigned', 'string', 'boolean'];
const ROW_BYTES = 13;

/** Room for the rows of a request; what a larger one needed is given back. */
const USUAL_BYTES = 256 * 1024;

/** The rows of a request on their way into a record. */
export class RowEncoder {
  #buffer = Buffer.allocUnsafe(USUAL_BYTES);
  #bytes = 0;
  #rows = 0;

  /** How many there are. */
  get count(): number {
    return this.#rows;
  }

  /** Lets go of the rows. */
  clear(): void {
    if (this.#buffer.length > USUAL_BYTES) this.#buffer = Buffer.allocUnsafe(USUAL_BYTES);
    this.#bytes = 0;
    this.#rows = 0;
  }

  add({ id, type }: Series, time: bigint, value: Value): void {
    const end = this.#bytes + ROW_BYTES + (typeof value === 'string' ? 4 + Buffer.byteLength(value) : 8);
    if (end > this.#buffer.length) this.#grow(end);
    const buffer = this.#buffer;
    buffer.writeUInt32LE(id, this.#bytes);
    buffer.writeUInt8(TYPES.indexOf(type), this.#bytes + 4);
    buffer.writeBigInt64LE(time, this.#bytes + 5);
    const offset = this.#bytes + ROW_BYTES;
    if (typeof value === 'number') this.#bytes = buffer.writeDoubleLE(value, offset);
    else if (typeof value === 'bigint') this.#bytes = buffer.writeBigUInt64LE(BigInt.asUintN(64, value), offset);
    else if (typeof value === 'boolean') this.#bytes = buffer.writeUInt8(value ? 1 : 0, offset);
    else {
      const length = buffer.write(value, offset + 4);
      this.#bytes = buffer.writeUInt32LE(length, offset) + length;
    }
    this.#rows++;
  }

  /**
   * A record of the rows since {@link clear}.
   * @param seq the sequence number of the first row; the others follow it
   */
  record(seq: number, created: readonly Series[]): Buffer {
    const header: Header = {
      seq,
      rows: this.#rows,
      series: created.map(({ id, bucket, measurement, field, type, tags }) => {
        return { id, bucket, measurement, field, type, tags: [...tags] };
      }),
    };
    const json = Buffer.from(JSON.stringify(header));
    const record = Buffer.allocUnsafe(4 + json.length + this.#bytes);
    record.writeUInt32LE(json.length, 0);
    json.copy(record, 4);
    this.#buffer.copy(record, 4 + json.length, 0, this.#bytes);
    return record;
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafe(2 * bytes);
    this.#buffer.copy(larger, 0, 0, this.#bytes);
    this.#buffer = larger;
  }
}

/** The header of a record: enough to know whether its rows are needed. */
export function decodeHeader(record: Buffer): { seq: number; rows: number; created: Series[] } {
  const header = JSON.parse(record.toString('utf8', 4, 4 + record.readUInt32LE(0))) as Header;
  const created = header.series.map((series) => ({ ...series, tags: new Map(series.tags) }));
  return { seq: header.seq, rows: header.rows, created };
}

/** Hands each row of a record to `visit`, in the order of writing. */
export function decodeRows(
  record: Buffer,
  visit: (series: number, type: ValueType, time: bigint, value: Value) => void,
): void {
  for (let offset = 4 + record.readUInt32LE(0); offset < record.length; ) {
    const type = TYPES[record.readUInt8(offset + 4)]!;
    const { value, end } = decodeValue(record, type, offset + ROW_BYTES);
    visit(record.readUInt32LE(offset), type, record.readBigInt64LE(offset + 5), value);
    offset = end;
  }
}

function decodeValue(record: Buffer, type: ValueType, offset: number): { value: Value; end: number } {
  switch (type) {
    case 'float':
      return { value: record.readDoubleLE(offset), end: offset + 8 };
    case 'integer':
      return { value: record.readBigInt64LE(offset), end: offset + 8 };
    case 'unsigned':
      return { value: record.readBigUInt64LE(offset), end: offset + 8 };
    case 'boolean':
      return { value: record.readUInt8(offset) === 1, end: offset + 1 };
    case 'string': {
      const end = offset + 4 + record.readUInt32LE(offset);
      return { value: record.toString('utf8', offset + 4, end), end };
    }
  }
}
