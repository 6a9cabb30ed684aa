import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import {
  injectedParameters,
  readParameters,
  resolveParameters,
  sealedParameter,
  settingParameters,
} from '../../src/core/parameters.ts';
import { Seal } from '../../src/core/sealed.ts';

const seal = new Seal(['shared']);
const secrets = { seal, named: (name: string) => (name === 'influx' ? 'by name' : undefined) };

describe('parameters', () => {
  it('come from the strongest layer that gives them', () => {
    const layers = ['action', 'site', 'everySite', 'thisSite', 'configMap', 'payload'] as const;
    for (const [i, layer] of layers.entries()) {
      const given = Object.fromEntries(layers.slice(0, i + 1).map((name) => [name, { a: name, [name]: 1 }]));
      expect(resolveParameters(given)).toMatchObject({ a: layer, action: 1, [layer]: 1 });
    }
  });

  it('are read with their secrets; what can not be had is left out alone', () => {
    const document = {
      _id: '*',
      _rev: '1-x',
      values: { a: 1, b: [true] },
      secrets: {
        token: sealedParameter('s3cret', '*', 'token', seal),
        pair: sealedParameter({ user: 'u' }, '*', 'pair', seal),
        named: { secretRef: 'influx' },
        moved: sealedParameter('x', '1', 'moved', seal),
        unknown: { secretRef: 'nowhere' },
        foreign: sealedParameter('x', '*', 'foreign', new Seal(['other'])),
        garbage: 'plain',
      },
    };
    const { parameters, problems } = readParameters(document, secrets);
    expect(parameters).toEqual({ a: 1, b: [true], token: 's3cret', pair: { user: 'u' }, named: 'by name' });
    expect(problems).toHaveLength(4);
    for (const name of ['moved', 'unknown', 'foreign', 'garbage']) {
      expect(problems.some((problem) => problem.includes(`secrets.${name}`))).toBe(true);
    }
    expect(problems.join()).not.toContain('plain');
  });

  it('are none in a document of another shape', () => {
    const { parameters, problems } = readParameters({ _id: '*', values: [1] }, secrets);
    expect(parameters).toEqual({});
    expect(problems[0]).toContain('values');
  });

  it('of settings are as strong as the ConfigMap where it sets them, else weaker than the center', () => {
    const config = loadConfig(undefined, { influxLocalBucket: 'named', influxLocalOrg: 'influxdata' });
    const rows = {
      influx_org: ['influxLocalOrg', config.influxLocalOrg],
      influx_bucket: ['influxLocalBucket', config.influxLocalBucket],
      central_url: ['influxCentralUrl', config.influxCentralUrl],
    } as const;
    const { defaults, configMap } = settingParameters(rows, config.given);
    expect({ defaults, configMap }).toEqual({
      defaults: { influx_org: 'influxdata' },
      configMap: { influx_bucket: 'named' },
    });
    const everySite = { influx_org: 'center', influx_bucket: 'center' };
    expect(resolveParameters({ site: defaults, everySite, configMap })).toEqual({
      influx_org: 'center',
      influx_bucket: 'named',
    });
  });

  it('ride in the payload under the names of the predecessor only', () => {
    const current = { influx_url: 'u', influx_token: 't', central_url: 'c', datacenter_id: '7', other: 1 };
    expect(injectedParameters(current, 'mqtt')).toEqual({ influx_url: 'u', influx_token: 't' });
    expect(injectedParameters(current, 'alarm')).toEqual({
      local_url: 'u',
      local_token: 't',
      central_url: 'c',
      location: '7',
    });
  });
});
