import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonBytes } from '../../src/core/json-bytes.ts';

describe('JsonBytes', () => {
  it('quotes any text as JSON.stringify does', () => {
    const json = new JsonBytes();
    const texts = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })));
    fc.assert(
      fc.property(texts, (all) => {
        for (const text of all) expect(json.addString(Buffer.from(text))).toBe(true);
        expect(json.take().toString()).toBe(all.map((text) => JSON.stringify(text)).join(''));
      }),
    );
  });

  it('adds nothing of what is no UTF-8', () => {
    const json = new JsonBytes();
    json.add('[');
    expect(json.addString(Buffer.from([0x22, 0xff]))).toBe(false);
    json.add(']');
    expect(json.take().toString()).toBe('[]');
  });

  it('grows as needed, and begins anew after each text', () => {
    const json = new JsonBytes();
    const body = Buffer.alloc(3_000_000, '"');
    json.add('ä'.repeat(70_000));
    json.addString(body);
    expect(json.take().toString()).toBe('ä'.repeat(70_000) + JSON.stringify(body.toString()));
    json.add('{}');
    expect(json.take().toString()).toBe('{}');
  });
});
