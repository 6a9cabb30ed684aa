import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { failure, startForTest } from './server.ts';

describe('databases', () => {
  test('are created once, listed, described and deleted', async () => {
    const { client } = await startForTest();
    expect(await client.db.create('a/b')).toEqual({ ok: true });
    expect(await failure(client.db.create('a/b'))).toMatchObject({ statusCode: 412, error: 'file_exists' });
    expect(await failure(client.db.create('Upper'))).toMatchObject({ statusCode: 400, error: 'illegal_database_name' });
    await client.use('a/b').insert({ x: 1 } as never);
    expect(await client.db.get('a/b')).toMatchObject({ db_name: 'a/b', doc_count: 1, doc_del_count: 0 });
    expect(await client.db.list()).toEqual(['a/b']);
    await client.db.destroy('a/b');
    expect(await failure(client.db.get('a/b'))).toMatchObject({ statusCode: 404 });
  });

  test('are created by exactly one of many at once', async () => {
    const { client } = await startForTest();
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await failure(client.db.create('one'))).statusCode ?? 201),
    );
    expect(statuses.filter((status) => status === 201)).toHaveLength(1);
    expect(statuses.filter((status) => status === 412)).toHaveLength(19);
  });
});

describe('documents', () => {
  test('have revisions, and a stale one is a conflict', async () => {
    const { client } = await startForTest();
    await client.db.create('db');
    const db = client.use<{ v: number }>('db');
    const first = await db.insert({ v: 1 }, 'with/slash');
    expect(first).toMatchObject({ ok: true, id: 'with/slash', rev: expect.stringMatching(/^1-[0-9a-f]{32}$/) });
    const second = await db.insert({ v: 2, _rev: first.rev }, 'with/slash');
    expect(await failure(db.insert({ v: 3, _rev: first.rev }, 'with/slash'))).toMatchObject({ statusCode: 409 });
    expect(await failure(db.insert({ v: 3 }, 'with/slash'))).toMatchObject({ statusCode: 409 });
    expect(await db.get('with/slash')).toMatchObject({ v: 2, _rev: second.rev });
    expect(await db.get('with/slash', { rev: first.rev })).toMatchObject({ v: 1 });
    await db.destroy('with/slash', second.rev);
    expect(await failure(db.get('with/slash'))).toMatchObject({ statusCode: 404, reason: 'deleted' });
  });

  test('of one id are created by exactly one of a hundred at once', async () => {
    const { client } = await startForTest();
    await client.db.create('claims');
    const db = client.use<{ nonce: number }>('claims');
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, nonce) => ({ nonce, ...(await failure(db.insert({ nonce }, 'alarm'))) })),
    );
    const winners = answers.filter(({ statusCode }) => statusCode === undefined);
    expect(winners).toHaveLength(1);
    expect(answers.filter(({ statusCode }) => statusCode === 409)).toHaveLength(99);
    expect(await db.get('alarm')).toMatchObject({ nonce: winners[0]!.nonce });
    expect((await db.get('alarm'))._rev).toMatch(/^1-/);
  });

  test('keep conflicts that replication brings, until they are resolved', async () => {
    const { client } = await startForTest();
    await client.db.create('db');
    const db = client.use<{ v: string }>('db');
    const revision = (hash: string) => ({ _id: 'x', _rev: `2-${hash}`, _revisions: { start: 2, ids: [hash, 'aaa'] } });
    await db.bulk({
      docs: [
        { ...revision('bbb'), v: 'b' },
        { ...revision('ccc'), v: 'c' },
      ],
      new_edits: false,
    } as never);
    expect(await db.get('x', { conflicts: true })).toMatchObject({ v: 'c', _conflicts: ['2-bbb'] });
    await db.destroy('x', '2-bbb');
    expect(await db.get('x', { conflicts: true })).not.toHaveProperty('_conflicts');
  });

  test('are listed by range, by keys and with their bodies', async () => {
    const { client } = await startForTest();
    await client.db.create('db');
    const db = client.use<{ n: number }>('db');
    await db.bulk({ docs: Array.from({ length: 10 }, (_, n) => ({ _id: `d${n}`, n })) });
    const range = await db.list({ startkey: 'd3', endkey: 'd5', include_docs: true });
    expect(range).toMatchObject({ total_rows: 10, offset: 3 });
    expect(range.rows.map(({ doc }) => doc?.n)).toEqual([3, 4, 5]);
    const latest = await db.list({ descending: true, limit: 2 });
    expect(latest.rows.map(({ id }) => id)).toEqual(['d9', 'd8']);
    const byKeys = await db.fetch({ keys: ['d7', 'nope'] });
    expect(byKeys.rows).toMatchObject([{ doc: { n: 7 } }, { key: 'nope', error: 'not_found' }]);
  });

  test('have attachments, kept while the document changes', async () => {
    const { client } = await startForTest();
    await client.db.create('db');
    const db = client.use<{ v?: number }>('db');
    const bytes = Buffer.from([0, 1, 255, 10, 13]);
    const { rev } = await db.attachment.insert('doc', 'a/file.bin', bytes, 'application/octet-stream');
    const document = await db.get('doc');
    await db.insert({ ...document, v: 1 });
    expect(await db.attachment.get('doc', 'a/file.bin')).toEqual(bytes);
    expect(await failure(db.attachment.destroy('doc', 'a/file.bin', { rev }))).toMatchObject({ statusCode: 409 });
  });
});

