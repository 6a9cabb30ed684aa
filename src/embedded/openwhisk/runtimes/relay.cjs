// For programs that speak the runtime contract on a TCP port: hands the host's calls on to them.
'use strict';
const { request } = require('node:http');
const { serve } = require('./serve.cjs');

const RETRY_MS = 20;

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
        // A lost connection is for the host to see: it is this process that it is connected with.
        if (path !== '/init' || !notYet.includes(error.code)) process.exit(1);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  };
  serve({ '/init': (message) => call('/init', message), '/run': (message) => call('/run', message) }, connections);
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
