import fc from 'fast-check';
import { generate, parser } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { PacketMeter, publishFrame } from '../../../src/embedded/broker/wire.ts';

describe('publishFrame', () => {
  test('is what mqtt-packet writes and reads', () => {
    const packets = fc.record({
      topic: fc.string({ minLength: 1, maxLength: 200, unit: 'grapheme' }).filter((topic) => !/[+#\0]/.test(topic)),
      payload: fc.uint8Array({ maxLength: 20_000 }).map((bytes) => Buffer.from(bytes)),
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      retain: fc.boolean(),
      packetId: fc.integer({ min: 1, max: 65_535 }),
    });
    fc.assert(
      fc.property(packets, ({ topic, payload, qos, retain, packetId }) => {
        const dup = qos > 0;
        const frame = publishFrame(Buffer.from(topic), payload, { qos, retain, dup, packetId });
        expect(frame).toEqual(generate({ cmd: 'publish', topic, payload, qos, retain, dup, messageId: packetId }));
      }),
    );
  });

  test.each([127, 128, 16_383, 16_384, 2_097_151, 2_097_152])('a remaining length of %i bytes', (length) => {
    const frame = publishFrame(Buffer.from('a'), Buffer.alloc(length - 3), { qos: 0, retain: false });
    const received: number[] = [];
    parser()
      .on('packet', (packet) => received.push(packet.length ?? 0))
      .parse(frame);
    expect(received).toEqual([length]);
  });
});

describe('PacketMeter', () => {
  const small = publishFrame(Buffer.from('t'), Buffer.alloc(95), { qos: 1, retain: false, packetId: 1 });
  const large = publishFrame(Buffer.from('t'), Buffer.alloc(300), { qos: 1, retain: false, packetId: 2 });

  test('finds a packet above the limit however the bytes are cut', () => {
    const bytes = Buffer.concat([small, small, large, small]);
    for (let cut = 1; cut < 20; cut++) {
      const meter = new PacketMeter(large.length - 1);
      const found: number[] = [];
      for (let at = 0; at < bytes.length && found.length === 0; at += cut) {
        const size = meter.oversized(bytes.subarray(at, at + cut));
        if (size !== undefined) found.push(size);
      }
      expect(found).toEqual([large.length]);
    }
  });

  test('knows it from the header alone, and lets a packet of exactly the limit pass', () => {
    expect(new PacketMeter(large.length - 1).oversized(large.subarray(0, 3))).toBe(large.length);
    expect(new PacketMeter(large.length).oversized(large)).toBeUndefined();
  });
});
