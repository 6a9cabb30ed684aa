import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_DEPTH, MAX_FIELDS, readMessage, type Site } from '../../actions/shared/reading.ts';
import { LineProtocolReader } from '../../src/embedded/influxdb/line-protocol.ts';

const RECEIVED = 1_795_000_000_000_000_007n;
const TRUST: Site = { enforce: 'trust' };

function read(body: string | Buffer, site: Site = TRUST) {
  const isBase64 = typeof body !== 'string';
  const message = {
    id: 'm',
    topic: 'test',
    body: isBase64 ? body.toString('base64') : body,
    isBase64,
    receivedAt: RECEIVED,
  };
  return readMessage(message, site);
}
const codeOf = (body: string | Buffer, site?: Site) => read(body, site).refusal?.code;

test("the predecessor's message becomes one line per quantity", () => {
  const body = '{"humidity":41.0,"temperature":23.5,"gas_perc":17.0,"device_fingerprint":8394527,"datacenter_id":1}';
  expect(read(body)).toEqual({
    lines: [
      `humidity,datacenter_id=1,device_fingerprint=8394527 value=41 ${RECEIVED}`,
      `temperature,datacenter_id=1,device_fingerprint=8394527 value=23.5 ${RECEIVED}`,
      `gas_perc,datacenter_id=1,device_fingerprint=8394527 value=17 ${RECEIVED}`,
    ],
    ignoredFields: 0,
    oddTime: false,
  });
});

describe('bad bodies are refused with a code', () => {
  test.each<[string, string | Buffer, string]>([
    ['not JSON', 'Hello, world!', 'NOT_JSON'],
    ['NaN', '{"t":NaN}', 'NOT_JSON'],
    ['cut off', '{"t":1', 'NOT_JSON'],
    ['an array', '[{"t":1}]', 'NOT_AN_OBJECT'],
    ['a number', '42', 'NOT_AN_OBJECT'],
    ['null', 'null', 'NOT_AN_OBJECT'],
    ['nothing', '', 'EMPTY'],
    ['white space', ' \n', 'EMPTY'],
    ['no field', '{}', 'NO_NUMERIC_FIELD'],
    ['only ids and times', '{"datacenter_id":1,"device_fingerprint":2,"time":1700000000}', 'NO_NUMERIC_FIELD'],
    ['only text', '{"a":"1","b":true,"c":null,"d":{"e":1}}', 'NO_NUMERIC_FIELD'],
    ['too deep', `{"t":1,"x":${'['.repeat(MAX_DEPTH)}${']'.repeat(MAX_DEPTH)}}`, 'TOO_DEEP'],
    ['very deep', '['.repeat(1_000_000), 'TOO_DEEP'],
    [
      'many fields',
      JSON.stringify(Object.fromEntries(Array.from({ length: MAX_FIELDS + 1 }, (_, i) => [`f${i}`, i]))),
      'TOO_MANY_FIELDS',
    ],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'INVALID_UTF8'],
    ['binary', Buffer.from([0, 1, 2, 3]), 'NOT_JSON'],
    ['a device that is an object', '{"t":1,"device_fingerprint":{}}', 'TAG_REFUSED'],
    ['a device beyond numbers', '{"t":1,"device_fingerprint":1e400}', 'TAG_REFUSED'],
    ['a device with a newline', '{"t":1,"device_fingerprint":"a\\nb"}', 'TAG_REFUSED'],
    ['a device with a final backslash', '{"t":1,"device_fingerprint":"a\\\\"}', 'TAG_REFUSED'],
  ])('%s', (_, body, code) => {
    expect(read(body)).toMatchObject({ lines: [], refusal: { code } });
  });
});

test('10 MB are read or refused, not choked on', () => {
  expect(read(`{"t":1,"x":"${'y'.repeat(10_000_000)}"}`).lines).toHaveLength(1);
  expect(codeOf('y'.repeat(10_000_000))).toBe('NOT_JSON');
});

