import type { Row, Series } from './catalog.ts';

/**
 * The rows of one request as a record of the write log: the header's length (u32le), the header (JSON: the sequence
 * number of the first row, the count of rows, the series that are new) and per row the series' id (u32le), the time
 * (i64le) and the value (f64le, i64le, u64le, one byte, or a length and UTF-8).
 */
interface Header {
  readonly seq: number;
  readonly rows: number;
  readonly series: Array<Omit<Series, 'tags'> & { readonly tags: Array<[key: string, value: string]> }>;
}

const ROW_BYTES = 12;

/** @param seq the sequence number of the first row; the others follow it */
export function encodeWrite(seq: number, created: readonly Series[], rows: readonly Row[]): Buffer {
  const header: Header = {
    seq,
    rows: rows.length,
    series: created.map((series) => ({
      id: series.id,
      bucket: series.bucket,
      measurement: series.measurement,
      field: series.field,
      type: series.type,
      tags: [...series.tags],
    })),
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
    record.writeBigInt64LE(time, offset + 4);
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

/** Hands each row of a record to `visit`; `typeOf` knows every series, those of the record's header included. */
export function decodeRows(
  record: Buffer,
  typeOf: (series: number) => Series['type'],
  visit: (series: number, time: bigint, value: Row['value']) => void,
): void {
  for (let offset = 4 + record.readUInt32LE(0); offset < record.length; ) {
    const series = record.readUInt32LE(offset);
    const time = record.readBigInt64LE(offset + 4);
    offset += ROW_BYTES;
    switch (typeOf(series)) {
      case 'float':
        visit(series, time, record.readDoubleLE(offset));
        offset += 8;
        break;
      case 'integer':
        visit(series, time, record.readBigInt64LE(offset));
        offset += 8;
        break;
      case 'unsigned':
        visit(series, time, record.readBigUInt64LE(offset));
        offset += 8;
        break;
      case 'boolean':
        visit(series, time, record.readUInt8(offset) === 1);
        offset += 1;
        break;
      case 'string': {
        const end = offset + 4 + record.readUInt32LE(offset);
        visit(series, time, record.toString('utf8', offset + 4, end));
        offset = end;
      }
    }
  }
}
