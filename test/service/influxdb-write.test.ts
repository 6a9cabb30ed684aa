import { gzipSync } from 'node:zlib';
import { InfluxDB } from '@influxdata/influxdb-client';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatTime } from '../../src/embedded/influxdb/flux/time.ts';
import { startInfluxdb } from '../../src/embedded/influxdb/server.ts';
import { Store } from '../../src/embedded/influxdb/store.ts';
import { type Influxd, startInfluxd } from '../support/influxd.ts';
import { describeWith } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** A request that both servers get; `body` is line protocol unless `path` says otherwise. */
interface Case {
  readonly name: string;
  readonly body?: string | Buffer;
  readonly method?: string;
  readonly path?: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
}

interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly message?: string;
}

/** Where the embedded server answers otherwise on purpose. */
const DIFFERENCES: Record<string, string> = {
  'gzip that is none': 'InfluxDB blames itself (500), which clients repeat for ever; the sender is at fault (400)',
  'gzip that is cut off': 'InfluxDB blames itself (500), which clients repeat for ever; the sender is at fault (400)',
  'gzip with a wrong checksum': 'the same status and code; the sentence after "gzip:" is that of the library',
  'delete: not JSON': 'the same status and code; the reason is in the words of the JSON parser',
  'delete: a': 'InfluxDB counts the end of a predicate one character late, after a name only',
  'query: not JSON': 'the same status and code; the reason is in the words of the JSON parser',
};

/** Points that the embedded server keeps and InfluxDB does not show. */
const SHOWN_BY_US_ONLY: Record<string, string> = {
  'two backslashes before a comma': 'InfluxDB answers 204 and never shows the point',
  'a tag that begins with an equals sign': 'InfluxDB answers 204 and never shows the point',
};

const T = 1_700_000_000_000_000_000n;
const at = (seconds: number) => T + BigInt(seconds) * 1_000_000_000n;

