import { Gauge, Registry } from 'prom-client';
import type { SiteStatus } from './server.ts';

/** The site's state for Prometheus, read from its status whenever it is asked for. Loaded at the first scrape. */
export function createMetrics(status: () => SiteStatus): Registry {
  const registry = new Registry();
  new Gauge({
    name: 'fogwhisk_events',
    help: 'Events by registration and fate; received = confirmed + pending + parked + expired + deduplicated',
    labelNames: ['registration', 'fate'],
    registers: [registry],
    collect() {
      for (const { name, books } of status().registrations) {
        for (const [fate, count] of Object.entries(books)) this.set({ registration: name, fate }, count);
      }
    },
  });
  new Gauge({
    name: 'fogwhisk_journal_bytes',
    help: 'Size of the journal in bytes',
    registers: [registry],
    collect() {
      this.set(status().journal.bytes);
    },
  });
  new Gauge({
    name: 'fogwhisk_journal_damaged_segments',
    help: 'Journal segments found damaged since the start; a copy of each is set aside',
    registers: [registry],
    collect() {
      this.set(status().journal.damage.length);
    },
  });
  new Gauge({
    name: 'fogwhisk_journal_differences',
    help: 'Differences between the books and the journal found by the last self-check',
    registers: [registry],
    collect() {
      this.set(status().journal.differences.length);
    },
  });
  new Gauge({
    name: 'fogwhisk_oldest_pending_seconds',
    help: 'Age of the oldest event of a registration whose fate is not known',
    labelNames: ['registration'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, pendingSince } of status().registrations) {
        if (pendingSince) this.set({ registration: name }, (Date.now() - Date.parse(pendingSince)) / 1_000);
      }
    },
  });
  new Gauge({
    name: 'fogwhisk_center_connected',
    help: "Whether a database of the center's CouchDB is followed",
    labelNames: ['database'],
    registers: [registry],
    collect() {
      const { registrations, parameters } = status().center;
      for (const { database, connected } of [registrations, parameters]) this.set({ database }, connected ? 1 : 0);
    },
  });
  new Gauge({
    name: 'fogwhisk_broker_connected',
    help: 'Whether the MQTT broker is connected',
    registers: [registry],
    collect() {
      this.set(status().broker === 'connected' ? 1 : 0);
    },
  });
  return registry;
}
