// The embedded CouchDB in a process of its own, so that its memory and CPU can be told from those of its sites.
import { pino } from 'pino';
import { startCouchdb } from '../../src/embedded/couchdb/server.ts';

const [dataDir, username, password] = process.argv.slice(2) as [string, string, string];
const log = pino({ level: 'warn' });
const { port } = await startCouchdb({ port: 0, setting: 'embeddedCouchdbPort', dataDir, username, password, log });
console.log(JSON.stringify({ port }));
