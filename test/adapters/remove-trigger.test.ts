import openwhisk from 'openwhisk';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Entities } from '../../src/adapters/openwhisk/entities.ts';
import { removeTrigger } from '../../src/adapters/openwhisk/remove-trigger.ts';
import { authKey, hostForTest } from '../embedded/openwhisk/host.ts';

/** A host with two triggers, and a rule from each to one action. */
async function start() {
  const { url } = (await hostForTest()).openwhisk;
  const client = openwhisk({ apihost: url, api_key: authKey });
  await client.actions.create({ name: 'act', action: 'exports.main = () => ({})' });
  for (const name of ['ended', 'other']) {
    await client.triggers.create({ name });
    await client.rules.create({ name: `${name}Rule`, trigger: name, action: 'act' });
  }
  const entities = new Entities(url, authKey);
  onTestFinished(() => entities[Symbol.dispose]());
  const names = async () => ({
    triggers: (await client.triggers.list()).map(({ name }) => name).sort(),
    rules: (await client.rules.list()).map(({ name }) => name).sort(),
  });
  return { url, entities, names };
}

describe('a trigger whose alarm has ended', () => {
  it('is removed with its rules, and nobody else', async () => {
    const { entities, names } = await start();
    await removeTrigger(entities, '/_/ended', { withRules: true });
    expect(await names()).toEqual({ triggers: ['other'], rules: ['otherRule'] });
    await removeTrigger(entities, 'ended', { withRules: true });
  });

  it('is removed alone', async () => {
    const { entities, names } = await start();
    await removeTrigger(entities, 'ended', { withRules: false });
    expect(await names()).toEqual({ triggers: ['other'], rules: ['endedRule', 'otherRule'] });
  });

  it('stays where the platform refuses, which is told', async () => {
    const { url, names } = await start();
    using stranger = new Entities(url, 'nobody:nothing');
    await expect(removeTrigger(stranger, 'ended', { withRules: true })).rejects.toThrow('GET /_/triggers/ended');
    expect((await names()).triggers).toEqual(['ended', 'other']);
  });
});
