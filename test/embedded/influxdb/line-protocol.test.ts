import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineProtocolError, LineProtocolReader, type Point } from '../../../src/embedded/influxdb/line-protocol.ts';

const NOW = 1_700_000_000_123_456_789n;
const read = (text: string) => [...new LineProtocolReader().read(text, 'ns', NOW)];
const messageOf = (text: string) => {
  try {
    read(text);
  } catch (error) {
    expect(error).toBeInstanceOf(LineProtocolError);
    return (error as Error).message;
  }
  throw new Error('nothing was refused');
};

/** A point as the writer of a line knows it. */
interface Written {
  measurement: string;
  tags: Array<[string, string]>;
  fields: Array<[string, number | bigint | string | boolean | { unsigned: bigint }]>;
  time: bigint | undefined;
}

function line({ measurement, tags, fields, time }: Written): string {
  const escaped = (text: string, chars: RegExp) => text.replace(chars, '\\$&');
  const value = (field: Written['fields'][number][1]) => {
    if (typeof field === 'bigint') return `${field}i`;
    if (typeof field === 'object') return `${field.unsigned}u`;
    if (typeof field === 'string') return `"${escaped(field, /["\\]/g)}"`;
    return String(field);
  };
  const key = [
    escaped(measurement, /[, ]/g),
    ...tags.map((tag) => tag.map((part) => escaped(part, /[,= ]/g)).join('=')),
  ];
  const body = fields.map(([name, field]) => `${escaped(name, /[,= ]/g)}=${value(field)}`);
  return `${key.join(',')} ${body.join(',')}${time === undefined ? '' : ` ${time}`}`;
}

// A name can't hold a newline, and a backslash only where nothing that it could escape follows.
const name = fc
  .string({ minLength: 1, maxLength: 12, unit: 'grapheme' })
  .map((text) => text.replace(/[\\\n\r\t\0"#]/g, '_'))
  .filter((text) => !/^[\s,]/.test(text) && !['time', '_field', '_measurement'].includes(text));
const written: fc.Arbitrary<Written> = fc.record({
  measurement: name,
  tags: fc.uniqueArray(
    fc.tuple(
      name,
      name.filter((text) => !text.startsWith('=')),
    ),
    { maxLength: 4, selector: ([key]) => key },
  ),
  fields: fc.uniqueArray(
    fc.tuple(
      name,
      fc.oneof(
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((unsigned) => ({ unsigned })),
        fc.string({ unit: 'binary' }).map((text) => Buffer.from(text).toString()),
        fc.boolean(),
      ),
    ),
    { minLength: 1, maxLength: 5, selector: ([key]) => key },
  ),
  time: fc.option(fc.bigInt({ min: -(2n ** 63n) + 2n, max: 2n ** 63n - 2n }), { nil: undefined }),
});

function expectPoint(point: Point, expected: Written): void {
  expect(point.series.measurement).toBe(expected.measurement);
  expect(new Map(point.series.tags)).toEqual(new Map(expected.tags));
  const bytes = [...point.series.tags.keys()].map((key) => Buffer.from(key));
  expect(bytes).toEqual([...bytes].sort(Buffer.compare));
  expect(point.fields.map(({ key, value }) => [key, value])).toEqual(
    expected.fields.map(([key, value]) => [
      key,
      typeof value === 'object' ? value.unsigned : value === 0 ? Number(String(value)) : value,
    ]),
  );
  expect(point.time).toBe(expected.time ?? NOW);
}

describe('line protocol', () => {
  test('what is written is read', () => {
    fc.assert(
      fc.property(fc.array(written, { minLength: 1, maxLength: 5 }), fc.boolean(), (points, hasComments) => {
        const text = points.map(line).join(hasComments ? '\n# "comment\n\n' : '\n');
        const got = read(text);
        expect(got).toHaveLength(points.length);
        for (const [i, point] of got.entries()) expectPoint(point, points[i]!);
      }),
      { numRuns: 2_000 },
    );
  });

  test('100,000 malformed inputs get points or one kind of error', () => {
    const alphabet = [
      'm',
      't',
      'f',
      'v',
      '1',
      '0',
      '9',
      '-',
      '+',
      '.',
      'e',
      'i',
      'u',
      'N',
      't',
      '=',
      '=',
      ',',
      ',',
      ' ',
      ' ',
      '\n',
      '"',
      '\\',
      '\t',
      '\r',
      '\0',
      '#',
      'ü',
      '😀',
      '\uFFFD',
    ];
    const reader = new LineProtocolReader();
    let refused = 0;
    const attempt = (text: string) => {
      try {
        for (const _ of reader.read(text, 'ns', NOW));
      } catch (error) {
        if (!(error instanceof LineProtocolError)) throw error;
        refused++;
      }
    };
    const good = 'm,t=v,u=w f="a b",g=1.5,h=2i,k=t 1700000000000000000\nm f=1\n';
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 60 }), attempt), {
      numRuns: 50_000,
    });
    fc.assert(
      fc.property(
        fc.nat(good.length),
        fc.nat(8),
        fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 4 }),
        (at, cut, insert) => attempt(good.slice(0, at) + insert + good.slice(at + cut)),
      ),
      { numRuns: 50_000 },
    );
    expect(refused).toBeGreaterThan(50_000);
  });

  test('hostile numbers cost no more than their length', () => {
    const digits = '1'.repeat(2_000_000);
    const started = process.cpuUsage();
    for (const text of [
      `m f=${digits}i`,
      `m f=${digits}u`,
      `m f=1 ${digits}`,
      `m f=${digits}e${digits}`,
      `m f=${'1e'.repeat(1_000_000)}`,
    ]) {
      expect(messageOf(text)).toMatch(/^unable to parse/);
    }
    const { user, system } = process.cpuUsage(started);
    expect(user + system).toBeLessThan(5_000_000); // us
  });

  test('every bad line is named', () => {
    expect(messageOf('m f=1\nm f=\nm f=2\nm,t f=1')).toBe(
      "unable to parse 'm f=': missing field value\nunable to parse 'm,t f=1': missing tag value",
    );
  });

  test('a quoted newline stays in its value', () => {
    expect(read('m f="a\nb"\nm f="c"').map(({ fields }) => fields[0]!.value)).toEqual(['a\nb', 'c']);
  });

  test.each([
    ['ns', 1_700_000_000_123_456_789n],
    ['us', 1_700_000_000_123_456_000n],
    ['ms', 1_700_000_000_123_000_000n],
    ['s', 1_700_000_000_000_000_000n],
  ] as const)('precision %s', (precision, now) => {
    const unit = { ns: 1n, us: 1_000n, ms: 1_000_000n, s: 1_000_000_000n }[precision];
    expect(Array.from(new LineProtocolReader().read('m f=1 -17\nm f=1', precision, NOW), ({ time }) => time)).toEqual([
      -17n * unit,
      now,
    ]);
  });

  test('spellings of one series are one series', () => {
    const [a, b] = read('m,b=1,a=2 f=1\nm,a=2,b=1 f=1');
    expect(a!.series.canonical).toBe(b!.series.canonical);
    const [c, d] = read('m,a=1\\,b\\=2 f=1\nm,a=1,b=2 f=1');
    expect(c!.series.canonical).not.toBe(d!.series.canonical);
  });
});