const LINES: Record<string, string> = {
  'one float': `m f=1 ${T}`,
  'floats in every form': [
    '1',
    '1.',
    '.5',
    '-.5',
    '-1.5',
    '0',
    '-0',
    '1e5',
    '1E5',
    '1e+5',
    '1e-5',
    '1.5e300',
    '1e-400',
    '007',
    '123456789.123456789',
    '0.1',
    '1234567890123456789012345',
    '9007199254740993',
  ]
    .map((value, i) => `m f=${value} ${at(i)}`)
    .join('\n'),
  'integers in every form': ['0i', '1i', '-1i', '007i', '9223372036854775807i', '-9223372036854775808i']
    .map((value, i) => `m f=${value} ${at(i)}`)
    .join('\n'),
  'unsigned in every form': ['0u', '1u', '18446744073709551615u'].map((value, i) => `m f=${value} ${at(i)}`).join('\n'),
  'booleans in every form': ['t', 'T', 'true', 'True', 'TRUE', 'f', 'F', 'false', 'False', 'FALSE']
    .map((value, i) => `m f=${value} ${at(i)}`)
    .join('\n'),
  strings: ['""', '"a b"', '"a,b=c"', '"a\\"b"', '"a\\\\b"', '"\\n stays"', '"ünï ☃ 😀"', '"#"', '"\'"', '"tab\there"']
    .map((value, i) => `m f=${value} ${at(i)}`)
    .join('\n'),
  'a string over two lines': `m f="first\nsecond" ${T}\nm f="third" ${at(1)}`,
  'text after a closing quote': `m f="x"y ${T}`,
  'backslash before the closing quote': `m f="x\\" ${T}`,
  'two backslashes before the closing quote': `m f="x\\\\" ${T}`,
  'all types in one line': `m,t=v f=1.5,i=2i,u=3u,s="x",b=t ${T}`,
  'escapes in the measurement': `a\\ b\\,c=d f=1 ${T}`,
  'backslashes that escape nothing': `a\\b,t\\k=v\\w f\\g=1 ${T}`,
  'escapes in tags': `m,a\\ b=c\\ d,e\\,f=g\\,h,i\\=j=k\\=l f=1 ${T}`,
  'escapes in field keys': `m a\\ b=1,c\\,d=2,e\\=f=3 ${T}`,
  'a quote in a field key': `m a"b=1 ${T}`,
  'an escaped quote in a field key': `m a\\"b=1 ${T}`,
  'quotes in the measurement and tags': `"m",t="v" f=1 ${T}`,
  'two backslashes before a comma': `m\\\\,t=v f=1 ${T}`,
  'a backslash at the end of a tag': `m,t=v\\ f=1 ${T}`,
  'unicode everywhere': `wärme,ört=Zürich ☃=1 ${T}`,
  'tags out of order': `m,b=1,a=2 f=1 ${T}\nm,a=2,b=1 f=2 ${at(1)}`,
  'tags out of order that need bytes to sort': `m,ä=1,z=2,Z=3 f=1 ${T}`,
  'comments and blank lines': `# comment\n\n  \n\t\nm f=1 ${T}\n   # another\n\n`,
  'blanks before a line': `   m f=1 ${T}\n\tm f=2 ${at(1)}`,
  'many blanks between the parts': `m   f=1   ${T}   `,
  'tab between the parts': `m\tf=1\t${T}`,
  'carriage return after a timestamp': `m f=1 ${T}\r\nm f=2 ${at(1)}\r\n`,
  'carriage return after a number': 'm f=1\r\n',
  'carriage return after a string': 'm f="x"\r\n',
  'carriage return on a blank line': `m f=1 ${T}\n\r\nm f=2 ${at(1)}`,
  'no timestamp': 'm f=1',
  'negative timestamp': 'm f=1 -1',
  'timestamp zero': 'm f=1 0',
  'timestamp with leading zeros': `m f=1 000${T}`,
  'greatest timestamp': 'm f=1 9223372036854775806',
  'timestamp past the greatest': 'm f=1 9223372036854775807',
  'timestamp past 64 bits': 'm f=1 9223372036854775808',
  'timestamp before the least': 'm f=1 -9223372036854775807',
  'timestamp that is a minus': 'm f=1 -',
  'timestamp with a fraction': 'm f=1 1.5',
  'timestamp with letters': 'm f=1 12x',
  'something after the timestamp': `m f=1 ${T} x`,
  'the same point twice': `m f=1 ${T}\nm f=2 ${T}`,
  'two fields of one point in two lines': `m a=1 ${T}\nm b=2 ${T}`,
  'a field twice in one line': `m f=1,f=2 ${T}`,
  'a field twice in one line with two types': `m f=1,f="x" ${T}`,
  'a tag twice': `m,t=1,t=2 f=1 ${T}`,
  'a tag twice, not beside': `m,t=1,a=0,t=2 f=1 ${T}`,
  'reserved tags': `m,_field=x f=1\nm,_measurement=x f=1\nm,time=x f=1`,
  'a field called time': `m time=1 ${T}`,
  'a field called time beside another': `m time=1,f=2 ${T}`,
  'a type conflict': `m f=1 ${T}\nm f=2i ${at(1)}\nm f="x" ${at(2)}\nm f=3 ${at(3)}`,
  'a type conflict takes the whole point': `m a=1,f=1 ${T}\nm a=2,f=t,b=3 ${at(1)}\nm b="x" ${at(2)}`,
  'a type conflict in another series': `m,t=1 f=1 ${T}\nm,t=2 f=1i ${T}`,
  'a type conflict and a field called time': `m f=1 ${T}\nm time=1 ${T}\nm f=1u ${T}`,
  'one bad line among good ones': `m f=1 ${T}\nm f=\nm f=2 ${at(1)}`,
  'many bad lines': 'a\nb \nc,\nd f\n',
  nothing: '',
  'only a comment': '# nothing',
  'no measurement': ',t=v f=1',
  'only a measurement': 'm',
  'only a measurement and a blank': 'm ',
  'a comma and no tag': 'm, f=1',
  'a tag without a value': 'm,t f=1',
  'a tag with an empty value': 'm,t= f=1',
  'a tag with an empty key': 'm,=v f=1',
  'a tag with two equals signs': 'm,t=v=w f=1',
  'a tag that begins with an equals sign': `m,t==v f=1 ${T}`,
  'a comma after the tags': 'm,t=v, f=1',
  'two commas between tags': 'm,t=v,,u=w f=1',
  'tags and no field': 'm,t=v',
  'a field without a value': 'm f=',
  'a field without an equals sign': 'm f',
  'a field with an empty key': 'm =1',
  'a second field with an empty key': 'm f=1,=2',
  'a comma after the fields': 'm f=1,',
  'a field without a value before another': 'm f=,g=1',
  'an escaped equals sign as a key': `m \\==1 ${T}`,
  'a key with two backslashes': `m a\\\\=1 ${T}`,
  'an open quote': `m f="x ${T}\nm f=1 ${T}`,
  'a bare word': 'm f=word',
  'words that look like booleans': 'm f=tru\nm f=Tru\nm f=fAlse\nm f=yes',
  'words that look like numbers': [
    'NaN',
    'nan',
    'Inf',
    '-Inf',
    '+1',
    '1_000',
    '0x10',
    '1.2.3',
    '--1',
    '-',
    '.',
    '-.',
    '1e',
    'e5',
    '-e5',
    '1e+',
    '1e5e5',
    '1e5.5',
    '1ee5',
    '1+5',
    '1-5',
    '.e5',
    '1e400',
    '-1e400',
  ]
    .map((value) => `m f=${value}`)
    .join('\n'),
  'words that look like integers': [
    'i',
    '-i',
    '1.5i',
    '1e5i',
    '1ii',
    '1iu',
    '9i10',
    '+1i',
    '9223372036854775808i',
    '-9223372036854775809i',
    '99999999999999999999999i',
  ]
    .map((value) => `m f=${value}`)
    .join('\n'),
  'words that look like unsigned': ['u', '-1u', '1.5u', '1uu', '18446744073709551616u', '99999999999999999999999u']
    .map((value) => `m f=${value}`)
    .join('\n'),
  'a series key of 65,535 bytes': `${'m'.repeat(65_530)} f=1 ${T}`,
  'a series key that is too long': `${'m'.repeat(65_536)} f=1 ${T}`,
  'a series key that is too long with its field': `${'m'.repeat(65_531)} f=1 ${T}`,
  'a string of 1 MiB': `m f="${'x'.repeat(1_048_576)}" ${T}`,
  'a string that is too long': `m f="${'x'.repeat(1_048_577)}" ${T}\nm f="y" ${at(1)}`,
  'angle brackets and ampersands in an error': 'm f=<&>',
};

