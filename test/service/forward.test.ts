import { forwardSuite } from '../support/forward-suite.ts';
import { Influx } from '../support/influx.ts';
import { startInfluxd } from '../support/influxd.ts';
import { describeWith } from '../support/programs.ts';

describeWith(['influxd'], 'forward between real InfluxDBs', () =>
  forwardSuite(async () => {
    const influxd = await startInfluxd();
    return { influx: new Influx(influxd), close: () => influxd.stop() };
  }),
);
