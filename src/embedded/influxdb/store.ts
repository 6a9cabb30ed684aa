import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Logger } from 'pino';
import { SegmentedLog } from '../../storage/segmented-log.ts';
import { type Bucket, Catalog, type Row, type Series, type ValueType } from './catalog.ts';
import { appendPoints, appendSeries, Database, type PointColumns, VALUE_TYPES } from './database.ts';
import type { Point } from './line-protocol.ts';
import { decodeHeader, decodeRows, encodeWrite } from './write-record.ts';

export type { Bucket, Series, ValueType } from './catalog.ts';

/**
 * Buckets, series and points on disk.
 *
 * A write is answered when it is in the write log and the log is fsynced; parallel writes share the fsync. Its rows
 * then go to DuckDB in batches, in one transaction with the sequence number of the last of them, so that after a
 * crash the log is replayed from exactly there.
 *
 * Points are only ever appended; of equal series and time the greatest sequence number holds. A series whose points
 * came in the order of time can't hold one twice and is read as it lies; the others are listed as `repeated` until
 * {@link Store.compact} has removed what was overwritten.
 */

/** Rows go to DuckDB when this many wait, or after this time. */
const FLUSH_ROWS = 10_000;
const FLUSH_MS = 1_000;
const COMPACT_MS = 30_000;
/** A segment of the write log that is larger is closed, so that it can be removed once its rows are in DuckDB. */
const SEGMENT_BYTES = 4 * 1024 * 1024;
/** More rows than this wait for DuckDB only if it can't write; then writes are refused. */
const MAX_WAITING_ROWS = 500_000;

const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

export interface StoreOptions {
  /** Folder of the database and its write log; made if needed. */
  readonly dataDir: string;
  readonly log: Logger;
}

export interface Organization {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  /** RFC 3339. */
  readonly createdAt: string;
}

/** The disk can't take writes at the moment. */
export class StoreUnavailable extends Error {}

/** What is in the write log and not yet in DuckDB. */
interface Waiting {
  /** Records of the write log, and the sequence number of the first row of each. */
  readonly records: ReadonlyArray<{ readonly seq: number; readonly record: Buffer }>;
  readonly rows: number;
  readonly created: readonly Series[];
  /** Series to be listed as repeated. */
  readonly repeated: readonly number[];
}

const NOTHING: Waiting = { records: [], rows: 0, created: [], repeated: [] };

export class Store {
  readonly #catalog = new Catalog();
  readonly #database: Database;
  readonly #log: Logger;
  #writeLog!: SegmentedLog;
  #org: Organization | undefined;
  #waiting = NOTHING;
  #nextSeq = 1;
  #appliedSeq = 0;
  /** Series that may hold a point more than once → the sequence number of the latest such point. */
  readonly #repeated = new Map<number, number>();
  #compactableSeq = 0;
  #flushes: Promise<void> = Promise.resolve();
  #isFlushing = false;
  #isClosed = false;
  #segmentRemovals: Promise<void> = Promise.resolve();
  #flushTimer: NodeJS.Timeout | undefined;
  #compactTimer: NodeJS.Timeout | undefined;

  private constructor(database: Database, log: Logger) {
    this.#database = database;
    this.#log = log;
  }

