import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { encodeEventHead, RecordedEvent } from '../src/adapters/journal/event-record.ts';
import { ConfigError, loadConfig } from '../src/config.ts';
import { receiptSchema } from '../src/core/firing.ts';
import { segmentPieces } from '../src/storage/segment-file.ts';
import { Random } from './campaign/random.ts';
import { temporaryFolder } from './support/temporary.ts';

/**
 * Generated malformed input for the parsers that have no test of this kind beside their own: MQTT payloads and line
 * protocol have it in actions/reading.test.ts and embedded/influxdb/line-protocol.test.ts, Flux in its parser's test.
 */

const COUNT = 100_000;

/** Random whole numbers from 0 to one below `below`. */
function numbers(seed: number): (below: number) => number {
  const random = new Random(seed);
  return (below) => Math.floor(random.next() * below);
}

/** A text with one to three pieces cut, doubled, or replaced. */
function malformed(text: string, pieces: readonly string[], below: (n: number) => number): string {
  let changed = text;
  for (let changes = 1 + below(3); changes > 0; changes--) {
    const at = below(changed.length + 1);
    const length = below(8);
    const middle = [
      '',
      pieces[below(pieces.length)]!,
      changed.slice(at, at + length).repeat(2),
      String.fromCharCode(below(256)),
    ][below(4)]!;
    changed = changed.slice(0, at) + middle + changed.slice(at + below(2) * length);
  }
  return changed;
}

describe(`${COUNT.toLocaleString('en')} malformed`, () => {
  it('receipts are refused, or make a receipt within its bounds', () => {
    const below = numbers(1);
    const receipts = [
      '{"batchId":"b","stored":"all"}',
      '{"batchId":"b","stored":["1","2"],"refused":[{"id":"3","code":"C","message":"m"}]}',
      '{"batchId":"b","failed":{"code":"C","message":"m","afterMs":1000}}',
      '{"batchId":"b","stored":"all","next":[{"trigger":"t","payload":{"window":{"from":"a","to":"b"}},"key":"k"}]}',
    ];
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      'null',
      '1e999',
      '-1',
      'true',
      '"all"',
      '"__proto__"',
      '\\u0000',
      '{"a":1}',
    ];
    let refused = 0;
    for (let n = 0; n < COUNT; n++) {
      const text = malformed(receipts[below(receipts.length)]!, pieces, below);
      let content: unknown;
      try {
        content = JSON.parse(text);
      } catch {
        refused += 1;
        continue;
      }
      const parsed = receiptSchema.safeParse(content);
      if (!parsed.success) refused += 1;
      else expect(parsed.data.batchId.length).toBeLessThanOrEqual(256);
    }
    expect(refused).toBeGreaterThan(COUNT / 4);
  });

  it('configurations are read, or all their problems named', async () => {
    const below = numbers(2);
    const file = join(await temporaryFolder(), 'configmap.yml');
    const maps = [
      'kind: ConfigMap\ndata:\n  datacenterId: "7"\n  mqttTopics: \'[{"topic":"a/#","qos":1,"batch":{"lingerMs":5}}]\'\n',
      'kind: ConfigMap\ndata:\n  mqttUrl: "mqtt://u:p@broker:1883"\n  journalMaxBytes: "10000000"\n  confirmBy: "receipt"\n',
      'apiHost: "10.0.0.1:443"\ncouchdbExtPort: "443"\nembeddedImages: \'{"a/b":{"command":["/x"]}}\'\n',
    ];
    const pieces = [
      '"',
      "'",
      ':',
      '\n',
      '  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '&a',
      '*a',
      '!!binary ',
      '|',
      '#',
      '\0',
      '\t',
      '0x1',
      '~',
      '<<: ',
    ];
    const values = {
      mqttTopics: '[{"topic":"a/#","qos":1,"batch":{"lingerMs":5}}]',
      mqttUrl: 'mqtt://u:p@broker:1883',
      apiHost: '10.0.0.1:443',
      embeddedImages: '{"a/b":{"command":["/x"]}}',
      embeddedNamespaces: '{"a":"uuid:key"}',
      journalMaxBytes: '10000000',
    };
    let refused = 0;
    for (let n = 0; n < COUNT; n++) {
      // A file for one in twenty: its parser is a library's.
      const isFile = n % 20 === 0;
      if (isFile) writeFileSync(file, malformed(maps[below(maps.length)]!, pieces, below));
      const [key, value] = Object.entries(values)[below(6)]!;
      const environment = isFile ? {} : { [key]: malformed(value, pieces, below) };
      try {
        expect(loadConfig(isFile ? file : undefined, environment).registrations).toBeInstanceOf(Array);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        expect(error.problems.length).toBeGreaterThan(0);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(COUNT / 4);
  }, 240_000);

  it('journal segments give back every record that was not touched, and none that was never written', () => {
    const below = numbers(3);
    const events = Array.from({ length: 12 }, (_, n) => {
      const body = Buffer.from('x'.repeat(below(40)) + n);
      return Buffer.concat([
        encodeEventHead({ registration: 'r', topic: `t/${n}`, qos: 1, retain: false, body }, 1, n, BigInt(n)),
        body,
      ]);
    });
    const header = Buffer.from('FWLG\x01\0\0\0', 'latin1');
    const records = events.map((event) => {
      const head = Buffer.alloc(8);
      head.writeUInt32LE(event.length, 0);
      head.writeUInt32LE(crc32(event), 4);
      return Buffer.concat([head, event]);
    });
    const ends = records.map((_, n) => Buffer.concat([header, ...records.slice(0, n + 1)]).length);
    const whole = Buffer.concat([header, ...records]);
    let lost = 0;
    for (let n = 0; n < COUNT; n++) {
      const data = Buffer.from(whole);
      const at = header.length + below(data.length - header.length);
      const length = 1 + below(60);
      const kind = below(3);
      let changed = data;
      if (kind === 0) changed = data.subarray(0, at);
      else if (kind === 1) for (let i = at; i < Math.min(at + length, data.length); i++) data[i] = below(256);
      else changed = Buffer.concat([data.subarray(0, at), data.subarray(at + length)]);
      const pieces = [...segmentPieces(changed)];
      const found = pieces.flatMap((piece) =>
        piece.kind === 'record' ? [new RecordedEvent(0, piece.payload, 0, piece.payload.length)] : [],
      );
      expect(found.every(({ topic, sequence }) => topic === `t/${sequence}`)).toBe(true);
      // What ends before the first touched byte is whole.
      const untouched = ends.filter((end) => end <= at).length;
      expect(found.slice(0, untouched).map(({ sequence }) => sequence)).toEqual([...Array(untouched).keys()]);
      if (found.length < events.length) lost += 1;
    }
    expect(lost).toBeGreaterThan(COUNT / 2);
  }, 120_000);
});
