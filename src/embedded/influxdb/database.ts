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
      // What a query or checkpoint took goes back to the system soon after, and little waits for a checkpoint: about 70 MB
      // less resident.
      checkpoint_threshold: '4MB',
      allocator_background_threads: 'true',
      allocator_flush_threshold: '512KB',
      allocator_bulk_deallocation_flush_threshold: '1MB',
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

/** Points on their way into the table of their type. */
export class PointRows {
  readonly #table: string;
  readonly #types: DuckDBType[];
  /** Outside of the JavaScript heap, where a batch would be old before it is written. */
  readonly #full: DuckDBDataChunk[] = [];
  #columns: [series: number[], time: bigint[], seq: bigint[], value: DuckDBValue[]] = [[], [], [], []];

  constructor(type: ValueType) {
    this.#table = `points_${type}`;
    this.#types = [INTEGER, BIGINT, BIGINT, COLUMN[type].type];
  }

  add(series: number, time: bigint, seq: bigint, value: DuckDBValue): void {
    const columns = this.#columns;
    columns[0].push(series);
    columns[1].push(time);
    columns[2].push(seq);
    columns[3].push(value);
    if (columns[0].length < CHUNK_ROWS) return;
    this.#full.push(chunkOf(this.#types, columns));
    this.#columns = [[], [], [], []];
  }

  /** To be called once. */
  append(connection: DuckDBConnection): Promise<void> {
    const chunks = this.#columns[0].length > 0 ? [...this.#full, chunkOf(this.#types, this.#columns)] : this.#full;
    return append(connection, this.#table, chunks);
  }
}

export async function appendSeries(connection: DuckDBConnection, series: readonly Series[]): Promise<void> {
  const chunks: DuckDBDataChunk[] = [];
  for (let start = 0; start < series.length; start += CHUNK_ROWS) {
    const some = series.slice(start, start + CHUNK_ROWS);
    chunks.push(
      chunkOf(
        [INTEGER, VARCHAR, VARCHAR, VARCHAR, VARCHAR, VARCHAR],
        [
          some.map(({ id }) => id),
          some.map(({ bucket }) => bucket),
          some.map(({ measurement }) => measurement),
          some.map(({ field }) => field),
          some.map(({ type }) => type),
          some.map(({ tags }) => JSON.stringify([...tags])),
        ],
      ),
    );
  }
  await append(connection, 'series', chunks);
}

function chunkOf(types: DuckDBType[], columns: DuckDBValue[][]): DuckDBDataChunk {
  const chunk = DuckDBDataChunk.create(types);
  chunk.setColumns(columns);
  return chunk;
}

async function append(connection: DuckDBConnection, table: string, chunks: readonly DuckDBDataChunk[]): Promise<void> {
  if (chunks.length === 0) return;
  const appender = await connection.createAppender(table);
  try {
    for (const chunk of chunks) appender.appendDataChunk(chunk);
    appender.closeSync();
  } catch (error) {
    appender.clear(); // or it would write the rest when it is collected
    throw error;
  }
}
