// Runs a program that speaks the runtime contract itself, on the port that its environment variable PORT names, started by the
// embedded OpenWhisk as `node listener.cjs PROGRAM [ARGUMENT…] CONNECTIONS`.
'use strict';
const { spawn } = require('node:child_process');
const { createServer } = require('node:net');
const { relay } = require('./relay.cjs');

const [command, ...args] = process.argv.slice(2, -1);

/** Starts the program on a free port of the loopback interface; this process ends with it. */
async function start() {
  const probe = createServer();
  const free = await new Promise((resolve) => probe.listen(0, '127.0.0.1', () => resolve(probe.address().port)));
  await new Promise((resolve) => probe.close(resolve));
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

relay(start(), ['ECONNREFUSED'], Number(process.argv.at(-1)));
