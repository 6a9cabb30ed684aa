// The Node.js action runtime: one process per action, started by the embedded OpenWhisk as `node nodejs.cjs CONNECTIONS`.
// Status codes and texts are those of apache/openwhisk-runtime-nodejs.
'use strict';
const { existsSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const { endLogs, serve } = require('./serve.cjs');

const connections = Number(process.argv[2] ?? 1);

let status = 'ready';
let running = 0;
let handler;

async function init({ main, code, binary, env = {} } = {}) {
  if (handler) return refuse('Cannot initialize the action more than once.');
  if (status !== 'ready') return refuse(`System not ready, status is ${status}.`);
  if (!main || typeof code !== 'string' || code.trim() === '') return refuse('Missing main/no code to execute.');
  for (const [name, value] of Object.entries(env)) {
    process.env[name] = typeof value === 'string' ? value : JSON.stringify(value);
  }
  try {
    handler = binary ? load(unpacked(Buffer.from(code, 'base64')), main) : evaluate(code, main);
    if (typeof handler !== 'function') throw `Action entrypoint '${main}' is not a function.`;
    return { status: 200, body: { OK: true } };
  } catch (error) {
    handler = undefined;
    status = 'stopped';
    console.error('Error during initialization:', error);
    endLogs();
    return { status: 502, body: { error: `Initialization has failed due to: ${error?.stack ?? error}` } };
  }
}

async function run({ value = {}, ...context }) {
  if (!handler)
    return refuse(status === 'ready' ? 'System not initialized.' : `System not ready, status is ${status}.`);
  if (status !== 'ready' || running >= connections) {
    return refuse(`System not ready, status is ${status === 'ready' ? 'running' : status}.`);
  }
  for (const [name, text] of Object.entries(context)) {
    if (typeof text === 'string') process.env[`__OW_${name.toUpperCase()}`] = text;
  }
  running++;
  try {
    return answer(await settle(value));
  } finally {
    running--;
    endLogs();
  }
}

/** What the action came to: a value, or the error that it threw at once (which stops the process) or rejected with. */
async function settle(value) {
  let result;
  try {
    result = handler(value);
  } catch (thrown) {
    return { thrown };
  }
  try {
    return { value: await result };
  } catch (error) {
    return {
      value: {
        error:
          error instanceof Error
            ? { ...error, name: error.name, message: error.message, stack: error.stack }
            : (error ?? {}),
      },
    };
  }
}

function answer({ thrown, value = {} }) {
  if (thrown !== undefined) {
    console.error(thrown);
    status = 'stopped';
    return { status: 502, body: { error: `An error has occurred: ${thrown}` } };
  }
  if (typeof value !== 'object') {
    console.error(`Result must be of type object but has type "${typeof value}":`, value);
    return { status: 502, body: { error: 'The action did not return a dictionary.' } };
  }
  return { status: 200, body: value };
}

function refuse(error) {
  return { status: 403, body: { error } };
}

/** The function that `main` names in a script, or the module's export of that name. */
function evaluate(code, main) {
  const module = { exports: {} };
  const find = `try { return ${main}; } catch (error) { if (!(error instanceof ReferenceError)) throw error; }`;
  const script = new Function('require', 'module', 'exports', `${code}\n;${find}`);
  return script(actionRequire(process.cwd()), module, module.exports) ?? module.exports[main];
}

/** `main` of an unpacked action: an export of the module, or `file.export`. */
function load(folder, main) {
  process.chdir(folder);
  const dot = main.lastIndexOf('.');
  if (dot < 0 && !existsSync(join(folder, 'package.json')) && !existsSync(join(folder, 'index.js'))) {
    throw 'Zipped actions must contain either package.json or index.js at the root.';
  }
  const file = dot < 0 ? folder : join(folder, main.slice(0, dot));
  return createRequire(join(folder, 'index.js'))(file)[main.slice(dot + 1)];
}

/** Modules are looked for from the action's folder; the platform's client is there without being packed, as in the images. */
function actionRequire(folder) {
  const own = createRequire(join(folder, 'index.js'));
  return Object.assign((name) => (name === 'openwhisk' ? require(name) : own(name)), {
    resolve: own.resolve,
    cache: own.cache,
  });
}

/** Unpacks an archive into a folder of its own. */
function unpacked(archive) {
  const folder = join(process.cwd(), 'action');
  // Only an action that comes as an archive pays for what unpacks it.
  require('./archive.cjs').unpack(archive, folder);
  return folder;
}

serve({ '/init': (message) => init(message.value), '/run': run }, connections);
