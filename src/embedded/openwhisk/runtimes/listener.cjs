// Runs a program that speaks the runtime contract itself, on the port that its environment variable PORT names, started by the
// embedded OpenWhisk as `node listener.cjs PROGRAM [ARGUMENT…] CONNECTIONS`.
'use strict';
const { spawn } = require('node:child_process');
const { createServer } = require('node:net');
const { relay } = require('./relay.cjs');

const [command, ...args] = process.argv.slice(2, -1);

/** Starts the program on a free port of the loopback interface; this process ends with it. */
async function start() {
  const free = await freePort();
  const child = spawn(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PORT: String(free) },
  });
  child.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  child.on('exit', () => process.exit(1));
  return free;
}

/** Below those that the system gives to whoever asks for any: the program takes it a while later. */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const probe = createServer();
    const isFree = await new Promise((resolve, reject) => {
      probe.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
}

relay(start(), ['ECONNREFUSED'], Number(process.argv.at(-1)));
