// Runs an image that speaks the runtime contract on port 8080 in a container, started by the embedded OpenWhisk as
// `node container.cjs CLI IMAGE MEMORY_MB CONNECTIONS`, CLI being docker or podman. The container ends with this process.
'use strict';
const { execFile, spawn } = require('node:child_process');
const { randomUUID } = require('node:crypto');
const { endLogs } = require('./serve.cjs');
const { relay } = require('./relay.cjs');

const [cli, image, memory, connections] = process.argv.slice(2);
const name = `fogwhisk-${randomUUID()}`;
const PORT_POLL_MS = 50;
/** What docker and podman exit with if there was nothing to run, or it could not be run. */
const NOT_RUN = [125, 126, 127];
const OUT_OF_MEMORY = 137;

/** Starts the container; resolves with its port on the loopback interface, or with the reply that says why there is none. */
function start() {
  removeAfterwards();
  // Attached, so that its output is this process's.
  const container = spawn(
    cli,
    // biome-ignore format: one option per line
    [
      'run', '--rm', '--name', name,
      '--publish', '127.0.0.1::8080',
      '--env', '__OW_API_HOST',
      '--memory', `${memory}m`,
      '--memory-swap', `${memory}m`,
      '--pids-limit', '1024',
      '--cap-drop', 'NET_RAW',
      '--cap-drop', 'NET_ADMIN',
      '--stop-timeout', '0',
      image,
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  return new Promise((resolve) => {
    const failed = (error) => {
      endLogs();
      resolve({ status: 502, body: { error } });
    };
    container.on('error', (error) => failed(`Containers can't be run, as ${cli} can't be started (${error.code}).`));
    container.on('exit', (code) => {
      if (NOT_RUN.includes(code)) failed(`Failed to pull or run container image '${image}'. See logs for details.`);
      // The host takes an abort for memory that is exhausted, which is what it is for a Node.js action.
      else if (code === OUT_OF_MEMORY) process.abort();
      else process.exit(1);
    });
    const poll = () => {
      if (container.exitCode !== null || container.pid === undefined) return;
      execFile(cli, ['port', name, '8080/tcp'], (_, stdout) => {
        const port = /:(\d+)\s/.exec(stdout)?.[1];
        if (port) resolve(Number(port));
        else setTimeout(poll, PORT_POLL_MS);
      });
    };
    poll();
  });
}

/**
 * A shell outside of this process's group, which removes the container when this process is gone, however it went. Twice, as
 * one that was just being made may appear a little later.
 */
function removeAfterwards() {
  const script = 'cat >/dev/null; "$0" rm --force "$1"; sleep 2; exec "$0" rm --force "$1"';
  const shell = spawn('/bin/sh', ['-c', script, cli, name], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  shell.on('error', () => {});
}

// A port that is published may be open before its container listens, and then closes at once.
relay(start(), ['ECONNREFUSED', 'ECONNRESET'], Number(connections));
