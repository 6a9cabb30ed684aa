import { createServer } from 'node:net';

/** Below the range that the system gives ports from, so that a port is free still when its program starts again. */
const FIRST = 12_000;
const PER_WORKER = 4_000;
const WORKERS = 5;
let last = process.pid % PER_WORKER;

/** A loopback port that was free a moment ago and that no other test is given, for programs that can't choose one and tell. */
export async function freePort(): Promise<number> {
  const first = FIRST + (Number(process.env.VITEST_POOL_ID ?? 0) % WORKERS) * PER_WORKER;
  for (;;) {
    last = (last + 1) % PER_WORKER;
    const port = first + last;
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer().once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
