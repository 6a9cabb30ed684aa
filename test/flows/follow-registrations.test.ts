import { setMaxListeners } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { SnapshotFile } from '../../src/adapters/couchdb/snapshot-file.ts';
import { subscriptionsDesign } from '../../src/adapters/couchdb/subscriptions-design.ts';
import { systemClock } from '../../src/adapters/system/clock.ts';
import type { Alarm } from '../../src/core/alarm.ts';
import { mqttRegistrations } from '../../src/core/registration.ts';
import { Seal } from '../../src/core/sealed.ts';
import { FollowRegistrations, type Registrations } from '../../src/flows/follow-registrations.ts';
import type { Documents, Identity } from '../../src/ports/documents.ts';
import { Center, Told } from '../support/center.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { temporaryFolder } from '../support/temporary.ts';

const log = pino({ level: 'silent' });
const SHARED_KEY = 'a key that all sites share, made at random';
const DATABASE = 'topic_listeners';

const configured = mqttRegistrations(
  [
    {
      topic: 'test',
      qos: 1,
      ordered: false,
      batch: { maxMessages: 1, maxBytes: 1_024, lingerMs: 0, format: 'messages' },
    },
  ],
  'addReadingToDbTrigger',
);

interface FollowOptions {
  readonly folder: string;
  readonly documents: Documents;
  readonly site?: string;
  readonly heartbeatMs?: number;
  readonly clock?: typeof systemClock;
  readonly keys?: readonly string[];
}

/** A follower of one site on its folder, stopped when the test ends. */
async function follow({ folder, documents, site = '1', heartbeatMs, clock = systemClock, keys }: FollowOptions) {
  const told = new Told<Registrations>();
  const file = join(folder, `registrations-${site}.json`);
  const follower = new FollowRegistrations({
    database: documents,
    snapshots: new SnapshotFile(file, log),
    clock,
    log,
    configured,
    reader: {
      site,
      secrets: { seal: new Seal(keys ?? [SHARED_KEY]), named: (name) => (name === 'edge' ? 'u:named' : undefined) },
      ownBroker: { url: 'mqtt://mosquitto:1883' },
      alarmSchema: z.custom<Alarm>((value) => typeof value === 'object' && value !== null, 'no alarm'),
    },
    onChange: told.tell,
    ...(heartbeatMs !== undefined && { heartbeatMs }),
  });
  onTestFinished(() => follower.stop());
  await follower.start();
  return { told, follower, file };
}

function names({ registrations }: Registrations): string[] {
  return registrations.map(({ name }) => name);
}

function listener(name: string, fields: Record<string, unknown> = {}) {
  return { _id: name, trigger: name, url: 'http://mosquitto:1883', topic: 'a', ...fields };
}