describe('a field that can not be stored is named and costs no other', () => {
  test.each([
    ['1e400', '"bad":1e400'],
    ['-1e400', '"bad":-1e400'],
    ['an empty key', '"":1'],
    ['a comment', '"#bad":1'],
    ['a newline', '"b\\nad":1'],
    ['a carriage return', '"b\\rad":1'],
    ['a tab', '"b\\tad":1'],
    ['NUL', '"b\\u0000ad":1'],
    ['C1', '"b\\u0085ad":1'],
    ['a lone surrogate', '"b\\ud800ad":1'],
    ['a final backslash', '"bad\\\\":1'],
    ['a backslash before a comma', '"b\\\\,ad":1'],
    ['a backslash before a space', '"b\\\\ ad":1'],
    ['a backslash before a quote', '"b\\\\\\"ad":1'],
    ['a backslash before an equals sign', '"b\\\\=ad":1'],
  ])('%s', (_, field) => {
    const { lines, refusal } = read(`{"good":1,${field},"also":2}`);
    expect(lines).toEqual([`good value=1 ${RECEIVED}`, `also value=2 ${RECEIVED}`]);
    expect(refusal).toMatchObject({
      code: 'FIELD_REFUSED',
      message: expect.stringContaining('other numeric fields (2)'),
    });
    expect(refusal!.message).toContain(JSON.stringify(Object.keys(JSON.parse(`{${field}}`))[0]));
  });
});

test('what is no number is counted and costs nothing', () => {
  expect(read('{"t":1,"a":"5","b":true,"c":null,"d":[1],"e":{"f":2}}')).toEqual({
    lines: [`t value=1 ${RECEIVED}`],
    ignoredFields: 5,
    oddTime: false,
  });
});

test('keys and ids are escaped as line protocol has it', () => {
  const body = {
    'a b,c=d"e\\f': 1,
    _under: 2,
    'ä😀': 3,
    ' # ': 4,
    datacenter_id: 'x,y z=w"',
    device_fingerprint: 'd\\e',
  };
  const tags = String.raw`,datacenter_id=x\,y\ z\=w",device_fingerprint=d\e`;
  expect(read(JSON.stringify(body)).lines).toEqual([
    String.raw`a\ b\,c=d"e\f${tags} value=1 ${RECEIVED}`,
    `_under${tags} value=2 ${RECEIVED}`,
    `ä😀${tags} value=3 ${RECEIVED}`,
    String.raw`\ #\ ${tags} value=4 ${RECEIVED}`,
  ]);
});

test('numbers are floats, of duplicate keys the last counts, __proto__ is a key', () => {
  const body = '{"a":1,"a":2,"b":1e21,"c":5e-324,"d":-0,"e":12345678901234567890,"__proto__":7}';
  const values = read(body).lines.map((line) => line.replace(` ${RECEIVED}`, ''));
  expect(values).toEqual([
    'a value=2',
    'b value=1e+21',
    'c value=5e-324',
    'd value=0',
    'e value=12345678901234567000',
    '__proto__ value=7',
  ]);
});

test('base64 of valid text is read as that text', () => {
  expect(read(Buffer.from('{"ä":1}')).lines).toEqual([`ä value=1 ${RECEIVED}`]);
});

describe('the time of the points', () => {
  const timeOf = (time: string) => {
    const { lines, oddTime } = read(`{"t":1,${time}}`);
    return [lines[0]!.split(' ').at(-1), oddTime];
  };
  test.each([
    ['"time":1700000000123456789', '1700000000123456789'],
    ['"timestamp":"1700000000123456789"', '1700000000123456789'],
    ['"timestamp":1700000000.123456789', '1700000000123456789'],
    ['"time":1700000000123', '1700000000123000000'],
    ['"time":"2023-11-14T23:13:20.123456789+01:00"', '1700000000123456789'],
    ['"time":"soon","timestamp":1700000000', '1700000000000000000'],
    ['"timestamp":1600000000,"time":1700000000', '1700000000000000000'],
    ['"nested":{"time":5},"time":1700000000123456789,"x":1', '1700000000123456789'],
  ])('is %s', (time, expected) => expect(timeOf(time)).toEqual([expected, false]));

  test.each([
    '"time":"soon"',
    '"time":12.5',
    '"timestamp":1',
    '"time":true',
    '"time":1e30',
    '"time":9223372036854775807',
  ])('is the arrival for %s, and that is counted', (time) => expect(timeOf(time)).toEqual([String(RECEIVED), true]));
});

