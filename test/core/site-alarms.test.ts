import { expect, test } from 'vitest';
import { siteAlarms } from '../../src/core/site-alarms.ts';

const settings = {
  aggregatesCron: '0 3 * * *',
  forecastCron: 'off',
  timezone: 'Europe/Rome',
  forwardRaw: [],
  influxLocalBucket: 'measure',
};
const alarm = (name: string, changed: object = {}) =>
  siteAlarms({ ...settings, ...changed }).find((each) => each.name === name);

test('aggregates ring by the clocks of the site, and for every window that was missed', () => {
  expect(alarm('aggregates')).toMatchObject({
    kind: 'alarm',
    trigger: 'aggregatesTrigger',
    receiptTimeoutMs: 300_000,
    alarm: {
      schedule: { kind: 'cron', cron: '0 3 * * *', timezone: 'Europe/Rome' },
      timezone: 'Europe/Rome',
      misfire: 'fireAll',
      payload: { recompute: 2 },
    },
  });
});

test('raw readings go where some are wanted; what is off does not ring', () => {
  expect(alarm('forwardRaw')).toBeUndefined();
  expect(alarm('aggregates', { aggregatesCron: 'off' })).toBeUndefined();
  expect(alarm('forwardRaw', { forwardRaw: ['wtr_*'] })).toMatchObject({
    trigger: 'forwardTrigger',
    alarm: {
      window: 'hour',
      payload: { kind: 'raw', bucket: 'measure', centralBucket: 'measure', measurements: ['wtr_*'] },
    },
  });
});
