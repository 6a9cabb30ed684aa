import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { brokerAddress, readDocument, withoutPlainSecrets } from '../../src/core/registration-document.ts';
import { Seal } from '../../src/core/sealed.ts';

const seal = new Seal(['key']);
const reader = {
  site: '1',
  secrets: { seal, named: () => undefined },
  ownBroker: { url: 'mqtt://own:1883', login: { username: 'me', password: 'x' } },
  alarmSchema: z.never(),
};

describe("a broker's URL", () => {
  it.each([
    ['http://test:test@mosquitto:1883', 'mqtt://mosquitto:1883', { username: 'test', password: 'test' }],
    ['http://mosquitto', 'mqtt://mosquitto:1883', undefined],
    ['http://mosquitto:80', 'mqtt://mosquitto:80', undefined],
    ['https://mosquitto', 'mqtts://mosquitto:8883', undefined],
    ['mqtt://m/', 'mqtt://m:1883', undefined],
    ['mqtts://[::1]:1', 'mqtts://[::1]:1', undefined],
    ['wss://m/mqtt?x=1', 'wss://m:443/mqtt?x=1', undefined],
    ['mqtt://u%40x:p%3Aw@m', 'mqtt://m:1883', { username: 'u@x', password: 'p:w' }],
    ['mqtt://u:100%@m', 'mqtt://m:1883', { username: 'u', password: '100%' }],
    ['mqtt://token@m', 'mqtt://m:1883', { username: 'token', password: '' }],
  ])('%s', (text, url, login) => {
    expect(brokerAddress(text)).toEqual({ url, ...(login && { login }) });
  });

  it.each(['', 'mosquitto', 'ftp://m', 'mqtt://', 'mqtt:m', 'javascript:1'])('is not %j', (text) => {
    expect(brokerAddress(text)).toBeNull();
  });
});

describe('a document of topic_listeners', () => {
  const document = {
    _id: '/guest/t',
    _rev: '1-a',
    trigger: '/guest/t',
    url: 'http://test:s3cret@mosquitto:1883',
    topic: 'a',
    username: 'uuid',
    password: 'key:with:colons',
  };

  it('means the same with its secrets sealed', () => {
    const sealed = withoutPlainSecrets(document, seal);
    expect(JSON.stringify(sealed)).not.toMatch(/s3cret|uuid|colons/);
    expect(sealed.url).toBe('http://mosquitto:1883');
    expect(readDocument(sealed, reader)).toEqual(readDocument(document, reader));
    expect(readDocument(sealed, reader)).toMatchObject({
      registration: {
        auth: 'uuid:key:with:colons',
        broker: 'mqtt://test@mosquitto:1883',
        login: { username: 'test', password: 's3cret' },
      },
    });
    expect(withoutPlainSecrets(sealed, seal)).toBe(sealed);
  });

  it('keeps what is sealed already', () => {
    const auth = seal.seal('the:one', { document: '/guest/t', field: 'auth' });
    expect(withoutPlainSecrets({ ...document, auth }, seal).auth).toBe(auth);
  });

  it("uses the site's own connection where it names the site's broker as its user, or none", () => {
    const at = (url: string) => readDocument({ ...document, url }, reader);
    expect(at('http://own:1883')).toMatchObject({ registration: { broker: '' } });
    expect(at('mqtt://me:x@own')).toMatchObject({ registration: { broker: '' } });
    expect(at('mqtt://me:x@own')).not.toHaveProperty('registration.login');
    expect(at('mqtt://you:x@own')).toMatchObject({ registration: { broker: 'mqtt://you@own:1883' } });
    const { url: _, ...own } = document;
    expect(readDocument(own, reader)).toMatchObject({ registration: { broker: '' } });
  });

  it.each([
    [{ ...document, topic: undefined }, 'topic: is missing'],
    [{ ...document, trigger: 't' }, 'trigger: must be'],
    [{ ...document, kind: 'other' }, 'kind: '],
    [{ ...document, sites: [1] }, 'sites'],
    [{ ...document, auth: 'plain' }, 'auth: must be {"sealed"'],
    [{ ...document, big: 'x'.repeat(2_000_000) }, 'larger than'],
  ])('says what is wrong with it', (bad, problem) => {
    const read = readDocument(bad, reader);
    expect(read).toMatchObject({ kind: 'bad' });
    expect(JSON.stringify(read)).toContain(JSON.stringify(problem).slice(1, -1));
    expect(JSON.stringify(read)).not.toMatch(/s3cret|colons/);
  });
});
