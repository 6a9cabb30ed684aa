import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '../../src/config.ts';
import { FogwhiskError } from '../../src/core/errors.ts';
import { revealed, Seal, secretSchema, siteSeals } from '../../src/core/sealed.ts';

const place = { document: '/guest/a', field: 'auth' };

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof FogwhiskError) return error.code;
    throw error;
  }
  return 'none';
}

describe('sealed secrets', () => {
  it('are opened with the key that sealed them, and look different each time', () => {
    const seal = new Seal(['current']);
    const one = seal.seal('größe:secret', place);
    expect(seal.open(one, place)).toBe('größe:secret');
    expect(seal.seal('größe:secret', place)).not.toEqual(one);
    expect(JSON.stringify(one)).not.toContain('secret');
    expect(secretSchema.parse(one)).toEqual(one);
  });

  it('stay good through a rotation with two keys, until the previous one goes', () => {
    const before = new Seal(['old']).seal('x', place);
    const during = new Seal(['new', 'old']);
    expect(during.open(before, place)).toBe('x');
    expect(during.isCurrent(before)).toBe(false);
    const after = during.seal('x', place);
    expect(during.isCurrent(after)).toBe(true);
    expect(new Seal(['new']).open(after, place)).toBe('x');
    expect(codeOf(() => new Seal(['new']).open(before, place))).toBe('SEALING_KEY_UNKNOWN');
  });

  it('can not be opened elsewhere, nor when changed', () => {
    const seal = new Seal(['k']);
    const sealed = seal.seal('x', place);
    expect(codeOf(() => seal.open(sealed, { ...place, document: '/guest/b' }))).toBe('SEALED_VALUE_DAMAGED');
    expect(codeOf(() => seal.open(sealed, { ...place, field: 'login' }))).toBe('SEALED_VALUE_DAMAGED');
    const [id, data] = sealed.sealed.split('.') as [string, string];
    for (let i = 0; i < data.length; i++) {
      const changed = `${data.slice(0, i)}${data[i] === 'A' ? 'B' : 'A'}${data.slice(i + 1)}`;
      // The last character of base64 holds bits that count for nothing.
      if (Buffer.from(changed, 'base64url').equals(Buffer.from(data, 'base64url'))) continue;
      expect(codeOf(() => seal.open({ sealed: `${id}.${changed}` }, place))).toBe('SEALED_VALUE_DAMAGED');
    }
    for (const short of ['', 'AAAA', 'A'.repeat(20)]) {
      expect(codeOf(() => seal.open({ sealed: `${id}.${short}` }, place))).toBe('SEALED_VALUE_DAMAGED');
    }
  });

  it("have the site's own key where CouchDB is its own, and otherwise the shared ones", () => {
    const own = siteSeals(undefined, 'site key', { isOwnCouchdb: true });
    expect(own.reads.open(own.writes.seal('x', place), place)).toBe('x');
    const center = siteSeals(undefined, 'site key', { isOwnCouchdb: false });
    expect(codeOf(() => center.writes.seal('x', place))).toBe('SHARED_KEY_MISSING');
    expect(center.reads.open(center.reads.seal('x', place), place)).toBe('x');
    const shared = siteSeals(['shared'], 'site key', { isOwnCouchdb: false });
    expect(new Seal(['shared']).open(shared.writes.seal('x', place), place)).toBe('x');
  });

  it('have keys of one or two lines of a file, none of which is shown', () => {
    const [one, two] = ['planted'.padEnd(32, '1'), 'planted'.padEnd(32, '2')];
    expect(loadConfig(undefined, { sharedKey: one }).sharedKey).toEqual([one]);
    expect(loadConfig(undefined, { sharedKey: `${one}\r\n\n${two} \n` }).sharedKey).toEqual([one, two]);
    for (const bad of ['planted-short', `${one}\n${two}\n${one}`, `${one}\nplanted`]) {
      expect(() => loadConfig(undefined, { sharedKey: bad })).toThrow(ConfigError);
      expect(() => loadConfig(undefined, { sharedKey: bad })).toThrow(/^(?!.*planted).*sharedKey/s);
    }
  });

  it('are not made without a key, and references are looked up at the site', () => {
    expect(codeOf(() => new Seal([]).seal('x', place))).toBe('SHARED_KEY_MISSING');
    const secrets = { seal: new Seal([]), named: (name: string) => (name === 'broker' ? 'found' : undefined) };
    expect(revealed({ secretRef: 'broker' }, secrets, place)).toBe('found');
    expect(codeOf(() => revealed({ secretRef: 'other' }, secrets, place))).toBe('SECRET_UNKNOWN');
    expect(secretSchema.safeParse({ secretRef: '../../etc/passwd' }).success).toBe(false);
  });
});
