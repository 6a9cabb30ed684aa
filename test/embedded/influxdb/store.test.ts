import { readdir, stat } from 'node:fs/promises';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LineProtocolError, LineProtocolReader } from '../../../src/embedded/influxdb/line-protocol.ts';
import { type Bucket, Store } from '../../../src/embedded/influxdb/store.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const log = pino({ level: 'silent' });
const MIN = -(2n ** 63n);
const MAX = 2n ** 63n - 1n;

async function open(dataDir: string): Promise<{ store: Store; bucket: Bucket }> {
  const store = await Store.open({ dataDir, log });
  onTestFinished(() => store.close());
  await store.setOrganization('org');
  const settings = { name: 'b', description: '', retentionSeconds: 0 };
  return { store, bucket: store.bucketByName('b') ?? (await store.createBucket(settings)) };
}

function write(store: Store, bucket: Bucket, lines: string) {
  return store.write(bucket.id, new LineProtocolReader().read(lines, 'ns', 0n));
}

/** All points of a bucket: `measurement,tags field time → value`. */
async function content(store: Store, bucket: Bucket): Promise<Record<string, unknown>> {
  const points: Record<string, unknown> = {};
  for (const series of store.series(bucket.id)) {
    const { columns, rowCount } = await store.query(await store.pointsSql(series.type, [series.id], MIN, MAX));
    for (let row = 0; row < rowCount; row++) {
      const tags = [...series.tags].map((tag) => tag.join('='));
      const key = `${[series.measurement, ...tags].join(',')} ${series.field} ${columns[1]![row]}`;
      expect(points, 'a point is given once').not.toHaveProperty([key]);
      points[key] = columns[2]![row];
    }
  }
  return points;
}

const rowsOf = async (store: Store, table: string) =>
  Number((await store.query(`SELECT count(*) FROM ${table}`)).columns[0]![0]);