const CASES: Case[] = [
  ...Object.entries(LINES).map(([name, body]) => ({ name, body })),
  ...['ns', 'us', 'ms', 's'].map((precision) => ({
    name: `precision ${precision}`,
    body: 'm f=1 1700000000',
    query: { precision },
  })),
  { name: 'precision ms past the greatest time', body: 'm f=1 9223372036855', query: { precision: 'ms' } },
  { name: 'precision s without a timestamp', body: 'm f=1', query: { precision: 's' } },
  { name: 'precision nobody knows', body: 'm f=1', query: { precision: 'm' } },
  { name: 'precision in capitals', body: 'm f=1', query: { precision: 'NS' } },
  { name: 'gzip', body: gzipSync(`m f=1 ${T}`), headers: { 'content-encoding': 'gzip' } },
  { name: 'gzip that is none', body: 'm f=1', headers: { 'content-encoding': 'gzip' } },
  {
    name: 'gzip that is cut off',
    body: gzipSync(`m f=1 ${T}`).subarray(0, 25),
    headers: { 'content-encoding': 'gzip' },
  },
  {
    name: 'gzip with a wrong checksum',
    body: withoutChecksum(gzipSync(`m f=1 ${T}`)),
    headers: { 'content-encoding': 'gzip' },
  },
  { name: 'gzip and nothing in it', body: gzipSync(''), headers: { 'content-encoding': 'gzip' } },
  { name: 'no token', body: 'm f=1', headers: { authorization: '' } },
  { name: 'a wrong token', body: 'm f=1', headers: { authorization: 'Token wrong' } },
  { name: 'a scheme nobody knows', body: 'm f=1', headers: { authorization: 'Digest test-token' } },
  { name: 'a bearer token', body: `m f=1 ${T}`, headers: { authorization: 'Bearer test-token' } },
  { name: 'a token in small letters', body: `m f=1 ${T}`, headers: { authorization: 'token test-token' } },
  { name: 'no bucket', body: 'm f=1', query: { bucket: '' } },
  { name: 'a bucket that is not there', body: 'm f=1', query: { bucket: 'no "such"' } },
  { name: 'a bucket id that is not there', body: 'm f=1', query: { bucket: '0123456789abcdef' } },
  { name: 'no organization', body: 'm f=1', query: { org: '' } },
  { name: 'an organization that is not there', body: 'm f=1', query: { org: 'nobody' } },
  { name: 'an organization id that is not there', body: 'm f=1', query: { org: '0123456789abcdef' } },
  { name: 'an organization id that is none', body: 'm f=1', query: { orgID: 'x' } },
  { name: 'an organization id of zeros', body: 'm f=1', query: { orgID: '0000000000000000' } },
  { name: 'bad precision and no bucket', body: 'm f=1', query: { precision: 'x', bucket: '' } },
  { name: 'GET of write', method: 'GET' },
  { name: 'a path nobody knows', path: '/api/v2/nothing' },
  { name: 'a path nobody knows, without a token', path: '/api/v2/nothing', headers: { authorization: '' } },
  { name: 'ping', method: 'GET', path: '/ping' },
  { name: 'buckets: one that is not there', method: 'GET', path: '/api/v2/buckets', query: { name: 'nobody' } },
  { name: 'buckets: an id that is none', method: 'GET', path: '/api/v2/buckets/xyz' },
  { name: 'buckets: an id that is not there', method: 'GET', path: '/api/v2/buckets/0123456789abcdef' },
  { name: 'buckets: limit', method: 'GET', path: '/api/v2/buckets', query: { limit: '101' } },
  { name: 'buckets: no organization', path: '/api/v2/buckets', body: '{"name":"x"}' },
  { name: 'buckets: unknown organization', path: '/api/v2/buckets', body: '{"name":"x","orgID":"0123456789abcdef"}' },
  { name: 'orgs: unknown', method: 'GET', path: '/api/v2/orgs', query: { org: 'nobody' } },
  { name: 'delete: not JSON', path: '/api/v2/delete', body: 'x' },
  { name: 'delete: nothing', path: '/api/v2/delete', body: '{}' },
  { name: 'delete: no stop', path: '/api/v2/delete', body: '{"start":"2020-01-01T00:00:00Z"}' },
  { name: 'delete: a date', path: '/api/v2/delete', body: '{"start":"2020-01-01","stop":"2021-01-01T00:00:00Z"}' },
  ...['a=1 or b=2', '_field="x"', 'a=~/x/', "a='v'", 'a>1', '(a=1', 'a=1)', 'a', 'a=', '=1'].map((predicate) => ({
    name: `delete: ${predicate}`,
    path: '/api/v2/delete',
    body: JSON.stringify({ start: '2020-01-01T00:00:00Z', stop: '2021-01-01T00:00:00Z', predicate }),
  })),
  {
    name: 'delete: no bucket',
    path: '/api/v2/delete',
    query: { bucket: '' },
    body: '{"start":"2020-01-01T00:00:00Z","stop":"2021-01-01T00:00:00Z"}',
  },
  { name: 'query: not JSON', path: '/api/v2/query', body: 'x' },
  { name: 'query: nothing', path: '/api/v2/query', body: '{}' },
  { name: 'query: another language', path: '/api/v2/query', body: '{"query":"x","type":"influxql"}' },
  { name: 'query: annotations', path: '/api/v2/query', body: '{"query":"x","dialect":{"annotations":["x"]}}' },
  { name: 'query: delimiter', path: '/api/v2/query', body: '{"query":"x","dialect":{"delimiter":";;"}}' },
  { name: 'query: unknown organization', path: '/api/v2/query', query: { org: 'nobody' }, body: '{"query":"x"}' },
];

