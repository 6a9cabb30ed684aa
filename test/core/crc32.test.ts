import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32 } from '../../src/core/crc32.ts';

test('is what zlib says of any range of any bytes', () => {
  expect(crc32(Buffer.from('123456789'))).toBe(0xcbf4_3926);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1_000, size: 'max' }), fc.nat(1_000), fc.nat(1_000), (data, a, b) => {
      const [from, to] = [Math.min(a, b, data.length), Math.min(Math.max(a, b), data.length)];
      expect(crc32(data, from, to)).toBe(zlibCrc32(data.subarray(from, to)));
    }),
    { numRuns: 2_000 },
  );
});
