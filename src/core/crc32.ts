import { crc32 as zlibCrc32 } from 'node:zlib';

/** From this length on zlib is quicker; below it the call alone takes longer than the work. */
const ZLIB_FROM_BYTES = 400;

/** The remainders of each byte's value, 0 to 7 bytes further on, one table after the other. */
const TABLES = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb8_8320 : remainder >>> 1;
  TABLES[byte] = remainder;
}
for (let at = 256; at < TABLES.length; at++) {
  const before = TABLES[at - 256]!;
  TABLES[at] = (before >>> 8) ^ TABLES[before & 0xff]!;
}

/** CRC-32 of the bytes `from` up to `to` (ISO 3309, as zlib's). */
export function crc32(data: Uint8Array, from = 0, to = data.length): number {
  if (to - from >= ZLIB_FROM_BYTES) return zlibCrc32(data.subarray(from, to));
  let crc = -1;
  let at = from;
  for (; at + 8 <= to; at += 8) {
    const first = crc ^ (data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24));
    crc =
      TABLES[1792 + (first & 0xff)]! ^
      TABLES[1536 + ((first >>> 8) & 0xff)]! ^
      TABLES[1280 + ((first >>> 16) & 0xff)]! ^
      TABLES[1024 + (first >>> 24)]! ^
      TABLES[768 + data[at + 4]!]! ^
      TABLES[512 + data[at + 5]!]! ^
      TABLES[256 + data[at + 6]!]! ^
      TABLES[data[at + 7]!]!;
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ TABLES[(crc ^ data[at]!) & 0xff]!;
  return ~crc >>> 0;
}
