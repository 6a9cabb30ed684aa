import { describe, expect, test } from 'vitest';
import { deploymentOf, type Lakes, parseLakes, stepParameters, stepsInOrder } from '../../src/core/flare.ts';

const workflow = {
  steps: {
    download: {
      alarm: '0 */3 * * *',
      program: ['./x'],
      'next-trigger': { name: 'drivers', container_name: 'both', type: 'noaa' },
    },
    observe: {
      hook: 'push',
      image: 'flare/observe',
      'next-trigger': { name: 'observed', container_name: 'both', type: 'obs' },
    },
    both: { inputs: ['noaa', 'obs'], 'next-trigger': { name: 'ready', container_name: 'flare' } },
    flare: {
      functions: [1, 2, 3, 4],
      'container-dependencies': 'download observe',
      'days-look-back': 1,
      config: { a: 1, b: 1 },
    },
  },
  lakes: { fcre: { timezone: 'America/New_York', config: { b: 2, c: 2 } }, bvre: { shared: true } },
};
const lakesOf = (content: unknown): Lakes => (parseLakes(content) as { lakes: Lakes }).lakes;
const problemsOf = (content: unknown) => (parseLakes(content) as { problems?: string[] }).problems ?? [];
const changed = (steps: object) => ({ ...workflow, steps: { ...workflow.steps, ...steps } });

describe('lakes.yml', () => {
  test('becomes a trigger for each beginning of a step of a lake, and a rule to the action that runs it', () => {
    const { actions, triggers } = deploymentOf(lakesOf(workflow));
    expect(actions).toEqual([
      { name: 'observe', image: 'flare/observe', timeoutMs: 300_000 },
      { name: 'flare-functions', components: ['flare', 'flare', 'flare', 'flare'] },
    ]);
    expect(triggers.map(({ name, action }) => `${name} > ${action}`)).toEqual([
      ...['download-alarm-fcre > flare', 'drivers-fcre > compoundTrigger', 'push-fcre > observe'],
      ...['observed-fcre > compoundTrigger', 'ready-fcre > flare-functions'],
      ...['download-alarm-bvre > flare', 'drivers-bvre > compoundTrigger', 'push-bvre > observe'],
      ...['observed-bvre > compoundTrigger', 'ready-bvre > flare-functions'],
      ...['flare-expiry-alarm > compoundTrigger', 'flare-expiry-alarm-shared > compoundTrigger'],
    ]);
    const alarm = { cron: '0 */3 * * *', timezone: 'America/New_York', atEverySite: false };
    expect(triggers[5]).toMatchObject({ alarm: { atEverySite: true } });
    expect(triggers[0]).toMatchObject({
      alarm,
      parameters: { lake: 'fcre', container_name: 'download', program: ['./x'] },
    });
    expect(triggers[2]).toMatchObject({ hook: true });
  });

  test('tells a step what it is told in both modes, in the shape of flare-config.yml', () => {
    const lakes = lakesOf(workflow);
    expect(stepParameters(lakes, 'fcre', 'flare')).toEqual({
      lake: 'fcre',
      container_name: 'flare',
      timezone: 'America/New_York',
      period: 'P1D',
      function: 1,
      config: { a: 1, b: 1, c: 2, openwhisk: { 'days-look-back': 1, 'container-dependencies': 'download observe' } },
    });
    expect(stepParameters(lakes, 'bvre', 'both')).toMatchObject({
      shared: true,
      config: {
        openwhisk: { inputs: ['noaa', 'obs'], 'next-trigger': { name: 'ready-bvre', container_name: 'flare' } },
      },
    });
  });

  test('has an order', () => {
    expect(stepsInOrder(lakesOf(workflow))).toEqual([
      { name: 'download', after: [] },
      { name: 'observe', after: [] },
      { name: 'both', after: ['download', 'observe'] },
      { name: 'flare', after: ['both'] },
    ]);
  });

  test.each([
    [
      'a next step that is none',
      changed({ flare: { 'next-trigger': { name: 'x', container_name: 'plot' } } }),
      'plot, which is no step',
    ],
    ['a step that nothing begins', changed({ plot: { program: ['x'] } }), 'plot: nothing begins it'],
    [
      'a dependency that is no step',
      changed({ flare: { 'container-dependencies': 'downlaod' } }),
      'depends on downlaod',
    ],
    [
      'a type that the compound trigger does not wait for',
      changed({ observe: { hook: 'push', 'next-trigger': { name: 'o', container_name: 'both' } } }),
      'type of its next-trigger must be one of noaa, obs',
    ],
    [
      'a compound trigger with a program',
      changed({ both: { ...workflow.steps.both, program: ['x'] } }),
      'runs no program',
    ],
    ['a time zone that is none', { ...workflow, lakes: { fcre: { timezone: 'Virginia' } } }, 'lakes.fcre.timezone'],
    ['a key that is none', changed({ flare: { lookback: 1 } }), 'lookback'],
    ['a name that is no path segment', { ...workflow, lakes: { '../fcre': {} } }, 'letters, digits and hyphens'],
    ['no mapping', 'lakes', ''],
  ])('refuses %s', (_, content, problem) => {
    expect(problemsOf(content).join('\n')).toContain(problem);
    expect(problemsOf(content)).not.toEqual([]);
  });
});
