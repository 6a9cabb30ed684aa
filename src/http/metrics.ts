import { Gauge, Registry } from 'prom-client';
import type { SiteStatus } from './site-status.ts';

export interface Metrics {
  readonly contentType: string;
  /** The site's state in Prometheus' text format. */
  read(): Promise<string>;
}

/** The site's state for Prometheus, from its status as it is when it is asked for. Loaded at the first scrape. */
export function createMetrics(status: () => SiteStatus): Metrics {
  const registry = new Registry();
  const gauge = (name: string, help: string, ...labelNames: string[]) =>
    new Gauge({ name: `fogwhisk_${name}`, help, labelNames, registers: [registry] });

  const events = gauge(
    'events',
    'Events by registration and fate; received = confirmed + pending + parked + expired + deduplicated',
    'registration',
    'fate',
  );
  const journalBytes = gauge('journal_bytes', 'Size of the journal in bytes');
  const damagedSegments = gauge(
    'journal_damaged_segments',
    'Journal segments found damaged since the start; a copy of each is set aside',
  );
  const differences = gauge(
    'journal_differences',
    'Differences between the books and the journal found by the last self-check',
  );
  const oldestPending = gauge(
    'oldest_pending_seconds',
    'Age of the oldest event of a registration whose fate is not known',
    'registration',
  );
  const centerConnected = gauge(
    'center_connected',
    "Whether a database of the center's CouchDB is followed",
    'database',
  );
  const brokerConnected = gauge('broker_connected', 'Whether the MQTT broker is connected');

  return {
    contentType: registry.contentType,
    read() {
      const { registrations, journal, center, broker } = status();
      oldestPending.reset();
      for (const { name, books, pendingSince } of registrations) {
        for (const [fate, count] of Object.entries(books)) events.set({ registration: name, fate }, count);
        if (pendingSince) oldestPending.set({ registration: name }, (Date.now() - Date.parse(pendingSince)) / 1_000);
      }
      journalBytes.set(journal.bytes);
      damagedSegments.set(journal.damage.length);
      differences.set(journal.differences.length);
      for (const { database, connected } of [center.registrations, center.parameters]) {
        centerConnected.set({ database }, connected ? 1 : 0);
      }
      brokerConnected.set(broker === 'connected' ? 1 : 0);
      return registry.metrics();
    },
  };
}
