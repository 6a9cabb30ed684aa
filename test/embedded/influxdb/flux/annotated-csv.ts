/** Annotated CSV taken apart, to compare two servers' answers. */

export interface AnnotatedTable {
  readonly datatypes: readonly string[];
  readonly groups: readonly string[];
  readonly defaults: readonly string[];
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** The tables in their order; those of different results in the order of the results' names. */
export function parseAnnotatedCsv(text: string): AnnotatedTable[] {
  const blocks: string[][][] = [[]];
  for (const record of records(text)) {
    if (record.length === 1 && record[0] === '') blocks.push([]);
    else blocks.at(-1)!.push(record);
  }
  const tables = blocks.filter((block) => block.length > 0).flatMap((block) => split(toTable(block)));
  return tables.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0));
}

function toTable(block: readonly (readonly string[])[]): AnnotatedTable {
  const annotation = (name: string) => block.find((record) => record[0] === `#${name}`)?.slice(1) ?? [];
  const [columns = [], ...rows] = block
    .filter((record) => !record[0]!.startsWith('#'))
    .map((record) => record.slice(1));
  return {
    datatypes: annotation('datatype'),
    groups: annotation('group'),
    defaults: annotation('default'),
    columns,
    // What went wrong midway is told in words, which need not be the same.
    rows: columns[0] === 'error' ? [] : rows,
  };
}

/** One per table number: tables of equal schema share their header. */
function split(block: AnnotatedTable): AnnotatedTable[] {
  const numbers = [...new Set(block.rows.map((row) => row[1]))];
  if (numbers.length < 2) return [block];
  return numbers.map((number) => ({ ...block, rows: block.rows.filter((row) => row[1] === number) }));
}

/** The same table with its columns in the order of their names. */
export function withSortedColumns(table: AnnotatedTable): AnnotatedTable {
  const order = [...table.columns.keys()].sort((a, b) => (table.columns[a]! < table.columns[b]! ? -1 : 1));
  const sorted = (fields: readonly string[]) => order.map((index) => fields[index] ?? '');
  return {
    datatypes: sorted(table.datatypes),
    groups: sorted(table.groups),
    defaults: sorted(table.defaults),
    columns: sorted(table.columns),
    rows: table.rows.map(sorted),
  };
}

function nameOf({ defaults }: AnnotatedTable): string {
  return defaults[0] ?? '';
}

function* records(text: string): Generator<string[]> {
  let record: string[] = [];
  for (let at = 0; at <= text.length; ) {
    let field = '';
    if (text[at] === '"') {
      for (at++; at < text.length && (text[at] !== '"' || text[at + 1] === '"'); at++) {
        if (text[at] === '"') at++;
        field += text[at];
      }
      at++;
    } else {
      const from = at;
      while (at < text.length && text[at] !== ',' && text[at] !== '\r') at++;
      field = text.slice(from, at);
    }
    record.push(field);
    if (text[at] !== ',') {
      if (at < text.length || record.length > 1) yield record;
      record = [];
      at++; // \r, and \n below
    }
    at++;
  }
}