  static async open({ dataDir, log }: StoreOptions): Promise<Store> {
    const temporary = join(dataDir, 'tmp');
    await mkdir(temporary, { recursive: true });
    const store = new Store(await Database.open(join(dataDir, 'points.duckdb'), temporary), log);
    await store.#load();
    store.#writeLog = await SegmentedLog.open(
      {
        directory: join(dataDir, 'write-log'),
        lingerMs: 0, // a request is a batch already; requests that come during an fsync share the next
        onStall: (error) => {
          if (error) log.error({ err: error }, 'embedded InfluxDB: the write log can not be written; writes wait');
          else log.info('embedded InfluxDB: the write log can be written again');
        },
      },
      (record) => store.#replay(record),
      (problem) => {
        if (problem.kind === 'torn') log.warn(problem, 'embedded InfluxDB: cut an unfinished write off the write log');
        else log.error(problem, 'embedded InfluxDB: a damaged part of the write log was set aside');
      },
    );
    await store.#flush();
    store.#compactTimer = setInterval(() => void store.#compactInBackground(), COMPACT_MS).unref();
    return store;
  }

  /** The organization, undefined before {@link setOrganization}. */
  get organization(): Organization | undefined {
    return this.#org;
  }

  get buckets(): Bucket[] {
    return this.#catalog.buckets;
  }

  bucketByName(name: string): Bucket | undefined {
    return this.#catalog.bucketByName(name);
  }

  bucketById(id: string): Bucket | undefined {
    return this.#catalog.bucketById(id);
  }

  /** All series of a bucket (a live view). */
  series(bucketId: string): Iterable<Series> {
    return this.#catalog.series(bucketId);
  }

  /** Makes the organization, or gives it another name. */
  async setOrganization(name: string): Promise<Organization> {
    if (this.#org?.name === name) return this.#org;
    const org = { id: this.#org?.id ?? newId(), name, createdAt: this.#org?.createdAt ?? new Date().toISOString() };
    await this.#database.transaction(async (connection) => {
      await connection.run('DELETE FROM org');
      await connection.run('INSERT INTO org VALUES ($1, $2, $3)', [org.id, org.name, org.createdAt]);
    });
    this.#org = org;
    return org;
  }

  /** Makes a bucket; that its name is free is for the caller to know. */
  createBucket(settings: Pick<Bucket, 'name' | 'description' | 'retentionSeconds'>): Promise<Bucket> {
    const now = new Date().toISOString();
    return this.#putBucket({ id: newId(), orgId: this.#org!.id, createdAt: now, updatedAt: now, ...settings });
  }

  updateBucket(bucket: Bucket): Promise<Bucket> {
    return this.#putBucket({ ...bucket, updatedAt: new Date().toISOString() });
  }

  /** Removes a bucket with all its points. */
  async deleteBucket(id: string): Promise<void> {
    await this.#flush();
    const ids = Array.from(this.series(id), (series) => series.id);
    await this.#database.transaction(async (connection) => {
      for (const type of VALUE_TYPES) await connection.run(`DELETE FROM points_${type} WHERE ${inList(ids)}`);
      await connection.run('DELETE FROM series WHERE bucket = $1', [id]);
      await connection.run('DELETE FROM buckets WHERE id = $1', [id]);
    });
    this.#catalog.removeBucket(id);
    const { rows, created, repeated } = this.#waiting;
    const remains = (bucket: string) => bucket !== id;
    this.#waiting = {
      rows: rows.filter(({ series }) => remains(series.bucket)),
      created: created.filter(({ bucket }) => remains(bucket)),
      repeated,
    };
  }

  /**
   * Stores points, durable when this resolves. Those that InfluxDB 2.7 would not take are left out; their number
   * and the reason of the first come back.
   * @throws StoreUnavailable when the disk can't take writes
   */
  async write(bucketId: string, points: readonly Point[]): Promise<{ dropped: number; reason: string }> {
    if (this.#writeLog.stalledBy) throw new StoreUnavailable(this.#writeLog.stalledBy.message);
    if (this.#waiting.rows.length > MAX_WAITING_ROWS) throw new StoreUnavailable('the database can not be written');
    const { rows, created, dropped, reason } = this.#catalog.accept(bucketId, points, this.#nextSeq);
    if (rows.length > 0) {
      this.#nextSeq += rows.length;
      this.#writeLog.append(encodeWrite(created, rows));
      this.#waiting.created.push(...created);
      for (const row of rows) this.#wait(row);
      this.#scheduleFlush();
      await this.#writeLog.durable();
    }
    return { dropped, reason };
  }

  /**
   * Deletes the points of a bucket with `start <= time <= stop` (ns) in the series that `matches` picks,
   * and the series that are empty then.
   */
  async delete(bucketId: string, start: bigint, stop: bigint, matches: (series: Series) => boolean): Promise<void> {
    await this.#flush();
    const picked = Array.from(this.series(bucketId)).filter(matches);
    const ids = picked.map((series) => series.id);
    const remaining = await this.#database.transaction(async (connection) => {
      const ids_ = new Set<unknown>();
      for (const type of VALUE_TYPES) {
        const range = `time BETWEEN ${int64(start)} AND ${int64(stop)}`;
        await connection.run(`DELETE FROM points_${type} WHERE ${inList(ids)} AND ${range}`);
        const left = await connection.runAndReadAll(`SELECT DISTINCT series FROM points_${type} WHERE ${inList(ids)}`);
        for (const id of left.getColumns()[0] ?? []) ids_.add(id);
      }
      return ids_;
    });
    for (const { series } of this.#waiting.rows) remaining.add(series.id);
    const empty = picked.filter((series) => !remaining.has(series.id));
    this.#catalog.removeSeries(empty);
    await this.#database.transaction(async (connection) => {
      await connection.run(
        `DELETE FROM series WHERE ${inList(
          empty.map((series) => series.id),
          'id',
        )}`,
      );
    });
  }

  /**
   * SQL of a relation (series INTEGER, time BIGINT, value <type>) of the latest points of these series with
   * start <= time < stop, for use inside a larger SELECT: `SELECT ... FROM (${sql}) AS p`. Whatever was answered
   * before this call is in it, and nothing that is written after it.
   */
  async pointsSql(type: ValueType, seriesIds: readonly number[], start: bigint, stop: bigint): Promise<string> {
    await this.#flush();
    const rows = (ids: readonly number[]) =>
      `FROM points_${type} WHERE ${inList(ids)} AND time >= ${int64(start)} AND time < ${int64(stop)} AND seq <= ${this.#appliedSeq}`;
    const repeated = seriesIds.filter((id) => this.#repeated.has(id));
    const single = repeated.length === 0 ? seriesIds : seriesIds.filter((id) => !this.#repeated.has(id));
    const asTheyLie = `SELECT series, time, value ${rows(single)}`;
    if (repeated.length === 0) return asTheyLie;
    const latest = `SELECT series, time, arg_max(value, seq) AS value ${rows(repeated)} GROUP BY series, time`;
    return single.length === 0 ? latest : `${asTheyLie} UNION ALL ${latest}`;
  }

  /** Runs a SELECT and returns its columns as arrays (BIGINT is bigint). */
  query(sql: string): Promise<{ columns: unknown[][]; rowCount: number }> {
    return this.#database.query(sql);
  }

  /**
   * Removes points that were overwritten before the previous call. Later ones stay: a query that is under way may
   * have been promised the points as they were when it began.
   */
  async compact(): Promise<void> {
    await this.#flush();
    const horizon = this.#compactableSeq;
    this.#compactableSeq = this.#appliedSeq;
    const done = [...this.#repeated].filter(([, seq]) => seq <= horizon).map(([id]) => id);
    if (done.length === 0) return;
    await this.#database.transaction(async (connection) => {
      for (const type of VALUE_TYPES) {
        const ranked = `SELECT rowid, row_number() OVER (PARTITION BY series, time ORDER BY seq DESC) AS age
          FROM points_${type} WHERE ${inList(done)} AND seq <= ${horizon}`;
        await connection.run(`DELETE FROM points_${type} WHERE rowid IN (SELECT rowid FROM (${ranked}) WHERE age > 1)`);
      }
      await connection.run(`DELETE FROM repeated WHERE ${inList(done)}`);
    });
    for (const id of done) if (this.#repeated.get(id)! <= horizon) this.#repeated.delete(id);
  }

  /** Brings what waits into DuckDB and closes the files. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#compactTimer);
    clearTimeout(this.#flushTimer);
    try {
      await this.#flush();
      this.#writeLog.startSegment();
      this.#removeSegmentsBefore(this.#writeLog.currentSegment);
    } catch (error) {
      this.#log.warn({ err: error }, 'embedded InfluxDB: points stay in the write log until the next start');
    }
    if (!this.#writeLog.stalledBy) await this.#segmentRemovals;
    await this.#writeLog.close();
    await this.#database.close();
  }

  async #load(): Promise<void> {
    const rowsOf = async (sql: string) => {
      const { columns, rowCount } = await this.#database.query(sql);
      return Array.from({ length: rowCount }, (_, row) => columns.map((column) => column[row]));
    };
    for (const [id, name, createdAt] of (await rowsOf('SELECT * FROM org')) as string[][]) {
      this.#org = { id: id!, name: name!, createdAt: createdAt! };
    }
    for (const row of await rowsOf('SELECT * FROM buckets')) {
      const [id, name, orgId, description, retention, createdAt, updatedAt] = row as [
        string,
        string,
        string,
        string,
        bigint,
        string,
        string,
      ];
      this.#catalog.putBucket({
        id,
        name,
        orgId,
        description,
        retentionSeconds: Number(retention),
        createdAt,
        updatedAt,
      });
    }
    const latest = new Map<number, bigint>();
    for (const type of VALUE_TYPES) {
      const rows = await rowsOf(`SELECT series, max(time) FROM points_${type} GROUP BY series`);
      for (const [series, time] of rows as Array<[number, bigint]>) latest.set(series, time);
    }
    for (const row of await rowsOf('SELECT * FROM series')) {
      const [id, bucket, measurement, field, type, tags] = row as [number, string, string, string, ValueType, string];
      if (!this.#catalog.bucketById(bucket)) continue;
      const sorted = new Map(JSON.parse(tags) as Array<[string, string]>);
      this.#catalog.addSeries({ id, bucket, measurement, field, type, tags: sorted }, latest.get(id));
    }
    for (const [seq] of await rowsOf('SELECT seq FROM applied')) this.#appliedSeq = Number(seq);
    this.#nextSeq = this.#appliedSeq + 1;
    for (const [id] of (await rowsOf('SELECT series FROM repeated')) as number[][])
      this.#repeated.set(id!, this.#appliedSeq);
  }

  /** Takes over a record of the write log that DuckDB doesn't have yet. */
  #replay(record: Buffer): void {
    const { seq, rows, created } = decodeHeader(record);
    if (seq <= this.#appliedSeq) return;
    for (const series of created) {
      if (this.#catalog.bucketById(series.bucket)) this.#waiting.created.push(this.#catalog.addSeries(series));
    }
    let next = seq;
    decodeRows(record, (id, time, value) => {
      const series = this.#catalog.seriesById(id);
      if (series) this.#wait({ series, seq: next, time, value });
      next++;
    });
    this.#nextSeq = seq + rows;
  }

  #wait(row: Row): void {
    const { series, seq, time } = row;
    if (time > series.latest) series.latest = time;
    else {
      if (!this.#repeated.has(series.id)) this.#waiting.repeated.push(series.id);
      this.#repeated.set(series.id, seq);
    }
    this.#waiting.rows.push(row);
  }

  #scheduleFlush(): void {
    if (this.#isFlushing) return;
    if (this.#waiting.rows.length >= FLUSH_ROWS) void this.#flushInBackground();
    else this.#flushTimer ??= setTimeout(() => void this.#flushInBackground(), FLUSH_MS);
  }

  async #flushInBackground(): Promise<void> {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    this.#isFlushing = true;
    try {
      await this.#flush();
    } catch (error) {
      this.#log.error(
        { err: error },
        'embedded InfluxDB: points stay in the write log, the database can not be written',
      );
      await sleep(FLUSH_MS);
    }
    this.#isFlushing = false;
    if (this.#waiting.rows.length > 0 && !this.#isClosed) this.#scheduleFlush();
  }

  /** Brings into DuckDB what waits now. */
  #flush(): Promise<void> {
    this.#flushes = this.#flushes.then(
      () => this.#flushWaiting(),
      () => this.#flushWaiting(),
    );
    return this.#flushes;
  }

  async #flushWaiting(): Promise<void> {
    const batch = this.#waiting;
    if (batch.rows.length === 0) return;
    const seq = this.#nextSeq - 1;
    this.#waiting = { rows: [], created: [], repeated: [] };
    if (this.#writeLog.segmentSize(this.#writeLog.currentSegment) > SEGMENT_BYTES) this.#writeLog.startSegment();
    const firstNeededSegment = this.#writeLog.currentSegment;
    try {
      await this.#database.transaction((connection) => apply(connection, batch, seq));
    } catch (error) {
      const { rows, created, repeated } = this.#waiting;
      this.#waiting = {
        rows: [...batch.rows, ...rows],
        created: [...batch.created, ...created],
        repeated: [...batch.repeated, ...repeated],
      };
      throw error;
    }
    this.#appliedSeq = seq;
    this.#removeSegmentsBefore(firstNeededSegment);
  }

  /** Removes segments of the write log that DuckDB has all rows of. A segment must be on disk to be removed. */
  #removeSegmentsBefore(first: number): void {
    const applied = this.#writeLog.segmentNumbers.filter((segment) => segment < first);
    if (applied.length === 0) return;
    this.#segmentRemovals = this.#segmentRemovals
      .then(async () => {
        await this.#writeLog.durable();
        for (const segment of applied) await this.#writeLog.removeSegment(segment);
      })
      .catch((error: unknown) =>
        this.#log.warn({ err: error }, 'embedded InfluxDB: an old log segment can not be removed'),
      );
  }

  async #compactInBackground(): Promise<void> {
    try {
      await this.compact();
      for (const { id, retentionSeconds } of this.buckets) {
        const oldest = BigInt(Date.now() - retentionSeconds * 1_000) * 1_000_000n;
        if (retentionSeconds > 0) await this.delete(id, MIN_INT64, oldest, () => true);
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'embedded InfluxDB: compaction failed and is tried again');
    }
  }

  async #putBucket(bucket: Bucket): Promise<Bucket> {
    const { id, name, orgId, description, retentionSeconds, createdAt, updatedAt } = bucket;
    await this.#database.transaction(async (connection) => {
      await connection.run('DELETE FROM buckets WHERE id = $1', [id]);
      const values = [id, name, orgId, description, BigInt(retentionSeconds), createdAt, updatedAt];
      await connection.run('INSERT INTO buckets VALUES ($1, $2, $3, $4, $5, $6, $7)', values);
    });
    this.#catalog.putBucket(bucket);
    return bucket;
  }
}

