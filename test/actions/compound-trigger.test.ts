import { beforeEach, describe, expect, test } from 'vitest';
import { loadAction, type Main } from '../support/action-bundle.ts';
import { couchdb, documentsOf } from '../support/couchdb.ts';
import { FakeProvider } from '../support/fake-provider.ts';

/** The compound trigger as OpenWhisk runs it, with the embedded CouchDB and a stand-in for the provider. */

let main: Main;
let provider: FakeProvider;
let state: Awaited<ReturnType<typeof couchdb>>;

beforeEach(async () => {
  [main, provider, state] = await Promise.all([loadAction('compoundTrigger'), FakeProvider.start(), couchdb()]);
  provider.parameters = { state_couchdb: state };
});

const config = {
  openwhisk: { 'next-trigger': { name: 'flare-drivers-ready-fcre', container_name: 'flare-generate-forecast' } },
};
const input = (type: string, date = '2020-05-22', extra: Record<string, unknown> = {}) => ({
  lake: 'fcre',
  container_name: 'compound-trigger',
  cycle: { lake: 'fcre', date, timezone: 'UTC', period: 'P1D' },
  config,
  type,
  ...extra,
});
let firings = 0;
const fire = (type: string, date?: string, batchId = `batch-${++firings}`, extra: Record<string, unknown> = {}) =>
  main({ ...input(type, date, extra), ...provider.firing(batchId) });
const nexts = () => provider.receipts.flatMap(({ batchId, next }) => next.map((step) => ({ batchId, ...step })));

