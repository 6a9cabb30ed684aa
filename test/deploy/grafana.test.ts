import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InfluxDB } from '@influxdata/influxdb-client';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { startInfluxdb } from '../../src/embedded/influxdb/server.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { ROOT } from './support/images.ts';

const GRAFANA = join(ROOT, 'deploy/center/grafana');

interface Dashboard {
  readonly templating: { readonly list: ReadonlyArray<{ readonly name: string; readonly query: string }> };
  readonly panels: ReadonlyArray<{
    readonly title: string;
    readonly targets: ReadonlyArray<{ readonly datasource: { readonly uid: string }; readonly query: string }>;
  }>;
}

const dashboard = JSON.parse(readFileSync(join(GRAFANA, 'aggregates.json'), 'utf8')) as Dashboard;
const { datasources } = parse(readFileSync(join(GRAFANA, 'datasources.yaml'), 'utf8')) as {
  datasources: Array<{ uid: string; jsonData: { organization: string; defaultBucket: string } }>;
};

/** A central InfluxDB with the aggregates of two data centers of this hour. */
async function center() {
  const { organization: org, defaultBucket: bucket } = datasources[0]!.jsonData;
  const token = 'token-of-the-test';
  const log = pino({ level: 'silent' });
  const dataDir = await temporaryFolder();
  const server = await startInfluxdb({ port: 0, dataDir, token, org, buckets: [bucket], log, setting: '' });
  onTestFinished(() => server.close());
  const client = new InfluxDB({ url: server.url, token });
  const write = client.getWriteApi(org, bucket, 'ms');
  const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  for (const measurement of ['temperature', 'humidity', 'gas_perc']) {
    for (const site of [1, 2]) write.writeRecord(`${measurement},datacenter_id=${site} avg=2,min=1,max=3 ${hour}`);
  }
  await write.close();
  return (flux: string) => client.getQueryApi(org).collectRows<Record<string, unknown>>(flux);
}

/** What Grafana sends: its variables filled in. */
function filledIn(query: string, datacenter: string): string {
  return (
    query
      .replaceAll('v.timeRangeStart', '-7d')
      .replaceAll('v.timeRangeStop', 'now()')
      // biome-ignore lint/suspicious/noTemplateCurlyInString: as Grafana writes its variables
      .replaceAll('${datacenter_id:regex}', datacenter)
  );
}

describe("Grafana's dashboard", () => {
  it('asks data sources that are provisioned', () => {
    const asked = dashboard.panels.flatMap(({ targets }) => targets.map(({ datasource }) => datasource.uid));
    expect(new Set(asked)).toEqual(new Set(datasources.map(({ uid }) => uid)));
  });

  it('offers the data centers that there are', async () => {
    const query = await center();
    const variable = dashboard.templating.list.find(({ name }) => name === 'datacenter_id')!;
    expect((await query(variable.query)).map(({ _value }) => _value)).toEqual(['1', '2']);
  });

  it('has rows for every query: of one data center, and of all', async () => {
    const query = await center();
    const seen = new Set<string>();
    for (const { query: flux } of dashboard.panels.flatMap(({ targets }) => targets)) {
      const ofBoth = await query(filledIn(flux, '(1|2)'));
      expect(ofBoth.map(({ datacenter_id }) => datacenter_id).sort()).toEqual(['1', '2']);
      expect(await query(filledIn(flux, '2'))).toMatchObject([{ datacenter_id: '2' }]);
      seen.add(`${ofBoth[0]!._measurement} ${ofBoth[0]!._field}=${ofBoth[0]!._value}`);
    }
    const quantities = ['gas_perc', 'humidity', 'temperature'];
    expect([...seen].sort()).toEqual(quantities.flatMap((name) => [`${name} avg=2`, `${name} max=3`, `${name} min=1`]));
  });
});
