import type { Row, Series, ValueType } from './catalog.ts';

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

/** @param seq the sequence number of the first row; the others follow it */
export function encodeWrite(seq: number, created: readonly Series[], rows: readonly Row[]): Buffer {
  const header: Header = {
    seq,
    rows: rows.length,
    series: created.map(({ id, bucket, measurement, field, type, tags }) => {
      return { id, bucket, measurement, field, type, tags: [...tags] };
    }),
  };
  const json = Buffer.from(JSON.stringify(header));
  let bytes = 4 + json.length;
  for (const { value } of rows) bytes += ROW_BYTES + valueBytes(value);
  const record = Buffer.allocUnsafe(bytes);
  record.writeUInt32LE(json.length, 0);
  json.copy(record, 4);
  let offset = 4 + json.length;
  for (const { series, time, value } of rows) {
    record.writeUInt32LE(series.id, offset);
    record.writeUInt8(TYPES.indexOf(series.type), offset + 4);
    record.writeBigInt64LE(time, offset + 5);
    offset += ROW_BYTES;
    if (typeof value === 'number') offset = record.writeDoubleLE(value, offset);
    else if (typeof value === 'bigint') offset = record.writeBigUInt64LE(BigInt.asUintN(64, value), offset);
    else if (typeof value === 'boolean') offset = record.writeUInt8(value ? 1 : 0, offset);
    else {
      const length = record.write(value, offset + 4);
      offset = record.writeUInt32LE(length, offset) + length;
    }
  }
  return record;
}

function valueBytes(value: Row['value']): number {
  if (typeof value === 'string') return 4 + Buffer.byteLength(value);
  return typeof value === 'boolean' ? 1 : 8;
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
  visit: (series: number, type: ValueType, time: bigint, value: Row['value']) => void,
): void {
  for (let offset = 4 + record.readUInt32LE(0); offset < record.length; ) {
    const type = TYPES[record.readUInt8(offset + 4)]!;
    const { value, end } = decodeValue(record, type, offset + ROW_BYTES);
    visit(record.readUInt32LE(offset), type, record.readBigInt64LE(offset + 5), value);
    offset = end;
  }
}

function decodeValue(record: Buffer, type: ValueType, offset: number): { value: Row['value']; end: number } {
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
