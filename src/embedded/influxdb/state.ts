import { Catalog, type Organization, type ValueType } from './catalog.ts';
import { type Database, VALUE_TYPES } from './database.ts';

/** What the store keeps in memory, as the database has it. */
export interface State {
  readonly catalog: Catalog;
  /** Undefined before the first start has made it. */
  readonly organization: Organization | undefined;
  /** The sequence number of the last row that is in the tables; 0 if there is none. */
  readonly appliedSeq: number;
  /** Series that may hold a point more than once. */
  readonly repeated: readonly number[];
}

/** Reads the state at a start. */
export async function loadState(database: Database): Promise<State> {
  const rowsOf = async <Row extends unknown[]>(sql: string): Promise<Row[]> => {
    const { columns, rowCount } = await database.query(sql);
    return Array.from({ length: rowCount }, (_, row) => columns.map((column) => column[row]) as Row);
  };
  const catalog = new Catalog();
  const buckets = await rowsOf<[string, string, string, string, bigint, string, string]>('SELECT * FROM buckets');
  for (const [id, name, orgId, description, retention, createdAt, updatedAt] of buckets) {
    catalog.putBucket({ id, name, orgId, description, retentionSeconds: Number(retention), createdAt, updatedAt });
  }
  const latest = new Map<number, bigint>();
  for (const type of VALUE_TYPES) {
    const times = await rowsOf<[number, bigint]>(`SELECT series, max(time) FROM points_${type} GROUP BY series`);
    for (const [series, time] of times) latest.set(series, time);
  }
  for (const row of await rowsOf<[number, string, string, string, ValueType, string]>('SELECT * FROM series')) {
    const [id, bucket, measurement, field, type, tags] = row;
    if (!catalog.bucketById(bucket)) continue;
    const sorted = new Map(JSON.parse(tags) as Array<[string, string]>);
    catalog.addSeries({ id, bucket, measurement, field, type, tags: sorted }, latest.get(id));
  }
  const [organization] = await rowsOf<[string, string, string]>('SELECT id, name, created_at FROM org');
  const [applied] = await rowsOf<[bigint]>('SELECT seq FROM applied');
  const repeated = await rowsOf<[number]>('SELECT series FROM repeated');
  return {
    catalog,
    organization: organization && { id: organization[0], name: organization[1], createdAt: organization[2] },
    appliedSeq: Number(applied?.[0] ?? 0n),
    repeated: repeated.map(([id]) => id),
  };
}
