import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startForTest } from '../embedded/couchdb/server.ts';
import { describeWith, program } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';

const compare = resolve('../shared/couchdb/compare');

/** The topics in which every answer is CouchDB 3.5's or stands in the list below. */
const TOPICS = [
  'session',
  'auth401',
  'db',
  'doc',
  'bulk',
  'all_docs',
  'changes',
  'find',
  'view',
  'ddoc',
  'conflicts',
  'method',
  'badjson',
];

const ONE_SHARD = 'a database is one file set, so it has one shard, whatever `q` asks for';
const PARTITIONS = 'partitioned databases serve clusters; asking for one is refused by name';
const LOCAL_DOCS = "PouchDB can't enumerate `_local/` documents, which belong to replicators";
const CRASH = 'CouchDB fails with 500 and the hash of an Erlang stack trace; here it is a 400 that says what is wrong';
const INDEX_NAME = 'generated index names are hashes of other terms than Erlang builds';
const DEPRECATED =
  'shows, lists, updates and rewrites are deprecated since CouchDB 3, search is a program beside it: 501';

/** What is answered differently, and why. */
const DIFFERENCES: Array<[answer: string, reason: string]> = [
  ['db: info: GET /t1', ONE_SHARD],
  ['db: info slash: GET /t1/', ONE_SHARD],
  ['db: info t1 final: GET /t1', ONE_SHARD],
  ['db: get: GET /t1/_shards', ONE_SHARD],
  ['db: partitioned: PUT /part?partitioned=true', PARTITIONS],
  ['db: part info: GET /part', PARTITIONS],
  ['db: part bad id: PUT /part/abc', PARTITIONS],
  ['db: part doc: PUT /part/p:a', PARTITIONS],
  ['db: partition info: GET /part/_partition/p', PARTITIONS],
  ['db: partition all_docs: GET /part/_partition/p/_all_docs', PARTITIONS],
  ['db: get: GET /t1/_local_docs', LOCAL_DOCS],
  ['doc: local_docs: GET /t1/_local_docs', LOCAL_DOCS],
  ['db: get: GET /t1/_purged_infos_limit', 'PouchDB on LevelDB has no purge'],
  ['db: purge: POST /t1/_purge', 'PouchDB on LevelDB has no purge: 501'],
  ['db: revs_limit bad: PUT /t1/_revs_limit', CRASH],
  ['db: revs_limit 0: PUT /t1/_revs_limit', CRASH],
  ['doc: get query: GET /t1/a?local_seq=true', 'the sequence counts the whole database, CouchDB the shard'],
  ['bulk: bulk_get mp: POST /t2/_bulk_get', 'answers in JSON, which replicators ask for, not in multipart'],
  ['changes: get limit: GET /chg/_changes?limit=x', CRASH],
  ['changes: get timeout: GET /chg/_changes?timeout=x', CRASH],
  [
    'changes: get feed: GET /chg/_changes?feed=eventsource&timeout=1000',
    'only in the opaque part of the sequences, which the comparison knows in JSON but not in an event stream',
  ],
  ['find: bad $mod: POST /mango/_find', CRASH],
  ['find: index auto name: POST /mango/_index', INDEX_NAME],
  ['find: index empty fields: POST /mango/_index', INDEX_NAME],
  ['find: index list: GET /mango/_index', INDEX_NAME],
  ['find: explain: POST /mango/_explain', 'does not tell how the indexes that were not chosen were ranked'],
  ['view: map: GET /views/_design/d/_view/m?startkey=4&endkey=2', 'only the hash of an Erlang stack trace is missing'],
  ['view: overflow: GET /views/_design/d/_view/ov', 'reduces in one step, where output need not shrink'],
  ['view: info: GET /views/_design/d/_info', 'no version of ICU, and nothing waits for a commit: views are in memory'],
  ['view: show: GET /views/_design/d/_show/x', DEPRECATED],
  ['view: list: GET /views/_design/d/_list/l/m', DEPRECATED],
  ['view: update: POST /views/_design/d/_update/u', DEPRECATED],
  ['view: search: GET /views/_design/d/_search/u?q=a', DEPRECATED],
  ['view: rewrite: GET /views/_design/d/_rewrite/a', DEPRECATED],
  ['view: sum err: GET /views/_design/e/_view/s', 'one broken view of a design document does not break the others'],
  ['view: stats err: GET /views/_design/e/_view/st', 'the value is written as JSON, not as an Erlang term'],
  ['ddoc: bad map syntax: PUT /views/_design/x-bad-map-syntax', "V8's words for a syntax error, not SpiderMonkey's"],
  ['ddoc: vdu exception: PUT /views/q1', "the exception's message is told, not an empty object"],
  ['conflicts: find conflicts: POST /conf/_find', 'zlib versions disagree on whether this bookmark gets shorter'],
];

describeWith(['python3'], 'the embedded CouchDB beside a real one', () => {
  describe.skipIf(absent())('on 714 recorded requests', () => {
    // Some of them count heartbeats in a fixed time.
    test('answers equally but for what is listed', { timeout: 120_000, retry: 1 }, async () => {
      const { client, url } = await startForTest();
      // As the recorded server was: set up as a single node, with the user that the requests begin by deleting.
      for (const name of ['_users', '_replicator']) await client.db.create(name);
      await client.use('_users').insert({ name: 'jan' } as never, 'org.couchdb.user:jan');
      const report = await run(program('python3')!, [compare, new URL(url).port, '--all'], await temporaryFolder());
      expect(report).toMatch(/^all +\d+ of +714 equal$/m);
      const differing = [...report.matchAll(/^(\w+): .*$/gm)]
        .filter(([, topic]) => TOPICS.includes(topic!))
        .map(([line]) => line);
      expect(differing.toSorted()).toEqual(DIFFERENCES.map(([answer]) => answer).toSorted());
    });
  });
});

function absent(): boolean {
  const isAbsent = !existsSync(compare);
  if (isAbsent) console.warn(`skipped: the embedded CouchDB beside a real one: ${compare} is not there`);
  return isAbsent;
}

async function run(command: string, parameters: string[], temporary: string): Promise<string> {
  const child = spawn(command, parameters, {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
