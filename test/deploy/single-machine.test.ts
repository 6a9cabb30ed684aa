import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig, settings } from '../../src/config.ts';
import { describeWith } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { ROOT } from './support/images.ts';

interface Compose {
  readonly services: Record<string, { readonly environment?: Record<string, string>; readonly secrets?: string[] }>;
  readonly secrets: Record<string, unknown>;
}

const compose = parse(readFileSync(join(ROOT, 'deploy/compose.yml'), 'utf8'), { merge: true }) as Compose;

describe('compose.yml', () => {
  it('gives the provider a configuration', async () => {
    const environment = { ...compose.services.fogwhisk!.environment };
    const unknown = Object.keys(environment).filter((key) => !Object.hasOwn(settings, key.replace(/_FILE$/, '')));
    expect(unknown).toEqual([]);
    const folder = await temporaryFolder();
    for (const [key, file] of Object.entries(environment).filter(([key]) => key.endsWith('_FILE'))) {
      environment[key] = join(folder, basename(file));
      await writeFile(
        environment[key],
        key === 'mqttUrl_FILE' ? 'mqtt://fogwhisk:secret@mosquitto:1883' : 'x'.repeat(48),
      );
    }
    expect(loadConfig(undefined, environment)).toMatchObject({
      influxLocalUrl: 'http://influxdb:8086',
      simulate: false,
    });
  });

  it('has the secrets that its services name', () => {
    const named = Object.values(compose.services).flatMap(({ secrets = [] }) => secrets);
    expect(new Set(named)).toEqual(new Set(Object.keys(compose.secrets)));
  });
});

describeWith(['systemd-analyze'], 'the systemd unit', () => {
  it('leaves the service little of the machine (2.0 of 10 at most)', async () => {
    const unit = join(ROOT, 'deploy/systemd/fogwhisk.service');
    // The score in tenths; above it the program fails. Each systemd knows a few questions more.
    await promisify(execFile)('systemd-analyze', ['security', '--offline=true', '--threshold=20', unit]);
  });
});
