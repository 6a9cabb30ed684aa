import { describe, expect, it } from 'vitest';
import { mayTalk, type Pod, policiesOf } from './support/policies.ts';

const policies = [...policiesOf('site', 'north'), ...policiesOf('site', 'south'), ...policiesOf('center', 'center')];

function pod(namespace: string, name: string): Pod {
  const isAction = name === 'mqtt-provider' || name === 'action';
  return { namespace, labels: { name, ...(isAction && { 'user-action-pod': 'true' }) } };
}
const outside: Pod = { namespace: undefined, labels: {} };
const north = (name: string) => pod('north', name);
const center = (name: string) => pod('center', name);

describe('the policies let', () => {
  it.each([
    ['a sensor publish', outside, north('mosquitto'), 1883],
    ['the provider read from the broker', north('mqtt-provider'), north('mosquitto'), 1883],
    ['the provider fire', north('mqtt-provider'), north('owdev-nginx'), 80],
    ['an action store', north('action'), north('influxdb'), 8086],
    ['an action send its receipt', north('action'), north('mqtt-provider'), 3000],
    ['an action in the provider store', north('mqtt-provider'), north('influxdb'), 8086],
    ['an action in the provider send its receipt', north('mqtt-provider'), north('mqtt-provider'), 3000],
    ['the provider follow the center', north('mqtt-provider'), center('couchdb'), 5984],
    ['a center elsewhere be followed', north('mqtt-provider'), outside, 443],
    ['an action write aggregates', north('action'), center('influxdb'), 8086],
    ['Grafana query', center('grafana'), center('influxdb'), 8086],
    ['a person look at Grafana', outside, center('grafana'), 3000],
  ])('%s', (_what, from, to, port) => {
    expect(mayTalk(policies, from, to, port)).toBe(true);
  });
});

describe('the policies do not let', () => {
  const parts = ['mosquitto', 'mqtt-provider', 'influxdb'];
  const ports = [80, 443, 1883, 3000, 5984, 8086];

  it.each(['couchdb', 'influxdb', 'grafana', 'anything'])("the center's %s call a site", (name) => {
    for (const part of parts) {
      for (const port of ports) expect(mayTalk(policies, center(name), north(part), port)).toBe(false);
    }
    expect(ports.filter((port) => mayTalk(policies, center(name), outside, port))).toEqual([]);
  });

  it.each(['mosquitto', 'influxdb'])("a site's %s call anybody", (name) => {
    for (const to of [outside, center('couchdb'), north('mqtt-provider'), north('influxdb')]) {
      expect(ports.filter((port) => mayTalk(policies, north(name), to, port))).toEqual([]);
    }
  });

  it('a site reach the provider or the points of another', () => {
    expect(mayTalk(policies, north('mqtt-provider'), pod('south', 'mqtt-provider'), 3000)).toBe(false);
    expect(mayTalk(policies, north('mqtt-provider'), pod('south', 'influxdb'), 8086)).toBe(false);
  });

  it('a stranger reach the provider, the points or the queries', () => {
    for (const from of [outside, north('stranger'), pod('elsewhere', 'action')]) {
      expect(mayTalk(policies, from, north('mqtt-provider'), 3000)).toBe(false);
      expect(mayTalk(policies, from, north('influxdb'), 8086)).toBe(false);
    }
    expect(mayTalk(policies, center('grafana'), center('couchdb'), 5984)).toBe(false);
  });
});
