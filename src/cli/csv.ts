/** Reading CSV as RFC 4180 has it: quoted fields, doubled quotes, CRLF or LF, a byte order mark. */

/** A longer line is no CSV; most likely a quote was never closed. */
const MAX_LINE_CHARACTERS = 1024 * 1024;

export class CsvError extends Error {
  /** Where the line starts in the file, counted from 1. */
  readonly line: number;
  constructor(line: number, problem: string) {
    super(problem);
    this.line = line;
  }
}

export interface CsvRow {
  readonly line: number;
  readonly cells: readonly string[];
}

/**
 * The rows of a CSV text, which may come in pieces of any size; empty lines are left out.
 * @throws CsvError for a line that is too long and a quoted field that does not end
 */
export async function* readCsv(source: AsyncIterable<Uint8Array>): AsyncGenerator<CsvRow> {
  const decoder = new TextDecoder('utf-8');
  let pending = '';
  let line = 1;
  const rows = function* (text: string, isLast: boolean): Generator<CsvRow> {
    pending += text;
    let from = 0;
    for (
      let end = lineEnd(pending, from);
      end >= 0 || (isLast && from < pending.length);
      end = lineEnd(pending, from)
    ) {
      const text = pending.slice(from, end < 0 ? undefined : end);
      if (text.length > MAX_LINE_CHARACTERS) throw tooLong(line);
      if (text !== '' && text !== '\r')
        yield { line, cells: splitCells(text.endsWith('\r') ? text.slice(0, -1) : text, line) };
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) line += 1;
      line += 1;
      from = end < 0 ? pending.length : end + 1;
    }
    pending = pending.slice(from);
    if (pending.length > MAX_LINE_CHARACTERS) throw tooLong(line);
  };
  for await (const chunk of source) yield* rows(decoder.decode(chunk, { stream: true }), false);
  yield* rows(decoder.decode(), true);
}

/** Index of the line feed that ends the line beginning at `from`: the first one outside quotes; -1 if it has not come. */
function lineEnd(text: string, from: number): number {
  for (let end = text.indexOf('\n', from); end >= 0; end = text.indexOf('\n', end + 1)) {
    let quotes = 0;
    for (let at = text.indexOf('"', from); at >= 0 && at < end; at = text.indexOf('"', at + 1)) quotes += 1;
    if (quotes % 2 === 0) return end;
  }
  return -1;
}

function splitCells(text: string, line: number): string[] {
  if (!text.includes('"')) return text.split(',');
  const cells: string[] = [];
  for (let at = 0; at <= text.length; at++) {
    if (text[at] !== '"') {
      const end = text.indexOf(',', at);
      cells.push(text.slice(at, end < 0 ? undefined : end));
      at = end < 0 ? text.length : end;
      continue;
    }
    let cell = '';
    for (;;) {
      const quote = text.indexOf('"', at + 1);
      if (quote < 0) throw new CsvError(line, 'a quoted field does not end');
      cell += text.slice(at + 1, quote);
      at = quote + 1;
      if (text[at] !== '"') break;
      cell += '"';
    }
    if (at < text.length && text[at] !== ',')
      throw new CsvError(line, 'a quoted field is followed by more than a comma');
    cells.push(cell);
  }
  return cells;
}

function tooLong(line: number): CsvError {
  return new CsvError(line, `the line is longer than ${MAX_LINE_CHARACTERS} characters; is a quote not closed?`);
}
