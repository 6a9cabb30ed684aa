// A provider without a journal: a message is acknowledged when its request is answered. What arrives together is
// posted together, so that only the in-flight window and the answer's time decide.
import type { Socket } from 'node:net';
import { connect } from 'mqtt';
import { Pool } from 'undici';

const [mqttUrl, apiUrl] = process.argv.slice(2) as [string, string];
const pool = new Pool(apiUrl, { connections: 64 });
const client = connect(mqttUrl, { clean: false, clientId: 'acknowledge-after-http' });
let waiting: Array<{ body: string; messageId: number }> = [];

client.handleMessage = ({ payload, messageId }, done) => {
  if (waiting.length === 0) setImmediate(() => void post());
  waiting.push({ body: payload.toString(), messageId: messageId! });
  done(new Error('acknowledged after the answer'));
};
client.subscribe('test', { qos: 1 }, () => console.log('subscribed'));

async function post(): Promise<void> {
  const batch = waiting;
  waiting = [];
  const body = `[${batch.map((each) => each.body).join(',')}]`;
  const answer = await pool.request({ method: 'POST', path: '/naive', body });
  await answer.body.dump();
  const packets = batch.map(({ messageId }) => Buffer.from([0x40, 2, messageId >> 8, messageId & 0xff]));
  (client.stream as Socket).write(Buffer.concat(packets));
}
