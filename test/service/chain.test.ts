import { chainSuite } from '../support/chain-suite.ts';
import { Influx } from '../support/influx.ts';
import { startInfluxd } from '../support/influxd.ts';
import { describeLong } from '../support/programs.ts';

async function start() {
  const influxd = await startInfluxd();
  const influx = new Influx(influxd);
  await influx.createBucket('aggregates');
  return { influx, close: () => influxd.stop() };
}

describeLong(
  'aggregates get from a real InfluxDB to a real center',
  () => chainSuite({ startLocal: start, startCenter: start }),
  ['influxd'],
);
