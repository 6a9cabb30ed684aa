import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { InfluxDB } from '@influxdata/influxdb-client';
import openwhisk from 'openwhisk';
import { expect, it, onTestFinished } from 'vitest';
import { startInfluxd } from '../support/influxd.ts';
import { Mosquitto } from '../support/mosquitto.ts';
import { describeWith, program } from '../support/programs.ts';
import { Provider } from '../support/provider.ts';
import { Site } from '../support/site.ts';
import { temporaryFolder } from '../support/temporary.ts';

const run = promisify(execFile);

/** The site with outside servers in place of embedded parts, and outside clients on the embedded ones. */

describeWith(['mosquitto', 'mosquitto_pub', 'influxd'], 'a site with a real Mosquitto and a real InfluxDB', () => {
  it('brings a reading of mosquitto_pub to a point in InfluxDB', async () => {
    const [mosquitto, influx] = [await Mosquitto.start(), await startInfluxd()];
    onTestFinished(() => influx.stop());
    const provider = await Provider.start({
      dataDir: await temporaryFolder(),
      mqttUrl: mosquitto.url.replace('mqtt:', 'http:'),
      influxLocalUrl: influx.url,
      influxLocalToken: influx.token,
      influxLocalOrg: influx.org,
      influxLocalBucket: influx.bucket,
    });
    expect(provider.output()).not.toMatch(/^ {2}(MQTT|InfluxDB) /m);
    const reading =
      '{"humidity":41.0,"temperature":23.5,"gas_perc":17.0,"device_fingerprint":8394527,"datacenter_id":1}';
    for (let n = 0; n < 16; n++) {
      await run(program('mosquitto_pub')!, [
        '-h',
        '127.0.0.1',
        '-p',
        String(mosquitto.port),
        '-q',
        '1',
        '-t',
        'test',
        '-m',
        reading,
      ]);
    }
    await provider.untilStatus(({ books }) => books.confirmed === 16);
    const rows = await new InfluxDB({ url: influx.url, token: influx.token })
      .getQueryApi(influx.org)
      .collectRows<Record<string, unknown>>(`from(bucket: "${influx.bucket}") |> range(start: -1h) |> count()`);
    expect(
      rows
        .map(({ _measurement, _field, datacenter_id, device_fingerprint, _value }) => [
          _measurement,
          _field,
          datacenter_id,
          device_fingerprint,
          _value,
        ])
        .sort(),
    ).toEqual([
      ['gas_perc', 'value', '1', '8394527', 16],
      ['humidity', 'value', '1', '8394527', 16],
      ['temperature', 'value', '1', '8394527', 16],
    ]);
  });
});

describeWith(['mosquitto_pub', 'mosquitto_sub'], 'the embedded site and outside clients', () => {
  it('serves mosquitto_pub and mosquitto_sub, and the openwhisk client', async () => {
    const site = await Site.start();
    const port = new URL(site.provider.address('MQTT')).port;
    const broker = ['-h', '127.0.0.1', '-p', port, '-q', '1', '-t', 'test'];
    await run(program('mosquitto_pub')!, [...broker, '-r', '-m', '{"x":1}']);
    const { stdout } = await run(program('mosquitto_sub')!, [...broker, '-C', '1', '-F', '%t %r %p']);
    expect(stdout).toBe('test 1 {"x":1}\n');
    await site.settled(1);

    const { owAuth } = await site.credentials();
    const client = openwhisk({ api: `${site.provider.address('OpenWhisk')}/api/v1/`, api_key: owAuth });
    await client.actions.create({
      name: 'hello',
      action: 'function main({name}) { return {greeting: "Hello " + name} }',
    });
    expect(
      await client.actions.invoke({ name: 'hello', blocking: true, result: true, params: { name: 'fog' } }),
    ).toEqual({ greeting: 'Hello fog' });
    expect((await client.activations.list({ name: 'addReadingToDb' })).length).toBe(1);
  });
});
