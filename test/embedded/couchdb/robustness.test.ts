import { fork } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { resolve } from 'node:path';
import { build } from 'esbuild';
import leveldown from 'leveldown';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { temporaryFolder } from '../../support/temporary.ts';
import { startForTest } from './server.ts';

describe('restart', () => {
  test('keeps documents, deletions, databases, security, sequences and the server id', async () => {
    const before = await startForTest();
    await before.client.db.create('db');
    await before.client.db.create('gone');
    await before.client.db.destroy('gone');
    const db = before.client.use<{ v: number }>('db');
    const { rev } = await db.insert({ v: 1 }, 'deleted');
    await db.destroy('deleted', rev);
    await db.insert({ v: 2 }, 'kept');
    await before.request('PUT', '/db/_local/checkpoint', { at: 7 });
    const security = { members: { names: ['somebody'] } };
    await before.request('PUT', '/db/_security', security);
    const welcome = await before.client.info();
    const information = await before.client.db.get('db');
    const { last_seq } = await before.client.db.changes('db');
    await before.close();

    const after = await startForTest(before.folder);
    expect(await after.client.db.list()).toEqual(['db']);
    expect(await after.client.info()).toEqual(welcome);
    expect(await after.client.db.get('db')).toEqual(information);
    expect(await after.client.use('db').get('kept')).toMatchObject({ v: 2 });
    expect((await after.request('GET', '/db/_local/checkpoint')).body).toMatchObject({ at: 7 });
    expect((await after.request('GET', '/db/_security')).body).toEqual(security);
    expect((await after.client.db.changes('db', { since: last_seq })).results).toEqual([]);
  });

  test('after kill -9 finds every document that was answered with 201', { timeout: 180_000 }, async () => {
    const folder = await temporaryFolder();
    const program = await bundledChild(folder);
    const acknowledged: string[] = [];
    for (let round = 0; round < 3; round++) {
      const child = fork(program, [`${folder}/data`, String(round)], { stdio: 'inherit' });
      const wanted = acknowledged.length + 300;
      await new Promise<void>((enough, failed) => {
        child.on('message', (id: string) => {
          acknowledged.push(id);
          if (acknowledged.length === wanted) {
            child.kill('SIGKILL');
            enough();
          }
        });
        child.on('error', failed);
      });
      if (child.signalCode === null) await new Promise((ended) => child.once('exit', ended));
    }
    const { client } = await startForTest(`${folder}/data`);
    const { rows } = await client.use('db').list();
    const found = new Set(rows.map(({ id }) => id));
    expect(acknowledged.length).toBeGreaterThanOrEqual(900);
    expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
  });
});

test('every write is synced before it is answered, and writes at once share a sync', async () => {
  const batches = vi.spyOn(Object.getPrototypeOf(leveldown(await temporaryFolder())), '_batch');
  onTestFinished(() => batches.mockRestore());
  const { client } = await startForTest();
  await client.db.create('db');
  const db = client.use<{ n: number }>('db');
  await db.insert({ n: 0 }, 'first');
  batches.mockClear();
  for (let n = 0; n < 10; n++) await db.insert({ n }, `alone${n}`);
  expect(batches).toHaveBeenCalledTimes(10);
  await Promise.all(Array.from({ length: 100 }, (_, n) => db.insert({ n }, `together${n}`)));
  expect(batches.mock.calls.length).toBeLessThan(60);
  for (const [, options] of batches.mock.calls) expect(options).toMatchObject({ sync: true });
});

