import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../config.ts';
import { FogwhiskError } from '../core/errors.ts';
import { inParts, type Period, parseInstant, startOfDay } from '../core/periods.ts';
import { nextRegistration } from '../core/registration.ts';
import type { RegistrationStatus, SiteStatus } from '../http/site-status.ts';
import { configFile } from './config-file.ts';
import { Progress } from './progress.ts';
import { askProvider } from './provider-client.ts';

export interface AggregatesOptions {
  readonly config?: string;
  readonly from: string;
  readonly to?: string;
  readonly every: string;
  readonly measurements?: string;
  readonly statistics?: string;
}

const TRIGGER = 'aggregatesTrigger';
/** So many steps the progress has. */
const MAX_PARTS = 50;
const ASK_EVERY_MS = 300;

/**
 * `fogwhisk aggregates`: has the history aggregated again, by the same action and through the running site's journal,
 * and shows how far it is. What is under way goes on without the command.
 * @throws FogwhiskError `PERIOD_INVALID`
 */
export async function aggregates(options: AggregatesOptions): Promise<void> {
  const { timezone } = loadConfig(configFile(options.config), process.env);
  const { every, measurements, statistics } = options;
  const run = randomUUID();
  const parts = inParts(periodOf(options, timezone), MAX_PARTS, timezone);
  for (const [index, { from, to }] of parts.entries()) {
    const window = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
    // the part's number keeps the provider from making one firing of neighbours
    const payload = { window, every, timezone, recompute: 0, part: index + 1, measurements, statistics };
    const body = JSON.stringify({ trigger: TRIGGER, payload, key: `${run} ${index}` });
    await askProvider(options, '/firings', { method: 'POST', body });
  }
  await untilDone(options, parts.length);
}

function periodOf({ from, to }: AggregatesOptions, zone: string): Period {
  const begin = parseInstant(from, zone);
  const end = to === undefined ? startOfDay(Date.now(), zone) : parseInstant(to, zone);
  if (begin === undefined || end === undefined || begin >= end)
    throw new FogwhiskError('PERIOD_INVALID', { from, to: to ?? 'today' });
  return { from: begin, to: end };
}

/** Resolves when nothing is left to aggregate; what waits for the center is told of, and not waited for. */
async function untilDone(options: AggregatesOptions, parts: number): Promise<void> {
  const progress = new Progress(process.stdout);
  for (;;) {
    const { registrations } = await askProvider<SiteStatus>(options, '/status');
    const [computing, forwarding] = [TRIGGER, 'forwardTrigger'].map((trigger) =>
      registrations.find(({ name }) => name === nextRegistration(trigger).name),
    );
    const left = computing?.books.pending ?? 0;
    const note = computing?.obstacle ? `waiting: ${computing.obstacle.reason}` : `${parts} parts`;
    progress.show(Math.max(0, parts - left), parts, note);
    if (left === 0) {
      progress.end();
      process.stdout.write(`${outcomeOf(computing, forwarding)}\n`);
      return;
    }
    await sleep(ASK_EVERY_MS);
  }
}

function outcomeOf(computing: RegistrationStatus | undefined, forwarding: RegistrationStatus | undefined): string {
  const parked = computing?.books.parked ?? 0;
  const waiting = forwarding?.books.pending ?? 0;
  return [
    'The aggregates are computed.',
    ...(parked > 0 ? [`${parked} firings are parked: see fogwhisk parked list.`] : []),
    ...(waiting > 0
      ? [
          `Waiting for the center: ${waiting} windows since ${forwarding!.pendingSince ?? 'now'}${forwarding!.obstacle ? ` (${forwarding!.obstacle.reason})` : ''}.`,
        ]
      : []),
  ].join('\n');
}