describe('a compound trigger', () => {
  test('fires when all inputs of a cycle have come, once, and says what it waits for', async () => {
    expect(await fire('noaa')).toMatchObject({ ok: true, waitingFor: ['observations'] });
    expect(nexts()).toEqual([]);
    expect(await fire('noaa')).toMatchObject({ ok: true, waitingFor: ['observations'] });
    expect(await fire('observations', undefined, 'b')).toMatchObject({
      ok: true,
      waitingFor: [],
      next: 'flare-drivers-ready-fcre',
    });
    const payload = {
      lake: 'fcre',
      container_name: 'flare-generate-forecast',
      cycle: { lake: 'fcre', date: '2020-05-22', timezone: 'UTC', period: 'P1D' },
    };
    const next = { batchId: 'b', trigger: 'flare-drivers-ready-fcre', payload, key: expect.any(String) };
    expect(nexts()).toEqual([next]);
    expect(await fire('noaa')).toMatchObject({ ok: true });
    expect(nexts()).toHaveLength(1);
    // unless it was forced
    await fire('noaa', undefined, 'f', { force: true });
    expect(nexts().at(-1)).toMatchObject({ batchId: 'f', payload: { force: true } });
    expect(provider.receipts).toHaveLength(5);
  });

  test("yesterday's input does not complete today", async () => {
    await fire('noaa', '2020-05-21');
    expect(await fire('observations', '2020-05-22')).toMatchObject({ waitingFor: ['noaa'] });
    expect(nexts()).toEqual([]);
  });

  test('a firing whose receipt was lost tells again, under the same key, and no other does', async () => {
    await fire('noaa');
    provider.statuses.push(500, 500, 500);
    expect(await fire('observations', undefined, 'b')).toMatchObject({ error: { code: 'RECEIPT_FAILED' } });
    expect(await documentsOf(state, 'flare')).toMatchObject([{ completedBy: 'b' }]);
    expect((await documentsOf(state, 'flare'))[0]).not.toHaveProperty('firedAt');
    await fire('noaa', undefined, 'other');
    expect(nexts()).toEqual([]);
    await fire('observations', undefined, 'b');
    await fire('observations', undefined, 'b');
    // the provider journals one key after one event once
    expect(nexts().map(({ batchId, key }) => [batchId, key])).toEqual(
      Array(2).fill(['b', expect.stringContaining('2020-05-22')]),
    );
    expect(await documentsOf(state, 'flare')).toMatchObject([{ firedAt: expect.any(String) }]);
  });

  test('100 pairs at the same moment fire once per cycle', async () => {
    const day = (n: number) => new Date(Date.UTC(2020, 0, 1 + n)).toISOString().slice(0, 10);
    const pairs = Array.from({ length: 100 }, (_, n) => [fire('noaa', day(n)), fire('observations', day(n))]);
    expect((await Promise.all(pairs.flat())).every(({ ok }) => ok)).toBe(true);
    expect(
      nexts()
        .map(({ payload }) => (payload.cycle as { date: string }).date)
        .sort(),
    ).toEqual(Array.from({ length: 100 }, (_, n) => day(n)));
  }, 60_000);

  test('100 pairs of the same cycle at the same moment fire once', async () => {
    const results = await Promise.all(Array.from({ length: 100 }, () => [fire('noaa'), fire('observations')]).flat());
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(nexts()).toHaveLength(1);
  }, 60_000);

  test('waits for the inputs that its configuration names, in a time zone of the lake', async () => {
    const openwhisk = { ...config.openwhisk, inputs: ['a', 'b', 'c'] };
    const at = (type: string, scheduledFor: string) =>
      main({
        ...{ lake: 'fcre', timezone: 'America/New_York', scheduledFor, type, config: { openwhisk } },
        ...provider.firing(`t-${type}`),
      });
    // 03:59Z is still the 21st in New York, 04:01Z the 22nd
    expect(await at('a', '2020-05-22T03:59:00Z')).toMatchObject({ cycle: '2020-05-21', waitingFor: ['b', 'c'] });
    expect(await at('b', '2020-05-22T04:01:00Z')).toMatchObject({ cycle: '2020-05-22', waitingFor: ['a', 'c'] });
    expect(await at('x', '2020-05-22T04:01:00Z')).toMatchObject({ error: { code: 'PAYLOAD_INVALID' } });
    expect(provider.receipts.at(-1)).toMatchObject({ batchId: 't-x', failed: { code: 'PAYLOAD_INVALID' } });
  });

  test("answers FLARE's own callers 403 until all is there, and then fires itself and checks it", async () => {
    const direct = (type: string) =>
      main({ ...input(type), state_couchdb: state, openwhisk_apihost: provider.url, openwhisk_auth: 'uuid:key' });
    expect(await direct('noaa')).toMatchObject({
      error: { code: 'NOT_READY', statusCode: 403, body: { ret: 'not ready; ' } },
    });
    provider.statuses.push(503);
    expect(await direct('observations')).toMatchObject({ error: { code: 'TRIGGER_FAILED' } });
    // nobody was told, so the next input of the cycle tells
    expect(await direct('observations')).toMatchObject({ ok: true, ret: 'success', next: 'flare-drivers-ready-fcre' });
    await direct('noaa');
    expect(provider.fired.map(({ trigger }) => trigger)).toEqual(['flare-drivers-ready-fcre']);
    expect(provider.fired[0]!.payload).toMatchObject({ container_name: 'flare-generate-forecast' });
  });

  test('reports the cycles that wait in vain, and closes them', async () => {
    const openwhisk = { ...config.openwhisk, 'expires-after-hours': 0.000_01 };
    await fire('noaa', '2020-05-20', undefined, { config: { openwhisk } });
    await fire('noaa', '2020-05-21');
    await new Promise((resolve) => setTimeout(resolve, 50));
    const report = { lake: 'fcre', cycle: '2020-05-20', step: 'compound-trigger', missing: ['observations'] };
    expect(await main({ expire: true, type: 'alarm', ...provider.firing('e') })).toMatchObject({
      ok: true,
      expired: [report],
    });
    expect(await main({ expire: true, type: 'alarm', ...provider.firing('e2') })).toMatchObject({ expired: [] });
    expect(await fire('observations', '2020-05-20')).toMatchObject({ ok: true, expiredAt: expect.any(String) });
    expect(nexts()).toEqual([]);
    expect(provider.receipts.map(({ stored }) => stored)).toEqual(Array(5).fill('all'));
  });

  test("keeps the state of a lake that sites share in the center's CouchDB, and of its own at the site", async () => {
    const central = await couchdb();
    provider.parameters = { state_couchdb: state, state_couchdb_central: central };
    await fire('noaa', undefined, undefined, { shared: true });
    expect(await documentsOf(central, 'flare')).toHaveLength(1);
    provider.parameters = { state_couchdb: { ...state, url: 'http://127.0.0.1:9' } };
    main = await loadAction('compoundTrigger');
    expect(await fire('noaa')).toMatchObject({ error: { code: 'STATE_UNREACHABLE' } });
    expect(provider.receipts.at(-1)).toMatchObject({ failed: { code: 'STATE_UNREACHABLE' } });
    expect(JSON.stringify([provider.receipts])).not.toContain('secret');
  });
});