/** A program that serves, inserts through nano from eight sides at once and reports each id that was answered. */
async function bundledChild(folder: string): Promise<string> {
  const program = `${folder}/program`;
  await mkdir(program);
  await symlink(resolve('node_modules'), `${program}/node_modules`);
  await build({
    stdin: {
      contents: `
        import nano from 'nano';
        import { pino } from 'pino';
        import { startCouchdb } from './src/embedded/couchdb/server.ts';
        const [dataDir, round] = process.argv.slice(2);
        const { url } = await startCouchdb({
          port: 0, dataDir, username: 'admin', password: 'pass', log: pino({ level: 'silent' }), setting: 'embeddedCouchdbPort',
        });
        const client = nano(url.replace('//', '//admin:pass@'));
        await client.db.create('db').catch(() => {});
        const insert = async (side) => {
          for (let n = 0; ; n++) {
            const { id } = await client.use('db').insert({ n, text: 'x'.repeat(200) }, [round, side, n].join('-'));
            process.send(id);
          }
        };
        for (let side = 0; side < 8; side++) void insert(side);`,
      resolveDir: resolve('.'),
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile: `${program}/child.mjs`,
    logLevel: 'silent',
  });
  return `${program}/child.mjs`;
}

describe("users' functions", () => {
  test('that never end are stopped, and the server goes on', async () => {
    const { client, request } = await startForTest();
    await client.db.create('db');
    const db = client.use('db');
    const views = {
      loop: { map: 'function (doc) { while (true) {} }' },
      later: { map: 'function (doc) { Promise.resolve().then(function () { while (true) {} }); emit(1, 1); }' },
    };
    await db.insert({ views: { loop: views.loop } } as never, '_design/loop');
    await db.insert({ views: { later: views.later } } as never, '_design/later');
    await db.insert({ n: 1 } as never, 'x');
    for (const name of ['loop', 'later']) {
      const started = performance.now();
      expect(await request('GET', `/db/_design/${name}/_view/${name}`)).toMatchObject({
        status: 500,
        body: { error: 'timeout' },
      });
      expect(performance.now() - started).toBeLessThan(5_000);
      // It is not run again: ten times would take 10 s.
      const again = performance.now();
      for (let n = 0; n < 10; n++) {
        expect((await request('GET', `/db/_design/${name}/_view/${name}`)).status).toBe(500);
      }
      expect(performance.now() - again).toBeLessThan(5_000);
    }
    expect((await request('GET', '/db/x')).status).toBe(200);
  });

  test('see nothing of the process, and harm only themselves', async () => {
    const { client, request } = await startForTest();
    await client.db.create('db');
    const db = client.use('db');
    const views = {
      process: { map: 'function (doc) { emit(typeof process + typeof require + typeof fetch, 1); }' },
      escape: {
        map: 'function (doc) { try { this.constructor.constructor("return process")(); } catch (error) { emit("held", 1); } }',
      },
      throws: { map: 'function (doc) { doc.nothing.here; }' },
    };
    for (const [name, view] of Object.entries(views))
      await db.insert({ views: { v: view } } as never, `_design/${name}`);
    await db.insert({ n: 1 } as never, 'x');
    const keys = async (name: string) => (await db.view(name, 'v')).rows.map(({ key }) => key);
    expect(await keys('process')).toEqual(['undefinedundefinedundefined']);
    expect(await keys('escape')).toEqual(['held']);
    expect(await keys('throws')).toEqual([]);
    expect((await request('GET', '/db/x')).status).toBe(200);
  });
});

describe('malformed requests', () => {
  test.each([
    ['GET', '/%ZZ', undefined],
    ['GET', '/db/%E0%A4%A', undefined],
    ['PUT', '/db/x', '{"a":'],
    ['PUT', '/db/x', '{"a":1e400}'],
    ['PUT', '/db/x', '[]'],
    ['PUT', '/db/x', '{"_attachments":{"a":{"data":1}}}'],
    ['PUT', '/db/x', '{"_attachments":{"a":null}}'],
    ['PUT', '/db/x', '{"_revisions":7}'],
    ['PUT', '/db/x?new_edits=false', '{"_rev":"1-a","_revisions":{"start":"x","ids":[]}}'],
    ['PUT', '/db/x?new_edits=false', '{}'],
    ['PUT', '/db/_security', '[]'],
    ['PUT', '/db/_security', 'null'],
    ['PUT', '/db/_design/d', '{"views":{"v":{"map":"function ("}}}'],
    ['PUT', '/db/_design/d', '{"views":{"v":null}}'],
    ['POST', '/db/_bulk_docs', '{"docs":[null]}'],
    ['POST', '/db/_bulk_get', '{"docs":7}'],
    ['POST', '/db/_revs_diff', '{"a":"1-a"}'],
    ['POST', '/db/_find', '{"selector":{"a":{"$elemMatch":7}}}'],
    ['POST', '/db/_find', '{"selector":{"$or":[1]}}'],
    ['POST', '/db/_find', `{"selector":${'{"a":'.repeat(300)}1${'}'.repeat(300)}}`],
    ['POST', '/db/_find', '{"selector":{},"bookmark":"g2wAAAACaAJk"}'],
    ['POST', '/db/_find', '{"selector":{},"sort":[null]}'],
    ['POST', '/db/_find', '{"selector":{},"limit":1e99}'],
    ['POST', '/db/_index', '{"index":7}'],
    ['POST', '/db/_index', '{"index":{"fields":[7]}}'],
    ['GET', '/db/_changes?heartbeat=-1', undefined],
    ['GET', '/db/_changes?filter=_doc_ids&doc_ids=7', undefined],
    ['GET', '/db/_all_docs?startkey={', undefined],
    ['POST', '/db/_all_docs/queries', '{"queries":[7]}'],
    ['GET', '/db/x?open_revs=7', undefined],
    ['COPY', '/db/x', undefined],
    ['DELETE', '/db?rev=1-a', undefined],
  ])('%s %s %s gets a 4xx', async (method, path, body) => {
    const { client, request } = await startForTest();
    await client.db.create('db');
    const { status, body: answer } = await request(method, path, body);
    expect({ status, answer }).toMatchObject({
      status: expect.toSatisfy((code: number) => code >= 400 && code < 500),
      answer: { error: expect.any(String), reason: expect.any(String) },
    });
    expect((await request('GET', '/_up')).status).toBe(200);
  });
});
