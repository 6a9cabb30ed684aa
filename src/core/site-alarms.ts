import { alarmRegistrations, alarmRowsSchema, MAX_MISFIRE_HORIZON_SECONDS } from './alarm.ts';
import type { AlarmRegistration } from './registration.ts';

/** Hourly, with ten minutes for readings that are late. */
const FORWARD_RAW_CRON = '10 * * * *';
const CLEANUP_CRON = '30 4 * * *';
/** Readings that came late for the windows before are found for so many windows. */
const RECOMPUTE = 2;
/** A window may have many readings; the provider asks again after so long. */
const RECEIPT_TIMEOUT_SECONDS = 300;

export interface SiteAlarmSettings {
  readonly aggregatesCron: string;
  readonly timezone: string;
  readonly forecastCron: string;
  /** Patterns of the measurements that go to the center as they are. */
  readonly forwardRaw: readonly string[];
  readonly influxLocalBucket: string;
}

/**
 * The alarms that a site has without being told: the aggregates, the forecast, the clean-up, and the raw readings for the center where some are
 * wanted. An instant that was missed, however many there were, stands for a window, so all are rung.
 */
export function siteAlarms({
  aggregatesCron,
  timezone,
  forecastCron,
  forwardRaw,
  influxLocalBucket,
}: SiteAlarmSettings): AlarmRegistration[] {
  const everyInstant = {
    timezone,
    misfire: 'fireAll',
    misfireLimit: 1_000,
    misfireHorizonSeconds: MAX_MISFIRE_HORIZON_SECONDS,
    receiptTimeoutSeconds: RECEIPT_TIMEOUT_SECONDS,
  };
  const aggregates = {
    name: 'aggregates',
    trigger: 'aggregatesTrigger',
    cron: aggregatesCron,
    payload: { recompute: RECOMPUTE },
    ...everyInstant,
  };
  const forecast = {
    name: 'forecast',
    trigger: 'flareForecastTrigger',
    cron: forecastCron,
    timezone,
    receiptTimeoutSeconds: RECEIPT_TIMEOUT_SECONDS,
  };
  const cleanup = {
    name: 'workdirCleanup',
    trigger: 'workdirCleanupTrigger',
    cron: CLEANUP_CRON,
    timezone,
    receiptTimeoutSeconds: RECEIPT_TIMEOUT_SECONDS,
  };
  const payload = {
    kind: 'raw',
    bucket: influxLocalBucket,
    centralBucket: influxLocalBucket,
    measurements: forwardRaw,
  };
  const raw = {
    name: 'forwardRaw',
    trigger: 'forwardTrigger',
    cron: FORWARD_RAW_CRON,
    window: 'hour',
    payload,
    ...everyInstant,
  };
  return alarmRegistrations(
    alarmRowsSchema.parse([
      ...(aggregatesCron === 'off' ? [] : [aggregates]),
      ...(forecastCron === 'off' ? [] : [forecast]),
      cleanup,
      ...(forwardRaw.length === 0 ? [] : [raw]),
    ]),
  );
}
