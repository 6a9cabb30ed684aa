import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBType,
  type DuckDBValue,
  INTEGER,
  UBIGINT,
  VARCHAR,
} from '@duckdb/node-api';
import type { Series, ValueType } from './catalog.ts';

/** The DuckDB file: its tables, one writer, any number of readers beside it. */

export const VALUE_TYPES: readonly ValueType[] = ['float', 'integer', 'unsigned', 'string', 'boolean'];

const COLUMN = {
  float: { type: DOUBLE, sql: 'DOUBLE' },
  integer: { type: BIGINT, sql: 'BIGINT' },
  unsigned: { type: UBIGINT, sql: 'UBIGINT' },
  string: { type: VARCHAR, sql: 'VARCHAR' },
  boolean: { type: BOOLEAN, sql: 'BOOLEAN' },
} satisfies Record<ValueType, { type: DuckDBType; sql: string }>;

/** Rows in the columns of a points table: series, time, seq, value. */
export type PointColumns = [series: number[], time: bigint[], seq: bigint[], value: DuckDBValue[]];

/** What DuckDB takes per vector. */
const CHUNK_ROWS = 2048;

const TABLES = [
  'CREATE TABLE IF NOT EXISTS org (id VARCHAR, name VARCHAR, created_at VARCHAR)',
  `CREATE TABLE IF NOT EXISTS buckets (id VARCHAR, name VARCHAR, org_id VARCHAR, description VARCHAR,
     retention_seconds BIGINT, created_at VARCHAR, updated_at VARCHAR)`,
  `CREATE TABLE IF NOT EXISTS series (id INTEGER, bucket VARCHAR, measurement VARCHAR, field VARCHAR, type VARCHAR,
     tags VARCHAR)`,
  // Series that may hold a point more than once: see Store.
  'CREATE TABLE IF NOT EXISTS repeated (series INTEGER)',
  // The greatest sequence number that is in the tables: the write log is good from there on.
  'CREATE TABLE IF NOT EXISTS applied (seq BIGINT)',
  'INSERT INTO applied SELECT 0 WHERE NOT EXISTS (FROM applied)',
  ...VALUE_TYPES.map((type) => {
    const columns = `series INTEGER, time BIGINT, seq BIGINT, value ${COLUMN[type].sql}`;
    return `CREATE TABLE IF NOT EXISTS points_${type} (${columns})`;
  }),
];

export class Database {
  readonly #instance: DuckDBInstance;
  readonly #writer: DuckDBConnection;

  private constructor(instance: DuckDBInstance, writer: DuckDBConnection) {
    this.#instance = instance;
    this.#writer = writer;
  }

  /** Opens the database file, made with its tables if it isn't there. */
  static async open(file: string, temporaryDirectory: string): Promise<Database> {
    const instance = await DuckDBInstance.create(file, {
      threads: '2',
      memory_limit: '256MB',
      // What a query or checkpoint took goes back to the system soon after: about 50 MB less resident.
      allocator_background_threads: 'true',
      allocator_flush_threshold: '4MB',
      allocator_bulk_deallocation_flush_threshold: '8MB',
      temp_directory: temporaryDirectory,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    const writer = await instance.connect();
    await writer.run(TABLES.join(';'));
    return new Database(instance, writer);
  }

  /** Runs `work` in a transaction, all of which is on disk when this resolves. One at a time. */
  async transaction<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    await this.#writer.run('BEGIN');
    try {
      const result = await work(this.#writer);
      await this.#writer.run('COMMIT');
      return result;
    } catch (error) {
      await this.#writer.run('ROLLBACK').catch(() => {}); // a failed COMMIT has rolled back already
      throw error;
    }
  }

  /** Runs a SELECT beside whatever is being written and returns its columns as arrays (BIGINT is bigint). */
  async query(sql: string): Promise<{ columns: unknown[][]; rowCount: number }> {
    const connection = await this.#instance.connect();
    try {
      const reader = await connection.runAndReadAll(sql);
      return { columns: reader.getColumns(), rowCount: reader.currentRowCount };
    } finally {
      connection.closeSync();
    }
  }

  close(): void {
    this.#writer.closeSync();
    this.#instance.closeSync();
  }
}

/** Appends points to the table of their type. */
export function appendPoints(connection: DuckDBConnection, type: ValueType, columns: PointColumns): Promise<void> {
  return append(connection, `points_${type}`, [INTEGER, BIGINT, BIGINT, COLUMN[type].type], columns);
}

export function appendSeries(connection: DuckDBConnection, series: readonly Series[]): Promise<void> {
  return append(
    connection,
    'series',
    [INTEGER, VARCHAR, VARCHAR, VARCHAR, VARCHAR, VARCHAR],
    [
      series.map(({ id }) => id),
      series.map(({ bucket }) => bucket),
      series.map(({ measurement }) => measurement),
      series.map(({ field }) => field),
      series.map(({ type }) => type),
      series.map(({ tags }) => JSON.stringify([...tags])),
    ],
  );
}

async function append(connection: DuckDBConnection, table: string, types: DuckDBType[], columns: DuckDBValue[][]) {
  const rows = columns[0]!.length;
  if (rows === 0) return;
  const appender = await connection.createAppender(table);
  for (let start = 0; start < rows; start += CHUNK_ROWS) {
    const chunk = DuckDBDataChunk.create(types);
    chunk.setColumns(columns.map((column) => column.slice(start, start + CHUNK_ROWS)));
    appender.appendDataChunk(chunk);
  }
  appender.closeSync();
}
