// What the runtimes share: HTTP with POST /init and POST /run (the platform's runtime contract) on the sockets that the host
// hands over as file descriptors 3, 4, … The runtime ends with them: no port, no file, no orphan.
// CommonJS and node:http only: every module more costs memory in every process.
'use strict';
const { createServer } = require('node:http');
const { Socket } = require('node:net');

/** Both streams get the line by which the host knows that an activation's logs are complete. */
function endLogs() {
  process.stdout.write('XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n');
  process.stderr.write('XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n');
}

/** @param routes by path: a function from the request's JSON to `{status, body}` */
function serve(routes, connections) {
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    let status;
    let text;
    try {
      const reply = await routes[request.url](JSON.parse(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)));
      status = reply.status;
      text = JSON.stringify(reply.body);
    } catch (error) {
      console.error(error);
      status = 502;
      text = JSON.stringify({ error: `An error has occurred: ${error}` });
    }
    const body = Buffer.from(text);
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  });
  for (let fd = 3; fd < 3 + connections; fd++) {
    const socket = new Socket({ fd });
    socket.on('close', () => process.exit());
    server.emit('connection', socket);
  }
}

module.exports = { endLogs, serve };
