import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

type Answer = (request: IncomingMessage, response: ServerResponse, pass: () => void, nth: number) => void;

/** Stands between an action and an InfluxDB: passes requests on, or answers them as told. */
export class InfluxProxy {
  readonly url: string;
  /** Paths of the requests, in order. */
  readonly asked: string[] = [];
  answer: Answer = (_request, _response, pass) => pass();

  private constructor(url: string) {
    this.url = url;
  }

  static async start(target: string): Promise<InfluxProxy> {
    const proxy: { current?: InfluxProxy } = {};
    const server = createServer((request, response) => {
      const { asked, answer } = proxy.current!;
      asked.push(request.url!);
      const pass = () => {
        const onward = httpRequest(
          `${target}${request.url}`,
          { method: request.method, headers: request.headers },
          (answer) => {
            response.writeHead(answer.statusCode!, answer.headers);
            answer.pipe(response);
          },
        );
        onward.on('error', () => response.destroy());
        request.pipe(onward);
      };
      answer(request, response, pass, asked.length - 1);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    proxy.current = new InfluxProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return proxy.current;
  }
}
