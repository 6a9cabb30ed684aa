// A journal of so many bytes with events that nobody has fired yet, as a platform that was away for long leaves it.
import { pino } from 'pino';
import { FileJournal } from '../../src/adapters/journal/journal.ts';
import { systemClock } from '../../src/adapters/system/clock.ts';

const [directory, registration, bytes] = process.argv.slice(2) as [string, string, string];
const log = pino({ level: 'warn' });
const journal = await FileJournal.open({ directory, maxBytes: Number.POSITIVE_INFINITY, clock: systemClock, log });
let count = 0;
while (journal.bytes < Number(bytes)) {
  const body = Buffer.from(JSON.stringify({ temperature: 21.5, device_fingerprint: count }));
  journal.append({ registration, topic: 'test', qos: 1, retain: false, body });
  count += 1;
  if (journal.undurableBytes > 8 * 1024 * 1024) await journal.durable();
}
await journal.close();
console.log(JSON.stringify({ count }));
