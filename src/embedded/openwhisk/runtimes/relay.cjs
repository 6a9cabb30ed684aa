// For programs that speak the runtime contract on a TCP port: hands the host's calls on to them.
'use strict';
const { request } = require('node:http');
const { serve } = require('./serve.cjs');

const RETRY_MS = 20;
const END_WAIT_MS = 1_000;

/**
 * @param port promises the program's port on the loopback interface, or the reply to /init if there is no program to be had
 * @param notYet error codes of a program that does not listen yet
 */
function relay(port, notYet, connections) {
  const call = async (path, message) => {
    const target = await port;
    if (typeof target !== 'number') return target;
    const body = Buffer.from(JSON.stringify(message));
    for (;;) {
      try {
        return await post(target, path, body);
      } catch (error) {
        if (path !== '/init' || !notYet.includes(error.code)) return lost();
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  };
  serve({ '/init': (message) => call('/init', message), '/run': (message) => call('/run', message) }, connections);
}

/** A lost connection is the host's to see, by losing its own. A program that ends is waited for: how it ended says why. */
function lost() {
  setTimeout(() => process.exit(1), END_WAIT_MS);
  return new Promise(() => {});
}

async function post(port, path, body) {
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  const reply = await new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method: 'POST', headers }, async (response) => {
      try {
        let text = '';
        for await (const chunk of response.setEncoding('utf8')) text += chunk;
        resolve({ status: response.statusCode, text });
      } catch (error) {
        reject(error);
      }
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

module.exports = { relay };
