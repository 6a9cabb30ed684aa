import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig, settings } from '../../src/config.ts';

const ROOT = join(import.meta.dirname, '../..');
const SITE = join(ROOT, 'deploy/site/configmap.yml');

/** What the Secret of a site holds; see deploy/site/secrets.example.yaml. */
const SECRETS = {
  providerToken: 'a token of the test',
  mqttUrl: 'mqtt://fogwhisk:secret@mosquitto:1883',
  owAuth: '11111111-2222-3333-4444-555555555555:key',
  couchdbPassword: 'secret',
  influxLocalToken: 'secret',
  influxCentralToken: 'secret',
};

describe("a site's ConfigMap", () => {
  it('is the root one but for its values', async () => {
    const { data } = parse(readFileSync(SITE, 'utf8')) as { data: Record<string, string> };
    const expected = withValues(readFileSync(join(ROOT, 'configmap.yml'), 'utf8'), data);
    await expect(expected).toMatchFileSnapshot(SITE);
  });

  it('and the Secret are a configuration', () => {
    const config = loadConfig(SITE, SECRETS);
    expect(config).toMatchObject({ dataDir: '/data', providerHost: '0.0.0.0', simulate: false });
    expect(config.providerUrl).toBe('http://mqtt-provider:3000');
    expect(config.influxLocalUrl).toBe('http://influxdb-influxdb2');
  });

  it('names no secret', () => {
    const { data } = parse(readFileSync(SITE, 'utf8')) as { data: Record<string, string> };
    const secret = Object.entries(settings).filter(([, row]) => 'secret' in row && !('fallback' in row));
    expect(Object.keys(data).filter((key) => key === 'mqttUrl' || secret.some(([name]) => name === key))).toEqual([]);
  });
});

/** The text of a ConfigMap with these values where it has others; a setting of the Secret becomes a comment. */
function withValues(text: string, data: Readonly<Record<string, string>>): string {
  return text.replace(
    /^ {2}(# )?(\w+): (["'].*)$/gm,
    (line, _comment: string | undefined, key: string, before: string) => {
      if (!Object.hasOwn(settings, key)) return line;
      if (Object.hasOwn(SECRETS, key)) return `  # ${key}: ${before}`;
      const value = data[key];
      if (value === undefined) return line;
      return `  ${key}: ${value.includes('"') ? `'${value}'` : JSON.stringify(value)}`;
    },
  );
}
