export type ValueType = 'float' | 'integer' | 'unsigned' | 'string' | 'boolean';

/** What InfluxDB calls a series plus one field: one column of timestamped values of one type. */
export interface Series {
  readonly id: number;
  /** Id of the bucket (16 hex digits). */
  readonly bucket: string;
  readonly measurement: string;
  readonly field: string;
  readonly type: ValueType;
  /** Sorted by key. */
  readonly tags: ReadonlyMap<string, string>;
}

export interface Bucket {
  readonly id: string;
  readonly name: string;
  readonly orgId: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly updatedAt: string;
  /** 0 = for ever. */
  readonly retentionSeconds: number;
}

export interface StoreOptions {
  /** Folder of the database, its log and its temporary files; made if needed. */
  readonly dataDir: string;
}

export class Store {
  static async open(_options: StoreOptions): Promise<Store> {
    throw new Error('being written');
  }

  bucketByName(_name: string): Bucket | undefined {
    throw new Error('being written');
  }

  bucketById(_id: string): Bucket | undefined {
    throw new Error('being written');
  }

  /** All series of a bucket (a live view). */
  series(_bucketId: string): Iterable<Series> {
    throw new Error('being written');
  }

  /**
   * SQL of a relation (series INTEGER, time BIGINT, value <type>) of the latest points of these series with
   * start <= time < stop, for use inside a larger SELECT: `SELECT ... FROM (${sql}) AS p`. Whatever was answered
   * 204 before this call is in it.
   */
  async pointsSql(_type: ValueType, _seriesIds: readonly number[], _start: bigint, _stop: bigint): Promise<string> {
    throw new Error('being written');
  }

  /** Runs a SELECT and returns its columns as arrays (BIGINT is bigint). */
  async query(_sql: string): Promise<{ columns: unknown[][]; rowCount: number }> {
    throw new Error('being written');
  }
}
