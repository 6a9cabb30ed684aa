import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';

/** What passes between clients and one HTTP service. */
export interface CountingProxy extends AsyncDisposable {
  readonly port: number;
  requests: number;
  /** In both directions, headers included. */
  bytes: number;
}

const REQUEST_LINE = /^(?:GET|HEAD|POST|PUT|DELETE) \S+ HTTP\/1\.1\r$/gm;

/** A TCP proxy on loopback before the service on `port`. */
export async function startCountingProxy(port: number): Promise<CountingProxy> {
  const server = createServer({ noDelay: true }, (client) => {
    const service = connect({ port, host: '127.0.0.1', noDelay: true });
    client.on('data', (bytes: Buffer) => {
      proxy.bytes += bytes.length;
      proxy.requests += bytes.toString('latin1').match(REQUEST_LINE)?.length ?? 0;
    });
    service.on('data', (bytes: Buffer) => {
      proxy.bytes += bytes.length;
    });
    client.pipe(service).pipe(client);
    client.on('error', () => service.destroy());
    service.on('error', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: CountingProxy = {
    port: (server.address() as AddressInfo).port,
    requests: 0,
    bytes: 0,
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
  return proxy;
}
