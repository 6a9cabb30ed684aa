import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Config } from '../config.ts';
import type { Books } from '../core/event.ts';
import { credentialsFile } from '../credentials.ts';
import type { EmbeddedSite } from '../embedded-site.ts';
import { ownTopic } from './station.ts';

/**
 * What a started site tells its operator: where everything is, and commands to paste. The commands take their secrets
 * from files that are written beside the credentials (curl's `-K`), so that none is shown.
 */
export async function readyBlock(
  config: Config,
  { started, endpoints }: EmbeddedSite,
  providerUrl: string,
): Promise<string> {
  const folder = relative(process.cwd(), config.dataDir) || '.';
  const curlFile = async (name: string, content: string) => {
    const file = join(config.dataDir, name);
    const there = await readFile(file, 'utf8').catch(() => undefined);
    if (there !== `${content}\n`) await writeFile(file, `${content}\n`, { mode: 0o600 });
    return shellWord(join(folder, name));
  };
  const { mqtt, openwhisk, influxLocal } = endpoints;
  const openwhiskCurl = await curlFile('openwhisk.curl', `user = "${openwhisk.auth}"`);
  const influxCurl = await curlFile('influxdb.curl', `header = "Authorization: Token ${influxLocal.token}"`);

  const addresses = [{ name: 'fogwhisk', url: providerUrl }, ...started];
  const broker = new URL(mqtt.url);
  const topic = ownTopic(config);
  const flux = `from(bucket: "${config.influxLocalBucket}") |> range(start: -1h) |> last()`;
  const days = `from(bucket: "${config.influxCentralBucket}") |> range(start: -30d) |> filter(fn: (r) => r._measurement == "temperature") |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")`;
  const query = `curl -sK ${influxCurl} '${influxLocal.url}/api/v2/query?org=${encodeURIComponent(config.influxLocalOrg)}' -H 'content-type: application/vnd.flux'`;
  const lines = [
    '',
    `fogwhisk is ready: site ${config.datacenterId}`,
    '',
    ...addresses.map(({ name, url }) => `  ${name.padEnd(12)}${url}`),
    `  ${'data'.padEnd(12)}${folder}`,
    `  ${'credentials'.padEnd(12)}${relative(process.cwd(), credentialsFile(config.dataDir))}`,
    ...(config.simulate
      ? [`  ${'simulated'.padEnd(12)}an imitated lake buoy and room sensor publish (simulate: "false" turns them off)`]
      : []),
    '',
    'Publish a reading:',
    `  npx mqtt pub -h ${broker.hostname} -p ${broker.port || 1883} -q 1 -t ${shellWord(topic)} -m '{"temperature":21.5,"device_fingerprint":1}'`,
    'Look at the activations:',
    `  curl -sK ${openwhiskCurl} '${openwhisk.url}/api/v1/namespaces/_/activations?limit=5'`,
    'Query the points:',
    `  ${query} -d ${shellWord(flux)}`,
    'Query the aggregates of past days:',
    `  ${query} -d ${shellWord(days)}`,
    '',
  ];
  return `${lines.join('\n')}\n`;
}

/** What a stopped site leaves. */
export function farewell({ received, confirmed, pending, parked, expired }: Books): string {
  const left =
    pending === 0 ? 'nothing is left in the journal' : `${pending} events are left in the journal for the next start`;
  return `\nfogwhisk has stopped: ${left} (${received} received, ${confirmed} confirmed, ${parked} parked, ${expired} expired).\n`;
}

/** Quotes a word for a POSIX shell where it needs that. */
function shellWord(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
