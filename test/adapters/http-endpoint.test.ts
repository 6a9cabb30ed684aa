import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { HttpEndpoint, type HttpEndpointOptions } from '../../src/adapters/http-endpoint.ts';

/** A server that does as it is told with every request, and an endpoint of it. */
async function start(
  answer: (request: IncomingMessage, response: ServerResponse) => unknown,
  options: Partial<HttpEndpointOptions> = {},
) {
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/base/`;
  const endpoint = new HttpEndpoint({ url, answerTimeoutMs: 5_000, maxAnswerBytes: 1_000, ...options });
  onTestFinished(() => {
    endpoint.close();
    server.closeAllConnections();
    server.close();
  });
  return { server, endpoint };
}

test('sends what it is told, and reads an answer that comes in pieces', async () => {
  const { endpoint } = await start(
    async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const { method, url, headers } = request;
      const text = JSON.stringify({ method, url, type: headers['content-type'], by: headers.authorization, body });
      response.writeHead(201, { 'x-hint': 'ä' });
      for (const piece of text.match(/.{1,20}/g)!) {
        response.write(piece);
        await new Promise(setImmediate);
      }
      response.end();
    },
    { auth: 'user:word' },
  );
  const by = (user: string) => `Basic ${Buffer.from(user).toString('base64')}`;
  expect(await endpoint.ask('POST', '/a?b=c', { body: Buffer.from('{"d":1}') })).toMatchObject({
    status: 201,
    body: { method: 'POST', url: '/base/a?b=c', type: 'application/json', by: by('user:word'), body: '{"d":1}' },
  });
  expect(await endpoint.ask('GET', '', { auth: 'other:key' })).toMatchObject({
    body: { method: 'GET', url: '/base', by: by('other:key'), body: '' },
  });
});

test('an answer that is no JSON has no body', async () => {
  const { endpoint } = await start((_, response) => response.writeHead(502).end('<html>'));
  expect(await endpoint.ask('GET', '/')).toMatchObject({ status: 502, body: undefined });
});

test('a server that is silent, before its answer or within it, is not waited for', async () => {
  const { endpoint } = await start(
    (request, response) => {
      if (request.url === '/base/within') response.write('{');
    },
    { answerTimeoutMs: 50 },
  );
  await expect(endpoint.ask('GET', '/before')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  await expect(endpoint.ask('GET', '/within')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
});

test('a server that takes the connection and never shakes hands is not waited for, whatever its answer may take', async () => {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const endpoint = new HttpEndpoint({ url, answerTimeoutMs: 0, maxAnswerBytes: 1_000 });
  onTestFinished(() => {
    endpoint.close();
    server.close();
  });
  const closed = once(server, 'connection').then(([socket]) => once((socket as Socket).resume(), 'close'));
  await expect(endpoint.ask('GET', '/')).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  await closed;
});

test('where a request says so, a server may be silent for long', async () => {
  const { endpoint } = await start(
    (_, response) => {
      response.write('[');
      setTimeout(() => response.end(']'), 200);
    },
    { answerTimeoutMs: 50 },
  );
  expect(await endpoint.ask('GET', '/', { answerTimeoutMs: 0 })).toMatchObject({ body: [] });
});

test('an answer that is too large is read no further, and one that breaks off is none', async () => {
  const sockets = new Set<Socket>();
  const { endpoint } = await start((request, response) => {
    sockets.add(request.socket);
    response.write(request.url === '/base/large' ? 'x'.repeat(1_001) : '{', () => {
      if (request.url === '/base/broken') request.socket.destroy();
    });
  });
  await expect(endpoint.ask('GET', '/large')).rejects.toMatchObject({ code: 'EMSGSIZE' });
  for (const socket of sockets) if (!socket.closed) await once(socket, 'close');
  await expect(endpoint.ask('GET', '/broken')).rejects.toMatchObject({ code: 'ECONNRESET' });
});

test('what is given up is gone at the server, too', async () => {
  let closed: Promise<unknown> | undefined;
  const giveUp = new AbortController();
  const { endpoint } = await start((request) => {
    closed = once(request.socket, 'close');
    giveUp.abort();
  });
  await expect(endpoint.ask('GET', '/', { signal: giveUp.signal })).rejects.toMatchObject({ code: 'ABORT_ERR' });
  await closed;
  await expect(endpoint.ask('GET', '/', { signal: giveUp.signal })).rejects.toMatchObject({ code: 'ABORT_ERR' });
});

test('what is given up is gone also within its answer, and while it waits for a connection', async () => {
  const giveUp = new AbortController();
  const { endpoint } = await start((_, response) => void response.write('{'), { connections: 1 });
  const reading = endpoint.bodyOf(await endpoint.open('GET', '/', { signal: giveUp.signal }));
  const waiting = endpoint.ask('GET', '/', { signal: giveUp.signal });
  const others = [endpoint.ask('GET', '/'), endpoint.ask('GET', '/')];
  giveUp.abort();
  for (const each of [reading, waiting]) await expect(each).rejects.toMatchObject({ code: 'ABORT_ERR' });
  endpoint.close();
  for (const each of others) await expect(each).rejects.toMatchObject({ code: 'ABORT_ERR' });
  await expect(endpoint.ask('GET', '/')).rejects.toMatchObject({ code: 'ABORT_ERR' });
});

test('a server that changes the protocol unasked has not answered', async () => {
  const { server, endpoint } = await start(() => undefined);
  server.removeAllListeners('request');
  server.on('connection', (socket) =>
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n'),
  );
  await expect(endpoint.ask('GET', '/')).rejects.toMatchObject({ code: 'ECONNRESET' });
});

test('a server that answers before it has read the body gets no more of it', async () => {
  let closed: Promise<unknown> | undefined;
  const letters = new Set<string>();
  const { endpoint } = await start((request, response) => {
    closed = new Promise((resolve) => request.socket.once('close', resolve));
    response.end('{}');
    request.on('data', (chunk: Buffer) => letters.add(String.fromCharCode(chunk[0]!)));
  });
  const body = Buffer.alloc(64 * 1024 * 1024, 'a');
  expect(await endpoint.ask('POST', '/', { body })).toMatchObject({ status: 200, body: {} });
  body.fill('b');
  await closed;
  expect([...letters]).toEqual(['a']);
});

test('connections are used again, no more than allowed, and closed when they have been idle', async () => {
  const sockets = new Set<Socket>();
  const { endpoint } = await start(
    (request, response) => {
      sockets.add(request.socket);
      setTimeout(() => response.end('{}'), 5);
    },
    { connections: 2, keepAliveMs: 100 },
  );
  await Promise.all(Array.from({ length: 20 }, () => endpoint.ask('GET', '/')));
  expect(sockets.size).toBe(2);
  for (const socket of sockets) if (!socket.closed) await once(socket, 'close');
  expect(await endpoint.ask('GET', '/')).toMatchObject({ body: {} });
});

test('where nothing listens, it says so', async () => {
  const { server, endpoint } = await start(() => undefined);
  server.close();
  await once(server, 'close');
  await expect(endpoint.ask('GET', '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});