describe('Store', () => {
  test('equal series and time overwrite field by field, also within a request and after a restart', async () => {
    const folder = await temporaryFolder();
    const first = await open(folder);
    await write(first.store, first.bucket, 'm,t=x a=1,b=1 5\nm,t=x a=2 5\nm,t=y a=9 5');
    await write(first.store, first.bucket, 'm,t=x b=3 5\nm,t=x a=1 6\nm,t=x a=1 4');
    const expected = { 'm,t=x a 4': 1, 'm,t=x a 5': 2, 'm,t=x a 6': 1, 'm,t=x b 5': 3, 'm,t=y a 5': 9 };
    expect(await content(first.store, first.bucket)).toEqual(expected);
    await first.store.close();
    const second = await open(folder);
    expect(await content(second.store, second.bucket)).toEqual(expected);
    await write(second.store, second.bucket, 'm,t=x a=7 6');
    expect(await content(second.store, second.bucket)).toEqual({ ...expected, 'm,t=x a 6': 7 });
  });

  test('of a request with a bad line nothing is left: no point, no series, no type', async () => {
    const { store, bucket } = await open(await temporaryFolder());
    await write(store, bucket, 'm,t=x a=1 5');
    const bad = 'm,t=x a=2 5\nm,t=x a=2 9\nm,t=x b=1i 5\nm,t=new a=1 5\nother f="text" 5\nm a=';
    await expect(write(store, bucket, bad)).rejects.toThrow(LineProtocolError);
    await write(store, bucket, 'm,t=x a=3 7'); // overwrites nothing
    expect(await content(store, bucket)).toEqual({ 'm,t=x a 5': 1, 'm,t=x a 7': 3 });
    expect(Array.from(store.series(bucket.id), ({ measurement }) => measurement)).toEqual(['m']);
    expect(await rowsOf(store, 'repeated')).toBe(0);
    const others = await write(store, bucket, 'm,t=x b=1.5 5\nm,t=new a=3 5\nother f=1.5 5');
    expect(others.dropped).toBe(0);
    const expected = { 'm,t=x a 5': 1, 'm,t=x a 7': 3, 'm,t=x b 5': 1.5, 'm,t=new a 5': 3, 'other f 5': 1.5 };
    expect(await content(store, bucket)).toEqual(expected);
  });

  test('every type keeps its extremes', async () => {
    const { store, bucket } = await open(await temporaryFolder());
    const min = MIN + 2n;
    await write(
      store,
      bucket,
      [
        `m f=1.7976931348623157e308,i=9223372036854775807i,u=18446744073709551615u,s="",b=t ${min}`,
        'm f=-5e-324,i=-9223372036854775808i,u=0u,s="a\\"\\\\ü\0😀\nb",b=f 9223372036854775806',
      ].join('\n'),
    );
    expect(await content(store, bucket)).toEqual({
      [`m f ${min}`]: Number.MAX_VALUE,
      [`m i ${min}`]: MAX,
      [`m u ${min}`]: 2n ** 64n - 1n,
      [`m s ${min}`]: '',
      [`m b ${min}`]: true,
      'm f 9223372036854775806': -5e-324,
      'm i 9223372036854775806': MIN,
      'm u 9223372036854775806': 0n,
      'm s 9223372036854775806': 'a"\\ü\0😀\nb',
      'm b 9223372036854775806': false,
    });
  });

  test('a range is from start up to and without stop', async () => {
    const { store, bucket } = await open(await temporaryFolder());
    await write(store, bucket, 'm f=1 1\nm f=2 2\nm f=3 3');
    const [series] = store.series(bucket.id);
    const { columns } = await store.query(await store.pointsSql('float', [series!.id], 1n, 3n));
    expect(columns[1]).toEqual([1n, 2n]);
    expect((await store.query(await store.pointsSql('float', [], 1n, 3n))).rowCount).toBe(0);
  });

  test('a query sees what was answered before it, and no later overwriting twice', async () => {
    const { store, bucket } = await open(await temporaryFolder());
    await write(store, bucket, 'm f=1 1');
    const [series] = store.series(bucket.id);
    const sql = await store.pointsSql('float', [series!.id], MIN, MAX);
    await write(store, bucket, 'm f=2 1');
    await store.compact();
    expect((await store.query(sql)).columns[2]).toEqual([1]);
    expect(await content(store, bucket)).toEqual({ 'm f 1': 2 });
  });

  test('compaction removes what was overwritten, for all types, and survives a restart', async () => {
    const folder = await temporaryFolder();
    const { store, bucket } = await open(folder);
    for (let round = 0; round < 5; round++) {
      const lines = Array.from(
        { length: 200 },
        (_, i) => `m,t=${i % 7} f=${round},i=${round}i,u=${round}u,s="${round}",b=${round % 2 === 0} ${i}`,
      );
      await write(store, bucket, lines.join('\n'));
    }
    await write(store, bucket, 'single f=1 1\nsingle f=2 2');
    const before = await content(store, bucket);
    await store.compact();
    await store.compact();
    expect(await rowsOf(store, 'points_float')).toBe(202);
    for (const type of ['integer', 'unsigned', 'string', 'boolean'])
      expect(await rowsOf(store, `points_${type}`)).toBe(200);
    expect(await rowsOf(store, 'repeated')).toBe(0);
    expect(await content(store, bucket)).toEqual(before);
    await store.close();
    const again = await open(folder);
    expect(await content(again.store, again.bucket)).toEqual(before);
  });

  test('deleting takes the times of both ends and forgets series that are empty', async () => {
    const folder = await temporaryFolder();
    const { store, bucket } = await open(folder);
    await write(store, bucket, 'm,t=x f=1 1\nm,t=x f=2 2\nm,t=x f=3 3\nm,t=y f=1 2\nn f=1i 2');
    await store.delete(bucket.id, 1n, 2n, ({ tags }) => tags.size > 0);
    expect(await content(store, bucket)).toEqual({ 'm,t=x f 3': 3, 'n f 2': 1n });
    expect([...store.series(bucket.id)]).toHaveLength(2);
    await store.delete(bucket.id, MIN, MAX, ({ measurement }) => measurement === 'm');
    expect((await write(store, bucket, 'm f="now a string" 5')).dropped).toBe(0);
    await store.close();
    const again = await open(folder);
    expect(await content(again.store, again.bucket)).toEqual({ 'm f 5': 'now a string', 'n f 2': 1n });
  });

  test('a bucket goes with its points, and one of the same name is another', async () => {
    const folder = await temporaryFolder();
    const { store, bucket } = await open(folder);
    await write(store, bucket, 'm f=1 1');
    await store.deleteBucket(bucket.id);
    expect(store.bucketByName('b')).toBeUndefined();
    const next = await store.createBucket({ name: 'b', description: '', retentionSeconds: 0 });
    expect(next.id).not.toBe(bucket.id);
    await write(store, next, 'm f="x" 1');
    await store.close();
    const again = await open(folder);
    expect(again.bucket).toEqual(next);
    expect(await content(again.store, again.bucket)).toEqual({ 'm f 1': 'x' });
    expect(await rowsOf(again.store, 'points_float')).toBe(0);
  });

  test('the write log does not outgrow what DuckDB lacks', async () => {
    const folder = await temporaryFolder();
    const { store, bucket } = await open(folder);
    for (let batch = 0; batch < 30; batch++) {
      const lines = Array.from(
        { length: 5_000 },
        (_, i) => `m,t=${i % 10} f=${i},g="${'x'.repeat(20)}" ${batch * 5_000 + i}`,
      );
      await write(store, bucket, lines.join('\n'));
    }
    await store.close();
    const segments = await readdir(`${folder}/write-log`);
    const bytes = await Promise.all(segments.map(async (name) => (await stat(`${folder}/write-log/${name}`)).size));
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBe(0);
    const again = await open(folder);
    expect(await rowsOf(again.store, 'points_float')).toBe(150_000);
  });
});
