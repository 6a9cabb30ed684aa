// Runs a program that speaks the runtime contract itself, on the port that its environment variable PORT names, started by the
// embedded OpenWhisk as `node listener.cjs PROGRAM [ARGUMENT…] CONNECTIONS`. Hands the host's calls on to it.
'use strict';
const { spawn } = require('node:child_process');
const { request } = require('node:http');
const { createServer } = require('node:net');
const { serve } = require('./serve.cjs');

const RETRY_MS = 20;
const [command, ...args] = process.argv.slice(2, -1);
const port = start();

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

/** Calls the program; until it listens, again and again. */
async function call(path, message) {
  const body = Buffer.from(JSON.stringify(message));
  for (;;) {
    try {
      return await post(path, body);
    } catch (error) {
      if (error.code !== 'ECONNREFUSED' || path !== '/init') throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

async function post(path, body) {
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  const options = { host: '127.0.0.1', port: await port, path, method: 'POST', headers };
  const reply = await new Promise((resolve, reject) => {
    const sent = request(options, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ status: response.statusCode, text });
    });
    sent.on('error', reject);
    sent.end(body);
  });
  return { status: reply.status, body: parse(reply.text) };
}

/** What is not JSON is handed on as a string: an init may be answered with `OK`. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

serve(
  { '/init': (message) => call('/init', message), '/run': (message) => call('/run', message) },
  Number(process.argv.at(-1)),
);
