// The embedded InfluxDB in a process of its own, so that its memory and CPU can be told from a site's other parts.
import { pino } from 'pino';
import { startInfluxdb } from '../../src/embedded/influxdb/server.ts';

const [dataDir, token, org, bucket] = process.argv.slice(2) as [string, string, string, string];
const { url } = await startInfluxdb({
  port: 0,
  setting: 'embeddedInfluxdbPort',
  dataDir,
  token,
  org,
  buckets: [bucket],
  log: pino({ level: 'warn' }),
});
console.log(JSON.stringify({ url }));
