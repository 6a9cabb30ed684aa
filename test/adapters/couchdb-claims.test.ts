import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CouchdbClaims } from '../../src/adapters/couchdb/claims.ts';
import { systemClock } from '../../src/adapters/system/clock.ts';
import { alarmRegistrations, alarmRowsSchema } from '../../src/core/alarm.ts';
import { RingAlarms } from '../../src/flows/ring-alarms.ts';
import type { AlarmProgress } from '../../src/ports/alarm-progress.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { startForTest } from '../embedded/couchdb/server.ts';

const log = pino({ level: 'silent' });
const claim = { alarm: '/guest/daily', instant: Date.parse('2026-06-01T03:00:00Z'), scope: 'all' as const };

function claimsAt(url: string, site: string, replica = '1', clock: Clock = systemClock): CouchdbClaims {
  const claims = new CouchdbClaims({ url, username: 'admin', password: 'pass' }, { site, replica }, { clock, log });
  onTestFinished(() => claims.close());
  return claims;
}

describe('claims in a CouchDB', () => {
  it('are won by one, who keeps them over a restart; the database is made where it is missing', async () => {
    const { url, request } = await startForTest();
    const first = claimsAt(url, '1');
    expect(await first.isOurs(claim)).toBe(false);
    expect(await first.take(claim)).toBe('won');
    expect(await claimsAt(url, '2').take(claim)).toBe('lost');
    expect(await claimsAt(url, '1').take(claim)).toBe('won');
    expect([await first.isOurs(claim), await claimsAt(url, '2').isOurs(claim)]).toEqual([true, false]);
    const { body } = await request('GET', '/claims/_all_docs?include_docs=true');
    expect(body.rows).toHaveLength(1);
    expect(body.rows[0].id).toBe('2026-06-01T03:00:00.000Z * /guest/daily');
    expect(body.rows[0].doc).toMatchObject({ site: '1', replica: '1', nonce: expect.any(String) });
  });

  it('of a site are its own, and one of its replicas wins', async () => {
    const { url } = await startForTest();
    const ofSite = { ...claim, scope: 'site' as const };
    const verdicts = await Promise.all(
      ['1', '2'].flatMap((site) => ['a', 'b', 'c'].map((replica) => claimsAt(url, site, replica).take(ofSite))),
    );
    expect(verdicts.filter((verdict) => verdict === 'won')).toHaveLength(2);
  });

  it('stay open while the center is away', async () => {
    const { url, close } = await startForTest();
    await close();
    const claims = claimsAt(url, '1');
    expect(await claims.take(claim)).toBe('centerAway');
    expect(await claims.isOurs(claim)).toBe('centerAway');
    expect(await claims.forget(Date.now())).toBe(0);
  });

  it('are forgotten some hundreds at a time when they are old', async () => {
    const { url, request } = await startForTest();
    const claims = claimsAt(url, '1');
    expect(await claims.forget(Date.now())).toBe(0);
    await claims.take(claim);
    const docs = Array.from({ length: 700 }, (_, n) => ({ _id: `2026-05-01T00:00:00.000Z * alarm ${n}` }));
    await request('POST', '/claims/_bulk_docs', { docs });
    const before = Date.parse('2026-06-01T00:00:00Z');
    expect([await claims.forget(before), await claims.forget(before), await claims.forget(before)]).toEqual([
      500, 200, 0,
    ]);
    expect(await claims.isOurs(claim)).toBe(true);
  });
});

describe('two replicas of a site on one CouchDB, of which one is killed again and again', () => {
  it('ring each of 10,000 instants exactly once', async () => {
    const { url } = await startForTest();
    const end = Math.floor(Date.now() / 60_000) * 60_000;
    const rows = alarmRowsSchema.parse(
      Array.from({ length: 100 }, (_, n) => ({
        name: `alarm ${n}`,
        cron: '* * * * *',
        createdAt: end - 100 * 60_000 - 1,
        stopDate: end - 1,
        trigger: 't',
        misfire: 'fireAll',
      })),
    );
    const registrations = alarmRegistrations(rows);
    const rung = new Map<string, number>();
    /** Who runs it is gone after so many events. */
    const run = (replica: string, files: { kept?: AlarmProgress; journal: Set<string> }, lifetime: number) => {
      let left = lifetime;
      let died: () => void;
      const dead = new Promise<void>((resolve) => {
        died = resolve;
      });
      const live = async () => {
        if (left > 0) return;
        died();
        await new Promise(() => undefined);
      };
      const ringing = new RingAlarms({
        intake: {
          async accept({ key }) {
            await live();
            left -= 1;
            if (files.journal.has(key)) return false;
            files.journal.add(key);
            rung.set(key, (rung.get(key) ?? 0) + 1);
            await live();
            return true;
          },
          pending: () => 0,
        },
        progress: {
          load: async () => files.kept,
          save: async (progress) => {
            const copy = structuredClone(progress);
            await live();
            files.kept = copy;
          },
        },
        claims: claimsAt(url, '1', replica),
        hasReplicas: true,
        clock: systemClock,
        log,
        onEnded: async () => undefined,
      });
      ringing.apply(registrations);
      void ringing.start();
      return { ringing, dead };
    };
    const fresh = () => ({ kept: { alarms: {}, inDoubt: [] } as AlarmProgress, journal: new Set<string>() });
    const files = fresh();
    const { ringing: steady } = run('a', fresh(), Number.POSITIVE_INFINITY);
    for (const lifetime of [1, 50, 300, 700]) await run('b', files, lifetime).dead;
    const { ringing: last } = run('b', files, Number.POSITIVE_INFINITY);
    await expect.poll(() => rung.size, { timeout: 400_000, interval: 200 }).toBe(10_000);
    await expect
      .poll(() => [steady, last].flatMap((each) => each.status()).every(({ disabled }) => disabled), {
        timeout: 60_000,
      })
      .toBe(true);
    await Promise.all([steady.stop(), last.stop()]);
    expect([...rung.values()].filter((times) => times !== 1)).toEqual([]);
  }, 600_000);
});

