import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Influxdb, startInfluxdb } from '../../../src/embedded/influxdb/server.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const TOKEN = 'secret';

async function start(dataDir: string, buckets = ['b'], org = 'o'): Promise<Influxdb> {
  const options = { port: 0, dataDir, token: TOKEN, org, buckets, log: pino({ level: 'silent' }), setting: 'port' };
  const server = await startInfluxdb(options);
  onTestFinished(() => server.close());
  return server;
}

function call(
  server: Influxdb,
  method: string,
  path: string,
  body?: string | Buffer,
  headers?: Record<string, string>,
) {
  return fetch(server.url + path, {
    method,
    headers: { authorization: `Token ${TOKEN}`, ...headers },
    ...(body !== undefined && { body }),
  });
}

interface BucketAnswer {
  readonly id: string;
  readonly orgID: string;
  readonly name: string;
}

async function bucketsOf(server: Influxdb, query = ''): Promise<BucketAnswer[]> {
  const response = await call(server, 'GET', `/api/v2/buckets${query}`);
  return ((await response.json()) as { buckets: BucketAnswer[] }).buckets;
}

/** The CSV of the number of points per series of bucket `b`. */
async function countPoints(server: Influxdb): Promise<string> {
  const flux = 'from(bucket: "b") |> range(start: 1970-01-01T00:00:00Z, stop: 1970-01-02T00:00:00Z) |> count()';
  const response = await call(server, 'POST', '/api/v2/query?org=o', flux, { 'content-type': 'application/vnd.flux' });
  expect(response.status).toBe(200);
  return response.text();
}

