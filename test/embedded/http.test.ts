import { gzipSync } from 'node:zlib';
import { expect, it, onTestFinished } from 'vitest';
import { BodyTooLarge, listen, readBody } from '../../src/embedded/http.ts';

async function echo(maxBytes: number): Promise<string> {
  const listener = await listen(
    async (request, response) => {
      try {
        response.end(await readBody(request, maxBytes));
      } catch (error) {
        response.writeHead(error instanceof BodyTooLarge ? 413 : 400).end((error as { code?: string }).code);
      }
    },
    { port: 0, setting: 'x' },
  );
  onTestFinished(() => listener.close());
  return listener.url;
}

it('reads plain and gzipped bodies up to the limit', async () => {
  const url = await echo(1_000);
  const body = 'x'.repeat(1_000);
  expect(await (await fetch(url, { method: 'POST', body })).text()).toBe(body);
  const zipped = await fetch(url, { method: 'POST', body: gzipSync(body), headers: { 'content-encoding': 'gzip' } });
  expect(await zipped.text()).toBe(body);
});

it('lets the client see the answer to a body that is too large, zipped or not', async () => {
  const url = await echo(1_000);
  expect((await fetch(url, { method: 'POST', body: 'x'.repeat(5_000_000) })).status).toBe(413);
  const bomb = gzipSync(Buffer.alloc(5_000_000));
  expect((await fetch(url, { method: 'POST', body: bomb, headers: { 'content-encoding': 'gzip' } })).status).toBe(413);
});

it('names what is wrong with a body that is not gzip', async () => {
  const response = await fetch(await echo(1_000), {
    method: 'POST',
    body: 'no gzip',
    headers: { 'content-encoding': 'gzip' },
  });
  expect(response.status).toBe(400);
  expect(await response.text()).toBe('Z_DATA_ERROR');
});

it('says which setting to change when the port is taken', async () => {
  const url = await echo(1);
  const port = Number(new URL(url).port);
  await expect(listen(() => {}, { port, setting: 'embeddedMqttPort' })).rejects.toThrow(
    `127.0.0.1:${port} is already in use by another program; stop that one, or set embeddedMqttPort`,
  );
});