const DELETES = {
  'all of a time range': { start: formatTime(at(1)), stop: formatTime(at(3)) },
  'one measurement': { start: formatTime(T), stop: formatTime(at(9)), predicate: '_measurement="a"' },
  'a tag': { start: formatTime(T), stop: formatTime(at(9)), predicate: 't=v' },
  'measurement and tag': { start: formatTime(T), stop: formatTime(at(2)), predicate: '_measurement = "a" AND (t="w")' },
  'all but a tag': { start: formatTime(T), stop: formatTime(at(9)), predicate: 't != "v"' },
  'a tag that is a number': { start: formatTime(T), stop: formatTime(at(9)), predicate: 'n=-5' },
  'a tag nobody has': { start: formatTime(T), stop: formatTime(at(9)), predicate: 'zzz="v"' },
};
const BEFORE_DELETE = ['a,t=v', 'a,t=w', 'b,t=v', 'b', 'c,n=-5']
  .flatMap((key) => [0, 1, 2, 3, 4].map((i) => `${key} f=${i},g=${i}i ${at(i)}`))
  .join('\n');

function withoutChecksum(gzip: Buffer): Buffer {
  const copy = Buffer.from(gzip);
  copy.fill(0, copy.length - 8, copy.length - 4);
  return copy;
}

