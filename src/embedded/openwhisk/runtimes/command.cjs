// Runs a program by the contract of apache/openwhisk-runtime-docker's skeleton, started by the embedded OpenWhisk as
// `node command.cjs [PROGRAM ARGUMENT…] CONNECTIONS`: for each activation the program gets the arguments as JSON in its last
// argument (if they are short) and on stdin; the last line of its stdout is the result, everything else is log.
'use strict';
const { spawn } = require('node:child_process');
const { accessSync, constants, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { endLogs, serve } = require('./serve.cjs');

const MAX_ARGUMENT_BYTES = 128 * 1024 - 1;
const MAX_LAST_LINE_BYTES = 2 * 1024 * 1024;
let program = process.argv.slice(2, -1);
let initialized = false;

function init({ code, binary, env = {} } = {}) {
  if (initialized) return { status: 403, body: { error: 'Cannot initialize the action more than once.' } };
  Object.assign(process.env, env);
  if (code) {
    const file = join(process.cwd(), 'exec');
    writeFileSync(file, Buffer.from(code, binary ? 'base64' : 'utf8'), { mode: 0o755 });
    program = [file];
  }
  initialized = canRun(program[0]);
  if (initialized) return { status: 200, body: { OK: true } };
  endLogs();
  return noProgram();
}

/** A name without a slash is looked for on PATH when it is run. */
function canRun(file) {
  try {
    if (file?.includes('/')) accessSync(file, constants.X_OK);
    return file !== undefined;
  } catch (error) {
    console.error(error.message);
    return false;
  }
}

function noProgram() {
  return { status: 502, body: { error: 'The action failed to generate or locate a binary. See logs for details.' } };
}

async function run({ value = {}, ...context }) {
  if (!initialized) return noProgram();
  for (const [name, text] of Object.entries(context)) {
    if (typeof text === 'string') process.env[`__OW_${name.toUpperCase()}`] = text;
  }
  const input = JSON.stringify(value);
  const lastLine = await execute(input);
  endLogs();
  try {
    const result = JSON.parse(lastLine);
    if (typeof result === 'object' && result !== null) return { status: 200, body: result };
  } catch {
    // not JSON
  }
  return { status: 502, body: { error: 'The action did not return a dictionary.' } };
}

/** The last line of the program's stdout; the lines before it go to the log. */
function execute(input) {
  const [command, ...args] = program;
  if (Buffer.byteLength(input) <= MAX_ARGUMENT_BYTES) args.push(input);
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    let last = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      last += text;
      const cut = last.lastIndexOf('\n', last.length - 2) + 1;
      process.stdout.write(last.slice(0, cut));
      last = last.slice(cut).slice(-MAX_LAST_LINE_BYTES);
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('error', (error) => {
      console.error(error.message);
      resolve('');
    });
    child.on('close', () => resolve(last.trim()));
  });
}

serve({ '/init': (message) => init(message.value), '/run': run }, Number(process.argv.at(-1)));
