import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { createGunzip, createInflate, type Gunzip, type Inflate } from 'node:zlib';
import { FogwhiskError } from '../core/errors.ts';

/** What the embedded CouchDB, OpenWhisk and InfluxDB share: a listener and bounded bodies. */

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

export interface Listener {
  readonly port: number;
  /** `http://<host>:<port>` as this machine reaches it, without a trailing slash. */
  readonly url: string;
  /** Stops listening, lets running answers finish for `graceMs` (default 1,000 ms), then cuts what is left. */
  close(graceMs?: number): Promise<void>;
}

/**
 * Serves HTTP on `host:port` (port 0 = any free one).
 * @param setting the configuration key that names the port, for the error of a port that is taken
 * @throws FogwhiskError `PORT_TAKEN` or `PORT_REFUSED`
 */
export async function listen(
  handler: Handler,
  { host = '127.0.0.1', port, setting }: { host?: string; port: number; setting: string },
): Promise<Listener> {
  const server = createServer({ keepAliveTimeout: 75_000, requestTimeout: 300_000 }, (request, response) => {
    void (async () => handler(request, response))().catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: 'internal_error', reason: String(error) }));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port, setting)));
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    port: address.port,
    url: `http://${reachable(host)}:${address.port}`,
    async close(graceMs = 1_000) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const cut = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(cut);
    },
  };
}

/** How this machine reaches a listener that is bound to `host`, as a URL writes it: loopback where that is every address. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/** The error a person can act on when a listener can't be opened. */
export function listenError(error: NodeJS.ErrnoException, host: string, port: number, setting: string): Error {
  if (error.code === 'EADDRINUSE') return new FogwhiskError('PORT_TAKEN', { host, port, setting });
  if (error.code === 'EACCES' || error.code === 'EADDRNOTAVAIL') {
    return new FogwhiskError('PORT_REFUSED', { host, port, setting, reason: error.code }, { cause: error });
  }
  return error;
}

/** A request's body is larger than its reader allows. */
export class BodyTooLarge extends Error {
  readonly maxBytes: number;
  constructor(maxBytes: number) {
    super(`the request's body is larger than ${maxBytes} bytes`);
    this.maxBytes = maxBytes;
  }
}

/**
 * Reads a body of at most `maxBytes`, after undoing `Content-Encoding: gzip` or `deflate`.
 * @throws BodyTooLarge; a zlib error (`code` starts with `Z_`) for a body that is not what its encoding says
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const decoder = decoderFor(request.headers['content-encoding']);
    const source: Readable = decoder ? request.pipe(decoder) : request;
    const fail = (error: Error) => {
      // The rest is read and dropped, so that the client can finish sending and see the answer.
      source.removeAllListeners('data');
      request.unpipe();
      request.resume();
      reject(error);
    };
    source.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) fail(new BodyTooLarge(maxBytes));
      else chunks.push(chunk);
    });
    source.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes)));
    source.on('error', fail);
    request.on('close', () => {
      if (!request.complete) reject(new Error('the client went away before its request was complete'));
    });
  });
}

function decoderFor(encoding: string | undefined): Gunzip | Inflate | undefined {
  if (encoding === 'gzip') return createGunzip();
  if (encoding === 'deflate') return createInflate();
  return undefined;
}

/** The user and password of an `Authorization: Basic` header, if it has one that can be decoded. */
export function basicCredentials(request: IncomingMessage): { username: string; password: string } | undefined {
  const [scheme, encoded] = (request.headers.authorization ?? '').split(' ');
  if (scheme?.toLowerCase() !== 'basic' || !encoded) return undefined;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? undefined : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}
