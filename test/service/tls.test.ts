import { Writable } from 'node:stream';
import { connectAsync } from 'mqtt';
import { pino } from 'pino';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { connectionOf, write } from '../../actions/shared/influx.ts';
import { MqttBroker } from '../../src/adapters/mqtt/broker.ts';
import { OpenwhiskPlatform } from '../../src/adapters/openwhisk/platform.ts';
import { loadConfig } from '../../src/config.ts';
import { startInfluxdb } from '../../src/embedded/influxdb/server.ts';
import { loadTls } from '../../src/tls.ts';
import { couchdbIn } from '../embedded/openwhisk/host.ts';
import { Authority, type Certified, tlsBefore } from '../support/authority.ts';
import { FakeOpenwhisk } from '../support/fake-openwhisk.ts';
import { freePort } from '../support/free-port.ts';
import { Mosquitto } from '../support/mosquitto.ts';
import { describeWith } from '../support/programs.ts';
import { Provider } from '../support/provider.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** Real TLS servers with certificates of an authority that only the test knows. */

const TOKEN = 'token-of-the-test';

let folder: string;
let authority: Authority;
let server: Certified;

describeWith(['openssl'], 'TLS', () => {
  beforeEach(async () => {
    folder = await temporaryFolder();
    authority = new Authority(folder);
    server = authority.issue('server', 'IP:127.0.0.1,DNS:localhost');
  });

  describeWith(['mosquitto'], 'with a real Mosquitto that wants client certificates', () => {
    it('carries a reading from the broker to the point, with CouchDB and InfluxDB behind TLS too', async () => {
      const client = authority.issue('client', 'DNS:site-1');
      const broker = await mosquitto(['require_certificate true']);
      const couchdb = await couchdbIn(folder);
      onTestFinished(() => couchdb.close());
      const { port: influxPort } = await influxdb();
      const provider = await Provider.start({
        dataDir: await temporaryFolder(),
        tlsCaFile: authority.certFile,
        mqttTlsCertFile: client.certFile,
        mqttTlsKeyFile: client.keyFile,
        mqttUrl: `mqtts://localhost:${broker.tlsPort}`,
        couchdbGateway: `https://localhost:${await tlsBefore(couchdb.port, server)}`,
        couchdbUsername: 'admin',
        couchdbPassword: 'secret',
        influxLocalUrl: `https://localhost:${await tlsBefore(influxPort, server)}`,
        influxLocalToken: TOKEN,
      });
      const sensor = await connectAsync(broker.url);
      onTestFinished(() => sensor.endAsync(true));
      await sensor.publishAsync('test', '{"temperature":21.5,"device_fingerprint":1}', { qos: 1 });
      await provider.untilStatus(({ books }) => books.confirmed === 1);
      expect(provider.output()).not.toContain('out of reach');
    }, 60_000);

    it('says so when the authority, or the name, is not the right one, and connects to nothing', async () => {
      const broker = await mosquitto();
      const other = new Authority(folder, 'other-authority');
      expect(await refusal(`mqtts://localhost:${broker.tlsPort}`, {})).toMatch(
        /no authority that is trusted here; set tlsCaFile/,
      );
      expect(await refusal(`mqtts://localhost:${broker.tlsPort}`, { tlsCaFile: other.certFile })).toMatch(
        /no authority/,
      );
      server = authority.issue('elsewhere', 'DNS:elsewhere.example');
      const misnamed = await mosquitto();
      expect(await refusal(`mqtts://localhost:${misnamed.tlsPort}`, { tlsCaFile: authority.certFile })).toMatch(
        /its certificate is for another host name; .*ERR_TLS_CERT_ALTNAME_INVALID/,
      );
    });
  });

  it('is verified by actions, which are told of the authority by the parameter tls_ca', async () => {
    const { port } = await influxdb();
    const influx_url = `https://localhost:${await tlsBefore(port, server)}`;
    const parameters = { influx_url, influx_token: TOKEN, influx_org: 'influxdata', influx_bucket: 'measure' };
    const lines = [{ message: 0, text: 'temperature value=21.5 1700000000000000000' }];
    await expect(write(connectionOf(parameters), lines)).rejects.toMatchObject({
      code: 'INFLUX_UNREACHABLE',
      message: expect.stringContaining('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
    });
    const { ca: tls_ca } = await loadTls(loadConfig(undefined, { tlsCaFile: authority.certFile }));
    expect(await write(connectionOf({ ...parameters, tls_ca }), lines)).toEqual([]);
  });

  it('is verified before a trigger is fired', async () => {
    const openwhisk = await FakeOpenwhisk.start();
    openwhisk.react = () => ({ status: 202, receipt: 'none' });
    const port = await tlsBefore(Number(new URL(openwhisk.url).port), server);
    const misnamed = await tlsBefore(
      Number(new URL(openwhisk.url).port),
      authority.issue('elsewhere', 'DNS:elsewhere.example'),
    );
    const fire = async (url: string, settings: Record<string, string>) => {
      const { secureContext } = await loadTls(loadConfig(undefined, settings));
      const platform = new OpenwhiskPlatform(url, FakeOpenwhisk.auth, secureContext);
      onTestFinished(() => platform.close());
      return platform.fire('t', Buffer.from('{"messages":[]}'), AbortSignal.timeout(10_000));
    };
    const trusting = { tlsCaFile: authority.certFile };
    expect(await fire(`https://localhost:${port}`, trusting)).toMatchObject({ kind: 'accepted' });
    expect(await fire(`https://127.0.0.1:${port}`, trusting)).toMatchObject({ kind: 'accepted' });
    expect(await fire(`https://localhost:${port}`, {})).toMatchObject({
      kind: 'unavailable',
      reason: expect.stringMatching(/^its certificate is signed by no authority .*tlsCaFile/),
    });
    expect(await fire(`https://localhost:${misnamed}`, trusting)).toMatchObject({
      kind: 'unavailable',
      reason: expect.stringMatching(/^its certificate is for another host name/),
    });
    expect(openwhisk.fired).toHaveLength(2);
  });

  describe('files that are not what they should be', () => {
    it('are named with the setting', async () => {
      const load = (settings: Record<string, string>) => loadTls(loadConfig(undefined, settings));
      const client = authority.issue('client', 'DNS:site-1');
      const mqttTlsCertFile = client.certFile;
      await expect(load({ tlsCaFile: '/nowhere/ca.pem' })).rejects.toThrow("/nowhere/ca.pem can't be read (ENOENT)");
      await expect(load({ tlsCaFile: client.keyFile })).rejects.toThrow(/client.key does not hold PEM cert.*tlsCaFile/);
      await expect(load({ mqttTlsCertFile })).rejects.toThrow(/does not hold the PEM key.*mqttTlsKeyFile/);
      await expect(load({ mqttTlsCertFile, mqttTlsKeyFile: server.keyFile })).rejects.toThrow(/KEY_VALUES_MISMATCH/);
      await expect(load({ mqttTlsKeyFile: client.keyFile })).rejects.toThrow(/set mqttTlsCertFile/);
      expect(await load({})).toEqual({});
    });
  });
});

async function influxdb() {
  const influxdb = await startInfluxdb({
    port: 0,
    setting: 'embeddedInfluxdbPort',
    dataDir: folder,
    token: TOKEN,
    org: 'influxdata',
    buckets: ['measure'],
    log: pino({ level: 'silent' }),
  });
  onTestFinished(() => influxdb.close());
  return influxdb;
}

/** Plain on one port and with TLS on another. */
async function mosquitto(extra: string[] = []) {
  const tlsPort = await freePort();
  const files = [`cafile ${authority.certFile}`, `certfile ${server.certFile}`, `keyfile ${server.keyFile}`];
  const { url } = await Mosquitto.start([`listener ${tlsPort} 127.0.0.1`, ...files, ...extra, 'allow_anonymous true']);
  return { url, tlsPort };
}

/** The reason that is logged when the broker can't be used. */
async function refusal(url: string, settings: Record<string, string>): Promise<string> {
  const { brokerSecureContext: secureContext } = await loadTls(loadConfig(undefined, settings));
  let told = (_reason: string) => {};
  const reason = new Promise<string>((resolve) => {
    told = resolve;
  });
  const lines = new Writable({
    write(line: Buffer, _encoding, done) {
      const { reason } = JSON.parse(line.toString()) as { reason?: string };
      if (reason) told(reason);
      done();
    },
  });
  const broker = new MqttBroker({
    url,
    version: 5,
    clientId: 'fogwhisk-1',
    receiveMaximum: 10,
    stateFile: `${folder}/subscriptions.json`,
    secureContext,
    log: pino(lines),
  });
  onTestFinished(() => broker.stop());
  void broker.start([{ filter: 'test', qos: 1, identifier: 1 }], () => undefined);
  const said = await reason;
  expect(broker.connected).toBe(false);
  return said;
}