/** A cluster's answers to concurrent creations of one document, one status each; a version is seen only after a while. */
async function startCluster(statuses: number[], seenAfterMs: number[]): Promise<string> {
  interface Leaf {
    readonly rev: string;
    readonly body: object;
    readonly seenFrom: number;
    deleted: boolean;
  }
  const leaves: Leaf[] = [];
  let created = 0;
  const server = createServer((request, response) => {
    void text(request).then((content) => handle(request, response, content));
  });
  const handle = (request: IncomingMessage, response: ServerResponse, content: string) => {
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    const { searchParams } = new URL(request.url!, 'http://x');
    const now = performance.now();
    const alive = leaves.filter(({ deleted }) => !deleted);
    if (request.method === 'PUT') {
      const isLate = created >= statuses.length;
      if (isLate && alive.length > 0) return answer(409, { error: 'conflict' });
      const leaf = {
        rev: `1-${created}`,
        body: JSON.parse(content),
        seenFrom: isLate ? now : now + seenAfterMs[created]!,
        deleted: false,
      };
      leaves.push(leaf);
      created += 1;
      return answer(isLate ? 201 : statuses[created - 1]!, { ok: true, rev: leaf.rev });
    }
    if (request.method === 'DELETE') {
      const leaf = leaves.find(({ rev }) => rev === searchParams.get('rev'));
      if (leaf) leaf.deleted = true;
      return answer(200, { ok: true });
    }
    const seen = leaves.filter(({ seenFrom }) => seenFrom <= now);
    if (seen.length === 0) return answer(404, { error: 'not_found' });
    return answer(
      200,
      seen.map(({ rev, body, deleted }) => ({ ok: { _rev: rev, ...(deleted ? { _deleted: true } : body) } })),
    );
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a cluster that answers 202 to more than one creation', () => {
  // SETTLE_MS is 500 ms; ten times faster here.
  const hasty: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 10, signal) };

  async function race(statuses: number[], seenAfterMs: number[]): Promise<string[]> {
    const url = await startCluster(statuses, seenAfterMs);
    return Promise.all(
      statuses.map(async (_, n) => {
        const verdict = await claimsAt(url, `${statuses.length - n}`, '1', hasty).take(claim);
        return `${verdict}`;
      }),
    );
  }

  it.each([[[202, 202]], [[202, 202, 202]], [[201, 202]], [[202, 201]], [[202, 201, 202]], [[202, 409]], [[202]]])(
    '%j has one winner, and whoever was answered 201 is it',
    async (statuses) => {
      const verdicts = await race(
        statuses.filter((status) => status !== 409),
        [0, 0, 0],
      );
      expect(verdicts.filter((verdict) => verdict === 'won')).toHaveLength(1);
    },
  );

  it('has one winner whatever is seen when', async () => {
    const claimants = fc.integer({ min: 2, max: 4 }).chain((count) =>
      fc.record({
        count: fc.constant(count),
        winner: fc.option(fc.integer({ min: 0, max: count - 1 })),
        seenAfterMs: fc.array(fc.integer({ min: 0, max: 20 }), { minLength: count, maxLength: count }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(claimants, async ({ count, winner, seenAfterMs }) => {
        const statuses = Array.from({ length: count }, (_, n) => (n === winner ? 201 : 202));
        const verdicts = await race(statuses, seenAfterMs);
        expect(verdicts.filter((verdict) => verdict === 'won')).toHaveLength(1);
        expect(verdicts).not.toContain('centerAway');
      }),
      { numRuns: 40 },
    );
  }, 60_000);
});
