import type { Column, KeyColumn, Table } from './table.ts';
import { type Cell, formatCell, type ScalarType } from './values.ts';

/** Annotated CSV as InfluxDB writes it (RFC 4180 with CRLF; `#datatype`, `#group` and `#default` rows). */

export interface Dialect {
  /** Whether the row of column names is written. */
  header: boolean;
  delimiter: string;
  /** The annotation rows, in the order in which they are written. */
  annotations: readonly ('datatype' | 'group' | 'default')[];
  commentPrefix?: string;
  dateTimeFormat?: 'RFC3339' | 'RFC3339Nano';
}

const DATATYPES: Readonly<Record<ScalarType, string>> = {
  string: 'string',
  int: 'long',
  uint: 'unsignedLong',
  float: 'double',
  bool: 'boolean',
  time: 'dateTime:RFC3339',
};

/** Rows per piece of text, so that a long table streams. */
const CHUNK_ROWS = 5_000;

export class CsvWriter {
  readonly #dialect: Dialect;
  readonly #annotations: readonly string[];
  #wrote = false;
  #tables = 0;
  #schema: string | undefined;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
    this.#annotations = dialect.annotations;
  }

  /** Ends a result: the next table is the first of another. */
  endResult(): string {
    this.#tables = 0;
    this.#schema = undefined;
    return '\r\n';
  }

  *table(result: string, table: Table): Generator<string> {
    this.#wrote = true;
    const number = String(this.#tables++);
    const schema = JSON.stringify([
      table.columns.map(({ label, type }) => [label, type]),
      table.key.columns.map(({ label, type }) => [label, type]),
    ]);
    const isEmpty = table.length === 0;
    if (isEmpty || schema !== this.#schema) {
      if (this.#schema !== undefined) yield '\r\n';
      yield this.#header(result, number, table);
    }
    // After an empty table, whose key stands in its defaults, the next one writes its own.
    this.#schema = isEmpty ? '' : schema;
    const name = this.#annotations.includes('default') ? '' : result;
    for (let from = 0; from < table.length; from += CHUNK_ROWS) {
      yield this.#rows(table.columns, name, number, from, Math.min(from + CHUNK_ROWS, table.length));
    }
  }

  /** How an error is told once there is no going back to a status. */
  error(message: string): string {
    const rows = this.#wrote ? [''] : [];
    for (const annotation of this.#annotations) {
      const [a, b] =
        annotation === 'datatype' ? ['string', 'string'] : annotation === 'group' ? ['true', 'true'] : ['', ''];
      rows.push(this.#row([`#${annotation}`, a, b]));
    }
    rows.push(this.#row(['', 'error', 'reference']), this.#row(['', message, '']));
    return rows.map((row) => `${row}\r\n`).join('');
  }

  #header(result: string, number: string, table: Table): string {
    const { columns, key, length } = table;
    const defaultOf = ({ label, type }: Column) => {
      const column: KeyColumn | undefined = length === 0 ? key.get(label) : undefined;
      return column ? formatCell(column.value, type) : '';
    };
    const rows = this.#annotations.map((annotation) => {
      switch (annotation) {
        case 'datatype':
          return ['#datatype', 'string', 'long', ...columns.map(({ type }) => DATATYPES[type])];
        case 'group':
          return ['#group', 'false', 'false', ...columns.map(({ label }) => String(key.has(label)))];
        default:
          return ['#default', result, length === 0 ? number : '', ...columns.map(defaultOf)];
      }
    });
    if (this.#dialect.header) rows.push(['', 'result', 'table', ...columns.map(({ label }) => label)]);
    return rows.map((row) => `${this.#row(row)}\r\n`).join('');
  }

  #rows(columns: readonly Column[], name: string, number: string, from: number, to: number): string {
    const start = this.#row(['', name, number]);
    const { delimiter } = this.#dialect;
    // Key columns have one value in all rows.
    const previous = columns.map((): { cell: Cell; text: string } => ({ cell: null, text: delimiter }));
    let text = '';
    for (let row = from; row < to; row++) {
      text += start;
      for (let i = 0; i < columns.length; i++) {
        const { cells, type } = columns[i]!;
        const cell = cells[row]!;
        const last = previous[i]!;
        if (cell !== last.cell) {
          const formatted = formatCell(cell, type);
          last.cell = cell;
          last.text = delimiter + (type === 'string' ? this.#quoted(formatted) : formatted);
        }
        text += last.text;
      }
      text += '\r\n';
    }
    return text;
  }

  #row(fields: readonly (string | undefined)[]): string {
    return fields.map((field) => this.#quoted(field ?? '')).join(this.#dialect.delimiter);
  }

  #quoted(field: string): string {
    if (field === '') return field;
    const first = field.charCodeAt(0);
    const needsQuotes =
      field === '\\.' ||
      first === 32 ||
      first === 9 ||
      field.includes('"') ||
      field.includes('\n') ||
      field.includes('\r') ||
      field.includes(this.#dialect.delimiter);
    return needsQuotes ? `"${field.replaceAll('"', '""').replaceAll('\r', '').replaceAll('\n', '\r\n')}"` : field;
  }
}