describe('following the registrations of the center', () => {
  it('makes what is missing, and hears of each change within 2 s', async () => {
    const center = await Center.start();
    const documents = center.documents(DATABASE, [subscriptionsDesign]);
    const { told } = await follow({ folder: await temporaryFolder(), documents });
    expect(names(told.last!)).toEqual(['test']);
    await told.until(() => told.all.length > 1);

    const begun = performance.now();
    await center.put(DATABASE, listener('/guest/a', { username: 'user', password: 'plain' }));
    const { registrations } = await told.until((all) => names(all).includes('/guest/a'));
    expect(performance.now() - begun).toBeLessThan(2_000);
    expect(registrations[1]).toMatchObject({ kind: 'mqtt', broker: '', topics: ['a'], auth: 'user:plain', qos: 1 });

    await center.put(DATABASE, listener('/guest/a', { topic: 'b' }));
    await told.until(({ registrations }) =>
      registrations.some((each) => each.kind === 'mqtt' && each.topics[0] === 'b'),
    );
    await center.delete(DATABASE, '/guest/a');
    await told.until((all) => names(all).length === 1);
  });

  it('runs from the snapshot with the center away since before the start, and catches up', async () => {
    const center = await Center.start();
    const folder = await temporaryFolder();
    const first = await follow({ folder, documents: center.documents(DATABASE) });
    await first.told.until(() => first.told.all.length > 1);
    await center.put(DATABASE, listener('/guest/a'));
    await center.put(DATABASE, listener('/guest/gone'));
    await first.told.until((all) => names(all).length === 3);
    await first.follower.stop();
    await center.stop();

    const { told, follower } = await follow({ folder, documents: center.documents(DATABASE) });
    expect(names(told.last!)).toEqual(['test', '/guest/a', '/guest/gone']);
    expect(follower.state).toMatchObject({ connected: false });

    await center.startAgain();
    await center.delete(DATABASE, '/guest/gone');
    await center.put(DATABASE, listener('/guest/b'));
    await told.until((all) => names(all).join() === 'test,/guest/a,/guest/b', 10_000);
    expect(follower.state).toMatchObject({ connected: true, documents: 2 });
  });

  it('starts without a center and a snapshot, or with one that is damaged', async () => {
    const center = await Center.start();
    const folder = await temporaryFolder();
    await center.stop();
    await writeFile(join(folder, 'registrations-1.json'), '{"format":1,"docu');
    const { told, follower } = await follow({ folder, documents: center.documents(DATABASE) });
    expect(names(told.last!)).toEqual(['test']);
    await center.startAgain();
    await expect.poll(() => follower.state.connected).toBe(true);
  });

  it('keeps what a center that came back empty does not have, until it is stored anew or deleted', async () => {
    const center = await Center.start();
    const folder = await temporaryFolder();
    const { told, follower } = await follow({ folder, documents: center.documents(DATABASE) });
    await told.until(() => told.all.length > 1);
    await center.put(DATABASE, listener('/guest/a'));
    await center.put(DATABASE, listener('/guest/b'));
    await told.until((all) => names(all).length === 3);

    await center.wipe();
    await expect.poll(() => follower.state.orphans).toEqual(['/guest/a', '/guest/b']);
    expect(names(told.last!)).toEqual(['test', '/guest/a', '/guest/b']);
    await center.put(DATABASE, listener('/guest/a', { topic: 'again' }));
    await expect.poll(() => follower.state.orphans).toEqual(['/guest/b']);

    // Orphans survive a restart of the site, and go by a deletion of what the center never had.
    await follower.stop();
    const again = await follow({ folder, documents: center.documents(DATABASE) });
    expect(again.follower.state.orphans).toEqual(['/guest/b']);
    await center.request('PUT', `/${DATABASE}/${encodeURIComponent('/guest/b')}`, { _deleted: true });
    await again.told.until((all) => names(all).join() === 'test,/guest/a');
    expect(again.follower.state.orphans).toEqual([]);
  });

  it('hears that an orphan was deleted while the site was off', async () => {
    const center = await Center.start();
    const folder = await temporaryFolder();
    const first = await follow({ folder, documents: center.documents(DATABASE) });
    await first.told.until(() => first.told.all.length > 1);
    await center.put(DATABASE, listener('/guest/a'));
    await first.told.until((all) => names(all).length === 2);
    await first.follower.stop();
    await center.wipe();
    await center.request('PUT', `/${DATABASE}`);
    await center.request('PUT', `/${DATABASE}/${encodeURIComponent('/guest/a')}`, { _deleted: true });
    const { told } = await follow({ folder, documents: center.documents(DATABASE) });
    await told.until((all) => names(all).join() === 'test');
  });

  it('notices a connection that is half open by its silence', async () => {
    const center = await Center.start();
    const link = await HalfOpenLink.to(center.port);
    const { told, follower } = await follow({
      folder: await temporaryFolder(),
      documents: center.documents(DATABASE, [], `http://127.0.0.1:${link.port}`),
      heartbeatMs: 500,
    });
    await expect.poll(() => follower.state.connected).toBe(true);
    link.drop();
    await center.put(DATABASE, listener('/guest/a'));
    await told.until((all) => names(all).includes('/guest/a'), 10_000);
  });

  it('notices a feed that beats and tells nothing', async () => {
    const clock = new ManualClock();
    const database = new MuteDocuments(clock);
    const { follower } = await follow({ folder: await temporaryFolder(), documents: database, clock });
    await clock.advance(1_000);
    expect(database.feeds).toBe(1);
    await clock.advance(15 * 60_000);
    expect(database.feeds).toBe(1);
    database.sequence = '7-x';
    await clock.advance(15 * 60_000);
    expect(database.feeds).toBe(2);
    expect(database.comparisons).toBe(2);
    const stopped = follower.stop();
    await clock.advance(1_000);
    await stopped;
  });

  it('compares everything once an hour or so', async () => {
    const clock = new ManualClock();
    const database = new MuteDocuments(clock);
    const { follower } = await follow({ folder: await temporaryFolder(), documents: database, clock });
    await clock.advance(24 * 60 * 60_000);
    expect(database.comparisons).toBeGreaterThanOrEqual(20);
    expect(database.comparisons).toBeLessThanOrEqual(26);
    const stopped = follower.stop();
    await clock.advance(1_000);
    await stopped;
  });

  it('takes what is meant for its site, and tells what is wrong with the rest', async () => {
    const center = await Center.start();
    const documents = center.documents(DATABASE);
    await documents.prepare(new AbortController().signal);
    const foreign = new Seal(['another key']).seal('u:p', { document: '/guest/held', field: 'auth' });
    for (const document of [
      listener('/guest/all', { sites: '*' }),
      listener('/guest/mine', { sites: ['1', '2'] }),
      listener('/guest/theirs', { sites: ['2'] }),
      listener('/guest/held', { auth: foreign }),
      listener('/guest/off', { status: { active: false, reason: { kind: 'AUTO', statusCode: 404, message: 'gone' } } }),
      listener('/guest/named', { auth: { secretRef: 'edge' } }),
      listener('/guest/elsewhere', { url: 'mqtt://u:p%40ss@other', topics: ['x', 'y/#', 'x'] }),
      { _id: '/guest/alarm', kind: 'alarm', trigger: '/guest/alarm', alarm: { cron: '0 3 * * *' } },
      { _id: 'test', trigger: '/guest/t', topic: 'x' },
      listener('/guest/bad', { topic: 'a/#/b', qos: 7 }),
      { _id: 'garbage', hello: 'world' },
      { _id: '/guest/newer', trigger: '/guest/newer', topic: 'x', version: 99 },
    ]) {
      await center.put(DATABASE, document);
    }
    const { told } = await follow({ folder: await temporaryFolder(), documents });
    const { registrations, problems } = await told.until((all) => names(all).length === 8);
    expect(names(told.last!).sort()).toEqual(
      [
        'test',
        '/guest/alarm',
        '/guest/all',
        '/guest/elsewhere',
        '/guest/held',
        '/guest/mine',
        '/guest/named',
        '/guest/off',
      ].sort(),
    );
    const held = registrations.filter((each) => each.held !== undefined);
    expect(Object.fromEntries(held.map((each) => [each.name, each.held]))).toEqual({
      '/guest/held': expect.stringContaining('sharedKey'),
      '/guest/off': 'disabled: gone',
    });
    expect(registrations.find(({ name }) => name === '/guest/elsewhere')).toMatchObject({
      broker: 'mqtt://u@other:1883',
      login: { username: 'u', password: 'p@ss' },
      topics: ['x', 'y/#'],
    });
    expect(registrations.find(({ name }) => name === '/guest/named')).toMatchObject({ auth: 'u:named' });
    expect(Object.fromEntries(problems.map((each) => [each.document, each.problems.join('\n')]))).toEqual({
      test: expect.stringContaining('ConfigMap'),
      '/guest/bad': expect.stringMatching(/topic: .*qos: /s),
      garbage: expect.stringContaining('trigger: '),
      '/guest/newer': expect.stringContaining('newer fogwhisk'),
    });
  });

  it('takes 1,000 registrations together, and keeps no plain secret of theirs on disk', async () => {
    const center = await Center.start();
    const documents = center.documents(DATABASE);
    await documents.prepare(new AbortController().signal);
    const docs = Array.from({ length: 1_000 }, (_, i) =>
      listener(`/guest/t${i}`, { url: 'http://test:planted1@mosquitto:1883', username: 'uuid', password: 'planted2' }),
    );
    await center.request('POST', `/${DATABASE}/_bulk_docs`, { docs });
    const begun = performance.now();
    const { told, follower, file } = await follow({ folder: await temporaryFolder(), documents });
    await told.until((all) => names(all).length === 1_001);
    console.log(`1,000 registrations at hand after ${Math.round(performance.now() - begun)} ms`);
    expect(told.all.length).toBeLessThan(5);
    expect(told.last!.registrations[5]).toMatchObject({ auth: 'uuid:planted2' });
    await follower.stop();
    expect(await readFile(file, 'utf8')).not.toMatch(/planted/);

    // The next start reads the snapshot, and no document.
    await center.stop();
    const again = await follow({ folder: join(file, '..'), documents });
    expect(again.told.last!.registrations).toHaveLength(1_001);
    expect(again.told.last!.registrations[5]).toMatchObject({ auth: 'uuid:planted2' });
  });

  it('asks little of the center while nothing happens', async () => {
    const center = await Center.start();
    const link = await HalfOpenLink.to(center.port);
    const { follower } = await follow({
      folder: await temporaryFolder(),
      documents: center.documents(DATABASE, [], `http://127.0.0.1:${link.port}`),
      heartbeatMs: 1_000,
    });
    await expect.poll(() => follower.state.connected).toBe(true);
    await expect.poll(() => link.fromClient()).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const [asked, answered] = [link.fromClient(), link.toClient()];
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(link.fromClient()).toBe(asked);
    // A heartbeat is a chunk of one byte.
    expect(link.toClient() - answered).toBeLessThan(5 * 10);
  });
});

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