interface Server {
  readonly url: string;
  readonly token: string;
  readonly org: string;
}

async function send(
  server: Server,
  { method = 'POST', path = '/api/v2/write', query, headers, body }: Case,
  bucket: string,
): Promise<Answer> {
  const parameters = new URLSearchParams(
    Object.entries({ org: server.org, bucket, ...query }).filter(([, value]) => value !== ''),
  );
  const response = await fetch(`${server.url}${path}?${parameters}`, {
    method,
    headers: { authorization: `Token ${server.token}`, ...headers },
    ...(method !== 'GET' && { body: body ?? '' }),
  });
  const text = await response.text();
  const { code, message } = response.status >= 400 ? (JSON.parse(text) as Answer) : {};
  return { status: response.status, ...(code && { code }), ...(message && { message }) };
}

async function createBucket({ url, token, org }: Server, name: string): Promise<void> {
  const headers = { authorization: `Token ${token}` };
  const found = (await (await fetch(`${url}/api/v2/orgs?org=${org}`, { headers })).json()) as {
    orgs: [{ id: string }];
  };
  const body = JSON.stringify({ name, orgID: found.orgs[0].id });
  const response = await fetch(`${url}/api/v2/buckets`, { method: 'POST', headers, body });
  expect(response.status).toBe(201);
}

/** A point as text: `measurement,tags field type value time`; the time of this hour is `now`. */
function describePoint(
  measurement: string,
  tags: Iterable<[string, string]>,
  field: string,
  type: string,
  value: unknown,
  time: string,
): string {
  const isNow = Math.abs(Date.parse(time) - Date.now()) < 3_600_000;
  return JSON.stringify([
    measurement,
    ...[...tags].flat(),
    field,
    type,
    type === 'double' ? Number(value) : String(value),
    isNow ? 'now' : time,
  ]);
}

