import { aggregatesSuite } from '../support/aggregates-suite.ts';
import { Influx } from '../support/influx.ts';
import { startInfluxd } from '../support/influxd.ts';
import { describeWith } from '../support/programs.ts';

describeWith(['influxd'], 'aggregates on a real InfluxDB', () =>
  aggregatesSuite(async () => {
    const influxd = await startInfluxd();
    const influx = new Influx(influxd);
    await influx.createBucket('aggregates');
    return { influx, close: () => influxd.stop() };
  }),
);