/** A TCP proxy whose connections can fall silent without being closed; new ones work. */
class HalfOpenLink {
  readonly port: number;
  readonly #pairs: readonly Pair[];

  private constructor(port: number, pairs: readonly Pair[]) {
    this.port = port;
    this.#pairs = pairs;
  }

  static async to(port: number): Promise<HalfOpenLink> {
    const pairs: Pair[] = [];
    const listener = createServer((client) => {
      const server = connect(port, '127.0.0.1');
      pairs.push({ client, server });
      for (const socket of [client, server]) socket.on('error', () => {});
      client.pipe(server);
      server.pipe(client);
    });
    await new Promise<void>((resolve) => {
      listener.listen(0, '127.0.0.1', resolve);
    });
    onTestFinished(() => {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      listener.close();
    });
    return new HalfOpenLink((listener.address() as { port: number }).port, pairs);
  }

  drop(): void {
    for (const { client, server } of this.#pairs) {
      client.unpipe(server).resume();
      server.unpipe(client).resume();
    }
  }

  fromClient(): number {
    return this.#pairs.reduce((sum, { client }) => sum + client.bytesRead, 0);
  }

  toClient(): number {
    return this.#pairs.reduce((sum, { client }) => sum + client.bytesWritten, 0);
  }
}

/** A database whose feed beats and tells nothing. */
class MuteDocuments implements Documents {
  readonly name = 'mute';
  sequence = '3-x';
  feeds = 0;
  comparisons = 0;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  async prepare(): Promise<void> {}

  async identity(): Promise<Identity> {
    return { id: 'same', sequence: this.sequence };
  }

  async revisions(): Promise<Map<string, string>> {
    this.comparisons += 1;
    return new Map();
  }

  async read() {
    return [];
  }

  async write() {
    return true;
  }

  async changes(_since: string, _heartbeatMs: number, signal: AbortSignal, hear: Parameters<Documents['changes']>[3]) {
    this.feeds += 1;
    setMaxListeners(0, signal); // the manual clock's sleepers leave theirs behind
    while (!signal.aborted) {
      hear([], undefined);
      await this.#clock.sleep(30_000, signal);
    }
  }
}