/** Writes a batch whose last row has this sequence number. */
async function apply(connection: DuckDBConnection, { rows, created, repeated }: Waiting, seq: number): Promise<void> {
  if (created.length > 0) {
    await appendSeries(connection, [
      created.map((series) => series.id),
      created.map((series) => series.bucket),
      created.map((series) => series.measurement),
      created.map((series) => series.field),
      created.map((series) => series.type),
      created.map((series) => JSON.stringify([...series.tags])),
    ]);
  }
  const tables = new Map<ValueType, PointColumns>();
  for (const { series, seq: rowSeq, time, value } of rows) {
    let columns = tables.get(series.type);
    if (!columns) {
      columns = [[], [], [], []];
      tables.set(series.type, columns);
    }
    columns[0].push(series.id);
    columns[1].push(time);
    columns[2].push(BigInt(rowSeq));
    columns[3].push(value);
  }
  for (const [type, columns] of tables) await appendPoints(connection, type, columns);
  if (repeated.length > 0) await connection.run(`INSERT INTO repeated VALUES ${repeated.map((id) => `(${id})`)}`);
  await connection.run(`UPDATE applied SET seq = ${seq}`);
}

function newId(): string {
  return randomBytes(8).toString('hex').replace(/^0/, '1');
}

function int64(value: bigint): string {
  const clamped = value < MIN_INT64 ? MIN_INT64 : value > MAX_INT64 ? MAX_INT64 : value;
  return `'${clamped}'::BIGINT`;
}

function inList(ids: readonly number[], column = 'series'): string {
  return ids.length === 0 ? 'false' : `${column} IN (${ids.join(',')})`;
}