async function pointsOfInfluxd({ url, token, org }: Server, bucket: string): Promise<string[]> {
  const flux = `from(bucket: "${bucket}") |> range(start: 1677-09-22T00:00:00Z, stop: 2262-04-11T00:00:00Z)`;
  const points: string[] = [];
  for await (const { values, tableMeta } of new InfluxDB({ url, token }).getQueryApi(org).iterateRows(flux)) {
    const row = new Map(tableMeta.columns.map(({ label, dataType }, i) => [label, { text: values[i]!, dataType }]));
    const tags = [...row].filter(
      ([label]) => !/^(result|table|_start|_stop|_time|_value|_field|_measurement)$/.test(label),
    );
    const { dataType, text: csvText } = row.get('_value')!;
    const text = csvText.replaceAll('\r\n', '\n'); // InfluxDB's CSV writes a newline as CRLF, inside quotes too
    const sorted = tags.map(([label, tag]): [string, string] => [label, tag.text]).sort();
    points.push(
      describePoint(
        row.get('_measurement')!.text,
        sorted,
        row.get('_field')!.text,
        dataType,
        text,
        row.get('_time')!.text,
      ),
    );
  }
  return points.sort();
}

const DATA_TYPES = {
  float: 'double',
  integer: 'long',
  unsigned: 'unsignedLong',
  string: 'string',
  boolean: 'boolean',
} as const;

async function pointsOfStore(store: Store, bucket: string): Promise<string[]> {
  const points: string[] = [];
  for (const series of store.series(store.bucketByName(bucket)!.id)) {
    const start = BigInt(Date.parse('1677-09-22T00:00:00Z')) * 1_000_000n;
    const stop = BigInt(Date.parse('2262-04-11T00:00:00Z')) * 1_000_000n;
    const { columns, rowCount } = await store.query(await store.pointsSql(series.type, [series.id], start, stop));
    for (let row = 0; row < rowCount; row++) {
      const time = formatTime(columns[1]![row] as bigint);
      const tags = [...series.tags].sort();
      points.push(
        describePoint(series.measurement, tags, series.field, DATA_TYPES[series.type], columns[2]![row], time),
      );
    }
  }
  return points.sort();
}

describeWith(['influxd'], 'embedded InfluxDB against InfluxDB 2.7: writing', () => {
  let influxd: Influxd;
  beforeAll(async () => {
    influxd = await startInfluxd();
  });
  afterAll(() => influxd.stop());

  test('answers and stored points are equal', async () => {
    const dataDir = await temporaryFolder();
    const { token, org } = influxd;
    const log = pino({ level: 'silent' });
    const embedded = await startInfluxdb({ port: 0, dataDir, token, org, buckets: [], log, setting: 'port' });
    const servers: [Server, Server] = [{ url: embedded.url, token, org }, influxd];
    const buckets: string[] = [];
    const bucketFor = async (name: string) => {
      const bucket = `bucket ${buckets.length}: ${name.replaceAll('"', '')}`;
      buckets.push(bucket);
      for (const server of servers) await createBucket(server, bucket);
      return bucket;
    };
    for (const request of CASES) {
      const bucket = await bucketFor(request.name);
      const [ours, theirs] = await Promise.all(servers.map((server) => send(server, request, bucket)));
      if (request.name in DIFFERENCES) expect.soft(ours, request.name).not.toEqual(theirs);
      else expect.soft(ours, request.name).toEqual(theirs);
    }
    for (const [name, deletion] of Object.entries(DELETES)) {
      const bucket = await bucketFor(`delete ${name}`);
      for (const request of [
        { name, body: BEFORE_DELETE },
        { name, path: '/api/v2/delete', body: JSON.stringify(deletion) },
      ]) {
        const [ours, theirs] = await Promise.all(servers.map((server) => send(server, request, bucket)));
        expect.soft(ours, name).toEqual(theirs);
      }
    }
    await embedded.close();
    const store = await Store.open({ dataDir, log });
    for (const bucket of buckets) {
      const [ours, theirs] = [await pointsOfStore(store, bucket), await pointsOfInfluxd(influxd, bucket)];
      if (bucket.replace(/^bucket \d+: /, '') in SHOWN_BY_US_ONLY)
        expect.soft([ours.length, theirs.length], bucket).toEqual([1, 0]);
      else expect.soft(ours, bucket).toEqual(theirs);
    }
    await store.close();
  }, 120_000);
});
