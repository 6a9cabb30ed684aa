import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/support/free-port.ts';
import { Child, program } from './processes.ts';
import { temporaryFolder } from './temporary.ts';

/** Where an MQTT broker listens on loopback. */
export interface BrokerAddress {
  readonly port: number;
}

/** A Mosquitto of its own, with the settings that the deployment ships: nothing queued is dropped. */
export async function startMosquitto(): Promise<BrokerAddress & AsyncDisposable> {
  const folder = temporaryFolder();
  const port = await freePort();
  const file = join(folder, 'mosquitto.conf');
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'persistence true',
    `persistence_location ${folder}/`,
    'autosave_interval 2',
    'max_queued_messages 0',
    'max_queued_bytes 0',
    ...(process.getuid?.() === 0 ? ['user root'] : []),
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = new Child(program('mosquitto'), ['-c', file]);
  await child.says(/mosquitto version \S+ running/);
  return { port, [Symbol.asyncDispose]: () => child.end() };
}

/** Makes a persistent session that waits for `test`, so that what is published from now on is queued for it. */
export async function openSession(broker: BrokerAddress, clientId: string): Promise<void> {
  const args = ['-p', String(broker.port), '-c', '-i', clientId, '-q', '1', '-t', 'test', '-E'];
  const child = new Child(program('mosquitto_sub'), args);
  if ((await child.exited) !== 0) throw new Error(`mosquitto_sub: ${child.output}`);
}
