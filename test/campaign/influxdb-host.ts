// The embedded InfluxDB as a process for the campaign to kill.
import { pino } from 'pino';
import { startInfluxdb } from '../../src/embedded/influxdb/server.ts';

const [, , port = '0', dataDir = '', token = '', org = '', bucket = ''] = process.argv;
const log = pino({ level: 'warn' }, pino.destination(2));
const influxdb = await startInfluxdb({
  port: Number(port),
  dataDir,
  token,
  org,
  buckets: [bucket],
  log,
  setting: 'influxdb',
});

// The signal that influxd stops on.
process.once('SIGINT', () => void influxdb.close().then(() => process.exit(0)));