describe('embedded InfluxDB', () => {
  test('says that it is there, without a token', async () => {
    const { url } = await start(await temporaryFolder());
    expect((await fetch(`${url}/ping`)).status).toBe(204);
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ name: 'influxdb', status: 'pass' });
    expect(await (await fetch(`${url}/ready`)).json()).toMatchObject({ status: 'ready' });
    expect((await fetch(`${url}/api/v2/buckets`)).status).toBe(401);
  });

  test('organization and buckets keep their ids over a restart', async () => {
    const folder = await temporaryFolder();
    const first = await start(folder, ['measure', 'aggregates']);
    const buckets = await bucketsOf(first);
    expect(buckets.map(({ name }) => name).sort()).toEqual(['aggregates', 'measure']);
    for (const { id, orgID } of buckets)
      expect([id, orgID]).toEqual([expect.stringMatching(/^[0-9a-f]{16}$/), expect.stringMatching(/^[0-9a-f]{16}$/)]);
    await first.close();
    expect(await bucketsOf(await start(folder, ['measure', 'aggregates']))).toEqual(buckets);
  });

  test('buckets are made, found, changed and deleted', async () => {
    const server = await start(await temporaryFolder());
    const [{ orgID, id }] = (await bucketsOf(server)) as [BucketAnswer];
    const created = await call(
      server,
      'POST',
      '/api/v2/buckets',
      JSON.stringify({ orgID, name: 'new', retentionRules: [{ type: 'expire', everySeconds: 3600 }] }),
    );
    expect(created.status).toBe(201);
    const bucket = (await created.json()) as BucketAnswer;
    expect(bucket).toMatchObject({ orgID, name: 'new', type: 'user', retentionRules: [{ everySeconds: 3600 }] });
    expect(await bucketsOf(server, '?name=new')).toEqual([bucket]);
    expect(await bucketsOf(server, `?id=${bucket.id}`)).toEqual([bucket]);
    expect(await bucketsOf(server, '?org=o&limit=1')).toHaveLength(1);
    const taken = await call(server, 'POST', '/api/v2/buckets', JSON.stringify({ orgID, name: 'new' }));
    expect([taken.status, await taken.json()]).toEqual([
      422,
      { code: 'conflict', message: 'bucket with name new already exists' },
    ]);
    const renamed = await call(server, 'PATCH', `/api/v2/buckets/${bucket.id}`, '{"name":"newer","description":"d"}');
    expect(await renamed.json()).toMatchObject({ id: bucket.id, name: 'newer', description: 'd' });
    expect((await call(server, 'PATCH', `/api/v2/buckets/${bucket.id}`, '{"name":"b"}')).status).toBe(422);
    expect((await call(server, 'DELETE', `/api/v2/buckets/${bucket.id}`)).status).toBe(204);
    expect((await call(server, 'GET', `/api/v2/buckets/${bucket.id}`)).status).toBe(404);
    expect((await bucketsOf(server)).map((left) => left.id)).toEqual([id]);
  });

  test.each([
    ['plain', () => Buffer.alloc(65 * 1024 * 1024, 'x'), {}],
    ['gzip', () => gzipSync(Buffer.alloc(65 * 1024 * 1024)), { 'content-encoding': 'gzip' }],
  ])('a body that is too large, %s, is answered 413', async (_, body, headers) => {
    const server = await start(await temporaryFolder());
    const response = await call(server, 'POST', '/api/v2/write?org=o&bucket=b', body(), headers);
    expect([response.status, await response.json()]).toMatchObject([413, { code: 'request too large' }]);
    expect((await call(server, 'POST', '/api/v2/write?org=o&bucket=b', 'm f=1')).status).toBe(204);
  });

  test('a bad line refuses the request, a type conflict only its point', async () => {
    const server = await start(await temporaryFolder());
    const write = async (body: string) => {
      const response = await call(server, 'POST', '/api/v2/write?org=o&bucket=b', body);
      return [response.status, response.status === 204 ? undefined : await response.json()];
    };
    const message = "unable to parse 'm f=': missing field value";
    expect(await write('m f=1 1\nm f=')).toEqual([400, { code: 'invalid', message }]);
    expect(await write('m f=1i 1\nm f=2 2\nm f=3i 3')).toEqual([
      422,
      {
        code: 'unprocessable entity',
        message:
          'failure writing points to database: partial write: field type conflict: input field "f" on measurement "m" is type float, already exists as type integer dropped=1',
      },
    ]);
    expect(await countPoints(server)).toContain(',2,');
  });

  test('points are deleted by time and tags', async () => {
    const server = await start(await temporaryFolder());
    await call(
      server,
      'POST',
      '/api/v2/write?org=o&bucket=b&precision=s',
      'm,t=a f=1 1\nm,t=a f=1 2\nm,t=a f=1 3\nm,t=b f=1 2',
    );
    const deletion = {
      start: '1970-01-01T00:00:01Z',
      stop: '1970-01-01T00:00:02Z',
      predicate: '_measurement="m" AND t="a"',
    };
    expect((await call(server, 'POST', '/api/v2/delete?org=o&bucket=b', JSON.stringify(deletion))).status).toBe(204);
    const counts = (await countPoints(server))
      .trim()
      .split('\r\n')
      .filter((row) => row !== '');
    expect(counts).toHaveLength(3);
    const refused = await call(
      server,
      'POST',
      '/api/v2/delete?org=o&bucket=b',
      JSON.stringify({ ...deletion, predicate: 't="a" OR t="b"' }),
    );
    expect([refused.status, await refused.json()]).toMatchObject([400, { code: 'invalid' }]);
  });

  test('parallel writes of one series are all stored', async () => {
    const server = await start(await temporaryFolder());
    const writes = Array.from({ length: 100 }, (_, i) =>
      call(server, 'POST', '/api/v2/write?org=o&bucket=b&precision=s', `m f=${i} ${i}`),
    );
    for (const response of await Promise.all(writes)) expect(response.status).toBe(204);
    const flux = 'from(bucket: "b") |> range(start: 1970-01-01T00:00:00Z, stop: 1970-01-02T00:00:00Z) |> count()';
    const headers = { 'content-type': 'application/vnd.flux', 'accept-encoding': 'identity' };
    const response = await call(server, 'POST', '/api/v2/query?org=o', flux, headers);
    const text = await response.text();
    expect([response.status, text]).toEqual([200, expect.stringContaining(',100,')]);
    expect(response.headers.get('content-encoding')).toBeNull();
    const packed = await call(server, 'POST', '/api/v2/query?org=o', flux, { ...headers, 'accept-encoding': 'gzip' });
    expect(packed.headers.get('content-encoding')).toBe('gzip');
    expect((await packed.text()).split('\n')).toHaveLength(text.split('\n').length);
  });
});
