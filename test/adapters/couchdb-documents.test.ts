import { getEventListeners } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CouchdbDocuments } from '../../src/adapters/couchdb/documents.ts';
import { subscriptionsDesign } from '../../src/adapters/couchdb/subscriptions-design.ts';
import { CenterError, type Change } from '../../src/ports/documents.ts';
import { CENTER_LOGIN, Center, Told } from '../support/center.ts';
import { freePort } from '../support/free-port.ts';

const never = new AbortController().signal;

/** Something at whose `_changes` the test is. */
async function fakeCouchdb(answer: (response: ServerResponse) => void): Promise<CouchdbDocuments> {
  const server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return opened(`http://127.0.0.1:${port}`);
}

function opened(url: string, login = CENTER_LOGIN): CouchdbDocuments {
  const documents = new CouchdbDocuments({ url, ...login }, 'db');
  onTestFinished(() => documents.close());
  return documents;
}

async function failure(call: Promise<unknown>): Promise<CenterError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof CenterError) return error;
  throw new Error(`no CenterError: ${String(error)}`);
}

describe('documents of a CouchDB', () => {
  it('are made with their database and designs once, and these are never changed', async () => {
    const center = await Center.start();
    const documents = center.documents('db', [subscriptionsDesign]);
    await Promise.all([documents.prepare(never), center.documents('db', [subscriptionsDesign]).prepare(never)]);
    await center.put('db', { _id: '_design/subscriptions', views: {} });
    await documents.prepare(never);
    expect((await center.request('GET', '/db/_design/subscriptions')).body.views).toEqual({});
  });

  it('are written once, read by ids, and told apart from those that never were', async () => {
    const center = await Center.start();
    const documents = center.documents('db');
    await documents.prepare(never);
    expect(await documents.write({ _id: '/a/b', x: 1 }, never)).toBe(true);
    expect(await documents.write({ _id: '/a/b', x: 2 }, never)).toBe(false);
    await center.delete('db', '/a/b').then(() => documents.write({ _id: 'c' }, never));
    expect(await documents.read(['/a/b', 'c', 'never'], never)).toEqual([
      { id: '/a/b' },
      { id: 'c', document: { _id: 'c', _rev: expect.any(String) } },
    ]);
    expect([...(await documents.revisions(never)).keys()]).toEqual(['c']);
  });

  it('have an identity that a restart keeps and a new database has not', async () => {
    const center = await Center.start();
    const documents = center.documents('db');
    await documents.prepare(never);
    const { id } = await documents.identity(never);
    expect((await center.documents('db').identity(never)).id).toBe(id);
    await center.stop();
    await center.startAgain();
    expect((await documents.identity(never)).id).toBe(id);
    await center.request('DELETE', '/db');
    await documents.prepare(never);
    expect((await documents.identity(never)).id).not.toBe(id);
  });

  it('tell their changes, without designs, until told to stop', async () => {
    const center = await Center.start();
    const documents = center.documents('db', [subscriptionsDesign]);
    await documents.prepare(never);
    const stop = new AbortController();
    const told = new Told<Change[]>();
    const feed = documents.changes('0', 60_000, stop.signal, (changes) => changes.length > 0 && told.tell(changes));
    await center.put('db', { _id: 'ä', text: 'größe '.repeat(20_000) });
    await told.until(([change]) => change?.document?.text === 'größe '.repeat(20_000));
    await center.delete('db', 'ä');
    await told.until(([change]) => change?.id === 'ä' && change.document === undefined);
    expect(told.all.flat().every(({ id }) => id === 'ä')).toBe(true);
    stop.abort();
    await feed;
  });

  it('say why they can not be had', async () => {
    const center = await Center.start();
    const wrong = opened(center.url, { ...CENTER_LOGIN, password: 'planted' });
    expect(await failure(wrong.prepare(never))).toMatchObject({ status: 401 });
    expect((await failure(wrong.prepare(never))).message).not.toContain('planted');
    expect(await failure(center.documents('db').changes('0', 1_000, never, () => {}))).toMatchObject({ status: 404 });
    const nobody = opened(`http://127.0.0.1:${await freePort()}`);
    expect((await failure(nobody.identity(never))).message).toContain('ECONNREFUSED');
    const html = await fakeCouchdb((response) => response.end('<html>'));
    expect(await failure(html.identity(never))).toMatchObject({ status: undefined });
  });

  it('end a feed of garbage, without repeating it', async () => {
    const documents = await fakeCouchdb((response) => response.write('{"seq":"1","id":"a"}\n{"planted\n'));
    expect((await failure(documents.changes('0', 1_000, never, () => {}))).message).toMatch(/^(?!.*planted).*no JSON/);
    const endless = await fakeCouchdb((response) => {
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(1_000_000)));
        response.once('drain', more);
      };
      more();
    });
    expect((await failure(endless.changes('0', 1_000, never, () => {}))).message).toContain('a line of more than');
  });

  it('leave nothing behind at a signal that lives on', async () => {
    const stop = new AbortController();
    const nobody = opened(`http://127.0.0.1:${await freePort()}`);
    for (let i = 0; i < 50; i++) await failure(nobody.identity(stop.signal));
    expect(getEventListeners(stop.signal, 'abort').length).toBeLessThan(5);
  });
});
