import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readCsv } from '../../src/cli/csv.ts';

async function cells(text: string | Uint8Array, pieceBytes = 1_000_000): Promise<string[][]> {
  const bytes = Buffer.from(text);
  const pieces = async function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  };
  const rows: string[][] = [];
  for await (const row of readCsv(pieces())) rows.push([...row.cells]);
  return rows;
}

test('plain lines, with LF, CRLF, a byte order mark, and with or without a last line feed', async () => {
  expect(await cells('a,b\n1,2\n')).toEqual([
    ['a', 'b'],
    ['1', '2'],
  ]);
  expect(await cells('\ufeffa,b\r\n\r\n1,\r\n,2')).toEqual([
    ['a', 'b'],
    ['1', ''],
    ['', '2'],
  ]);
  expect(await cells('')).toEqual([]);
});

test('quoted fields hold commas, quotes and line feeds', async () => {
  expect(await cells('"a,1","b ""x""","c\nd",\n"",e')).toEqual([
    ['a,1', 'b "x"', 'c\nd', ''],
    ['', 'e'],
  ]);
});

test('what is written quoted is read back, however the bytes are cut', async () => {
  const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', 'é', '€', ' ') });
  const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(table, fc.integer({ min: 1, max: 7 }), async (rows, pieceBytes) => {
      const text = rows.map((row) => row.map((value) => `"${value.replaceAll('"', '""')}"`).join(',')).join('\n');
      expect(await cells(text, pieceBytes)).toEqual(rows);
    }),
  );
});

test('errors name the line', async () => {
  await expect(cells('a\n"b\n\nc"\n"d')).rejects.toMatchObject({ line: 5, message: 'a quoted field does not end' });
  await expect(cells('a\n"b"c')).rejects.toMatchObject({ line: 2 });
  await expect(cells(`a\n${'x'.repeat(1024 * 1024 + 1)}`, 65_536)).rejects.toMatchObject({ line: 2 });
});
