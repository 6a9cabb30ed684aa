// The embedded OpenWhisk with a CouchDB of its own, and our actions on it: a process for the campaign to kill.
import { join } from 'node:path';
import { pino } from 'pino';
import { deploy } from '../../src/adapters/openwhisk/deploy.ts';
import { startCouchdb } from '../../src/embedded/couchdb/server.ts';
import { startOpenwhisk } from '../../src/embedded/openwhisk/server.ts';

const [, , port = '0', dataDir = '', authKey = '', manifest = ''] = process.argv;
const log = pino({ level: 'warn' }, pino.destination(2));
const login = { username: 'campaign', password: 'campaign' };

const couchdb = await startCouchdb({ port: 0, dataDir, ...login, log, setting: 'couchdb' });
const host = await startOpenwhisk({
  port: Number(port),
  dataDir: join(dataDir, 'openwhisk'),
  couchdb: { url: couchdb.url, ...login },
  authKey,
  log,
  setting: 'openwhisk',
});
await deploy(manifest, { url: host.url, auth: authKey, providerUrl: 'http://127.0.0.1:1' });

process.once('SIGTERM', () => {
  void host
    .close()
    .then(() => couchdb.close())
    .then(() => process.exit(0));
});