describe('queries', () => {
  test('_find uses an index, sorts by it and pages by bookmark', async () => {
    const { client } = await startForTest();
    await client.db.create('db');
    const db = client.use<{ n: number; kind: string }>('db');
    await db.bulk({ docs: Array.from({ length: 120 }, (_, n) => ({ _id: `d${n}`, n, kind: n % 2 ? 'odd' : 'even' })) });
    expect(await db.createIndex({ index: { fields: ['n'] }, name: 'n', ddoc: 'n' })).toMatchObject({
      result: 'created',
    });
    const selector = { n: { $gte: 10 }, kind: 'odd' };
    const seen: number[] = [];
    for (let bookmark: string | undefined; ; ) {
      const page = await db.find({ selector, sort: [{ n: 'desc' }], limit: 20, ...(bookmark && { bookmark }) });
      expect(page.warning).toBeUndefined();
      seen.push(...page.docs.map(({ n }) => n));
      bookmark = page.bookmark;
      if (page.docs.length < 20) break;
    }
    expect(seen).toEqual(Array.from({ length: 55 }, (_, i) => 119 - 2 * i));
  });

  test('views follow changes and deletions', async () => {
    const { client } = await startForTest();
    await client.db.create('db');
    const db = client.use<Record<string, unknown>>('db');
    const map = 'function (doc) { emit([doc.room, doc.n], doc.n); }';
    await db.insert({ views: { rooms: { map, reduce: '_stats' } } } as never, '_design/by');
    const documents = Array.from({ length: 200 }, (_, n) => ({ _id: `d${n}`, n, room: `r${n % 4}` }));
    const revs = await db.bulk({ docs: documents });
    const stats = async () => (await db.view<{ sum: number; count: number }>('by', 'rooms', { group_level: 1 })).rows;
    expect((await stats()).map(({ value }) => value.count)).toEqual([50, 50, 50, 50]);
    await db.destroy('d0', revs[0]!.rev!);
    await db.insert({ _id: 'd1', _rev: revs[1]!.rev!, n: 1_000, room: 'r3' });
    expect((await stats()).map(({ value }) => [value.count, value.sum])).toEqual([
      [49, 4_900],
      [49, 4_949],
      [50, 5_000],
      [51, 6_050],
    ]);
    const rows = await db.view('by', 'rooms', { reduce: false, startkey: ['r3', 100], endkey: ['r3', {}], limit: 1 });
    expect(rows.rows).toMatchObject([{ id: 'd103', key: ['r3', 103] }]);
  });

  test('validate_doc_update refuses', async () => {
    const { client } = await startForTest();
    await client.db.create('db');
    const db = client.use<{ v?: number }>('db');
    const validate_doc_update =
      'function (doc, old) { if (old && doc.v < old.v) throw { forbidden: "only upwards" }; }';
    await db.insert({ validate_doc_update } as never, '_design/rules');
    const { rev } = await db.insert({ v: 2 }, 'x');
    const refused = await failure(db.insert({ v: 1, _rev: rev }, 'x'));
    expect(refused).toMatchObject({ statusCode: 403, reason: 'only upwards' });
  });
});