describe('whose data center it is', () => {
  const tagsOf = (site: Site, id: string) => read(`{"t":1${id}}`, site).lines[0]?.split(' ')[0];
  const site = (enforce: Site['enforce']): Site => ({ enforce, datacenterId: '7' });

  test('trust: the payload says it, the site if the payload does not', () => {
    expect(tagsOf(site('trust'), ',"datacenter_id":1')).toBe('t,datacenter_id=1');
    expect(tagsOf(site('trust'), '')).toBe('t,datacenter_id=7');
    expect(tagsOf(site('trust'), ',"datacenter_id":null')).toBe('t,datacenter_id=7');
    expect(tagsOf({ enforce: 'trust' }, '')).toBe('t');
    expect(tagsOf({ enforce: 'trust' }, ',"datacenter_id":""')).toBe('t');
  });
  test('tag: the site says it', () => {
    expect(tagsOf(site('tag'), ',"datacenter_id":1')).toBe('t,datacenter_id=7');
  });
  test('reject: a payload with another is refused', () => {
    expect(codeOf('{"t":1,"datacenter_id":1}', site('reject'))).toBe('DATACENTER_MISMATCH');
    expect(tagsOf(site('reject'), ',"datacenter_id":7')).toBe('t,datacenter_id=7');
    expect(tagsOf(site('reject'), '')).toBe('t,datacenter_id=7');
  });
  test('ids beyond 2^53 keep their digits', () => {
    expect(tagsOf(TRUST, ',"device_fingerprint":12345678901234567891')).toBe(
      't,device_fingerprint=12345678901234567891',
    );
  });
});

test('names, ids and values are read from the line as they were in the message', () => {
  const name = fc.string({
    unit: fc.constantFrom('a', '\\', ',', ' ', '=', '"', '#', "'", '😀', '\n', '\ud800', '_'),
    maxLength: 6,
  });
  const id = fc.oneof(name, fc.maxSafeInteger());
  const reader = new LineProtocolReader();
  fc.assert(
    fc.property(name, id, id, fc.double({ noNaN: true, noDefaultInfinity: true }), (key, datacenter, device, value) => {
      fc.pre(!['time', 'timestamp'].includes(key));
      const { lines, refusal } = read(
        JSON.stringify({ [key]: value, datacenter_id: datacenter, device_fingerprint: device }),
      );
      if (refusal) return lines.length === 0;
      const [point, ...more] = reader.read(lines.join('\n'), 'ns', 0n);
      const tags = { datacenter_id: String(datacenter), device_fingerprint: String(device) };
      expect(more).toEqual([]);
      expect(point!.series.measurement).toBe(key);
      expect(Object.fromEntries(point!.series.tags)).toEqual(
        Object.fromEntries(Object.entries(tags).filter(([, tag]) => tag !== '')),
      );
      expect(point!.fields).toEqual([{ key: 'value', type: 'float', value: value + 0 }]);
      expect(point!.time).toBe(RECEIVED);
      return true;
    }),
    { numRuns: 20_000 },
  );
});

test('100,000 malformed bodies never throw, and whatever becomes a line is one line', () => {
  const scraps = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    '\\',
    '\n',
    '\0',
    ' ',
    '#',
    '=',
    'e',
    '.',
    '-',
    '1',
    '1e400',
    'null',
    'true',
    'NaN',
    '"time"',
    '"timestamp"',
    '"datacenter_id"',
    '"device_fingerprint"',
    '\\u0000',
    '\\ud800',
    '\ud800',
    '\uffff',
    '1700000000',
    '"2023-11-14"',
    'ä',
    '😀',
  );
  const key = fc.array(scraps, { maxLength: 4 }).map((parts) => parts.join(''));
  const value = fc.oneof(
    fc.double(),
    fc.maxSafeInteger(),
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const body = fc.oneof(
    fc.array(scraps, { maxLength: 12 }).map((parts) => parts.join('')),
    fc.array(scraps, { maxLength: 12 }).map((parts) => `{"t":1,${parts.join('')}}`),
    fc
      .array(
        fc.tuple(fc.oneof(key, fc.constantFrom('time', 'timestamp', 'datacenter_id', 'device_fingerprint')), value),
        { maxLength: 4 },
      )
      .map((entries) => JSON.stringify(Object.fromEntries(entries))),
    fc.uint8Array({ maxLength: 24 }).map((bytes) => Buffer.from(bytes)),
  );
  fc.assert(
    fc.property(body, (generated) => {
      const { lines, refusal } = read(generated);
      if (lines.length === 0 && !refusal) return false;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the claim
      return lines.every((line) => /^[^#\x00-\x1f][^\x00-\x1f]* value=-?\d[\d.e+-]* \d{18,19}$/.test(line));
    }),
    { numRuns: 100_000 },
  );
});
