import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerAddress } from '../support/mosquitto.ts';
import { Child, type Running } from '../support/processes.ts';
import type { Sink } from '../support/sink.ts';
import { temporaryFolder } from '../support/temporary.ts';

export const NODE_RED_VERSION = '4.1.15';
const FOLDER = join(tmpdir(), `fogwhisk-bench-node-red-${NODE_RED_VERSION}`);

/** Installs Node-RED from npm, in a folder that is kept for the next run. */
export function installNodeRed(): void {
  if (existsSync(join(FOLDER, 'node_modules', 'node-red', 'package.json'))) return;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, 'package.json'), '{"private":true}\n');
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', `node-red@${NODE_RED_VERSION}`];
  execFileSync('npm', args, { cwd: FOLDER, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Collects 256 messages, or what came within 25 ms, into one request: what a user writes who wants more. */
const BATCH = `
const waiting = context.get('waiting') || [];
context.set('waiting', waiting);
const flush = () => {
  clearTimeout(context.get('timer'));
  context.set('timer', undefined);
  const payload = '[' + waiting.splice(0).join(',') + ']';
  node.send({ payload, headers: { 'content-type': 'application/json' } });
};
waiting.push(msg.payload);
if (waiting.length >= 256) flush();
else if (!context.get('timer')) context.set('timer', setTimeout(flush, 25));
`;
const SINGLE = `
msg.headers = { 'content-type': 'application/json' };
return msg;
`;

/** Node-RED with a flow from the broker to a request: one per message, or one per batch of a hand-written function. */
export async function startNodeRed(broker: BrokerAddress, sink: Sink, how: 'single' | 'batched'): Promise<Running> {
  const folder = temporaryFolder();
  const position = { x: 100, y: 100 }; // without one, a node is taken for configuration
  const flow = [
    { id: 'bench-tab', type: 'tab', label: 'bench' },
    {
      id: 'bench-broker',
      type: 'mqtt-broker',
      broker: '127.0.0.1',
      port: broker.port,
      clientid: 'node-red',
      autoConnect: true,
      protocolVersion: '5',
      keepalive: '60',
      cleansession: false,
      sessionExpiry: '3600',
    },
    {
      id: 'bench-in',
      z: 'bench-tab',
      ...position,
      type: 'mqtt in',
      broker: 'bench-broker',
      topic: 'test',
      qos: '1',
      datatype: 'utf8',
      wires: [['bench-function']],
    },
    {
      id: 'bench-function',
      z: 'bench-tab',
      ...position,
      type: 'function',
      outputs: 1,
      func: how === 'single' ? SINGLE : BATCH,
      libs: [],
      wires: [['bench-request']],
    },
    {
      id: 'bench-request',
      z: 'bench-tab',
      ...position,
      type: 'http request',
      method: 'POST',
      ret: 'txt',
      url: `${sink.url}/node-red`,
      persist: true, // keep-alive
      wires: [[]],
    },
  ];
  writeFileSync(join(folder, 'flows.json'), JSON.stringify(flow));
  writeFileSync(
    join(folder, 'settings.js'),
    `module.exports = ${JSON.stringify({ flowFile: 'flows.json', httpAdminRoot: false, httpNodeRoot: false, uiPort: 0, uiHost: '127.0.0.1' })};\n`,
  );
  const red = join(FOLDER, 'node_modules', 'node-red', 'red.js');
  const child = new Child(process.execPath, [red, '--userDir', folder, '--settings', join(folder, 'settings.js')]);
  await child.says(/Connected to broker/);
  await sleep(500); // it does not say when it has subscribed
  return child;
}