describe('changes', () => {
  test('reach a follower in order, also after it was away', async () => {
    const { client } = await startForTest();
    await client.db.create('db');
    const db = client.use<{ n: number }>('db');
    await db.bulk({ docs: Array.from({ length: 250 }, (_, n) => ({ _id: `before${n}`, n })) });
    const ids: string[] = [];
    const reader = db.changesReader.start({ since: '0', includeDocs: true, wait: false });
    // nano tells its own stop as an error.
    reader.on('error', () => {});
    reader.on('change', ({ id }: { id: string }) => ids.push(id));
    while (ids.length < 250) await once(reader, 'change');
    await db.insert({ n: 1 }, 'after');
    while (!ids.includes('after')) await once(reader, 'change');
    db.changesReader.stop();
    expect(ids).toEqual([...Array.from({ length: 250 }, (_, n) => `before${n}`), 'after']);
  });

  test('come at once on a continuous feed, with heartbeats in between, until the server stops', async () => {
    const { client, url, close } = await startForTest();
    await client.db.create('db');
    const headers = { authorization: `Basic ${Buffer.from('admin:pass').toString('base64')}` };
    const feed = await fetch(`${url}/db/_changes?feed=continuous&since=now&heartbeat=20`, { headers });
    const chunks = feed.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const until = async (found: () => boolean) => {
      while (!found()) {
        const { value, done } = await chunks.read();
        if (done) break;
        text += value;
      }
    };
    await until(() => text.startsWith('\n'));
    await client.use('db').insert({ n: 1 } as never, 'x');
    await until(() => text.includes('"id":"x"'));
    const started = performance.now();
    await close();
    expect(performance.now() - started).toBeLessThan(500);
    await until(() => text.includes('last_seq'));
    expect(JSON.parse(text.trim().split('\n').at(-1)!)).toMatchObject({
      last_seq: expect.stringMatching(/^1-/),
      pending: 0,
    });
  });

  test('since a database that was made anew is from its beginning', async () => {
    const { client } = await startForTest();
    await client.db.create('db');
    await client.use('db').insert({ n: 1 } as never, 'old');
    const { last_seq } = await client.db.changes('db');
    await client.db.destroy('db');
    await client.db.create('db');
    await client.use('db').insert({ n: 1 } as never, 'new');
    const { results } = await client.db.changes('db', { since: last_seq });
    expect(results.map(({ id }) => id)).toEqual(['new']);
  });
});

test('a session by cookie lasts, and a wrong password is none', async () => {
  const { url } = await startForTest();
  const login = (password: string) =>
    fetch(`${url}/_session`, { method: 'POST', body: new URLSearchParams({ name: 'admin', password }) });
  expect((await login('wrong')).status).toBe(401);
  const cookie = (await login('pass')).headers.get('set-cookie')!.split(';')[0]!;
  expect((await fetch(`${url}/_all_dbs`, { headers: { cookie } })).status).toBe(200);
  expect((await fetch(`${url}/_all_dbs`, { headers: { cookie: cookie.replace(/.$/, '~') } })).status).toBe(401);
  expect((await fetch(`${url}/_all_dbs`)).status).toBe(401);
});
