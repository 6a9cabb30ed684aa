import type { Duplex } from 'node:stream';

/** What a runtime answered. `bytes` is the length that it announced; `body` holds at most the allowed part of it. */
export interface RuntimeAnswer {
  readonly status: number;
  readonly body: Buffer;
  readonly bytes: number;
}

const MAX_HEAD_BYTES = 16 * 1024;
const HEAD_END = '\r\n\r\n';

/**
 * The host's end of the runtime contract: HTTP/1.1 on one socket, one request at a time. Written by hand because it is on
 * the path of every invocation and needs little: a runtime answers with `Content-Length` (a chunked answer counts as none).
 */
export class RuntimeConnection {
  readonly #socket: Duplex;
  readonly #maxBodyBytes: number;
  #waiting: { resolve: (answer: RuntimeAnswer) => void; reject: (error: Error) => void } | undefined;
  #head = '';
  #status = 0;
  #bytes = -1;
  #received = 0;
  #chunks: Buffer[] = [];
  #broken: Error | undefined;

  constructor(socket: Duplex, maxBodyBytes: number) {
    this.#socket = socket;
    this.#maxBodyBytes = maxBodyBytes;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => this.#break(error));
    socket.on('close', () => this.#break(new Error('the runtime closed its connection')));
  }

  get busy(): boolean {
    return this.#waiting !== undefined;
  }

  /** Sends `POST path` with the joined parts as its body. Rejects when the connection is lost or answers something else. */
  post(path: '/init' | '/run', parts: readonly Buffer[]): Promise<RuntimeAnswer> {
    if (this.#broken) return Promise.reject(this.#broken);
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.cork();
      this.#socket.write(
        `POST ${path} HTTP/1.1\r\nHost: runtime\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n`,
      );
      for (const part of parts) this.#socket.write(part);
      this.#socket.uncork();
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    if (!this.#waiting) {
      this.#break(new Error('the runtime spoke without being asked'));
      return;
    }
    if (this.#bytes < 0) {
      this.#head += chunk.toString('latin1');
      const end = this.#head.indexOf(HEAD_END);
      if (end < 0) {
        if (this.#head.length > MAX_HEAD_BYTES) this.#break(new Error('the runtime answered garbage'));
        return;
      }
      const bodyBytes = this.#head.length - end - HEAD_END.length;
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(this.#head)?.[1];
      const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(this.#head.slice(0, end + 2))?.[1];
      if (!status || !length) {
        this.#break(new Error('the runtime answered garbage'));
        return;
      }
      this.#status = Number(status);
      this.#bytes = Number(length);
      chunk = chunk.subarray(chunk.length - bodyBytes);
    }
    const room = this.#maxBodyBytes - this.#received;
    if (room > 0 && chunk.length > 0) this.#chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
    this.#received += chunk.length;
    if (this.#received < this.#bytes) return;
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const { resolve } = this.#waiting;
    const answer = { status: this.#status, body, bytes: this.#bytes };
    this.#waiting = undefined;
    this.#head = '';
    this.#bytes = -1;
    this.#received = 0;
    this.#chunks = [];
    resolve(answer);
  }

  #break(error: Error): void {
    this.#broken ??= error;
    this.#socket.destroy();
    this.#waiting?.reject(this.#broken);
    this.#waiting = undefined;
  }
}
