import { randomUUID } from 'node:crypto';
import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync, type MqttClient } from 'mqtt';
import { type Period, startOfDay } from '../core/periods.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';
import { loginOf, messagesAt, type Station, type StationOptions } from './station.ts';

const DAY_MS = 86_400_000;
const DAYS = 28;
const STEP_MS = 10 * 60_000;
/** Slow enough for live readings to pass, fast enough for the past to be there within half a minute. */
const MESSAGES_PER_SECOND = 500;
const TICKS_PER_SECOND = 20;
const MAX_UNACKNOWLEDGED = 200;
const ASK_EVERY_MS = 200;

export interface StationPastOptions extends StationOptions {
  /** Says that the past is there; a start that finds it makes none. */
  readonly markerFile: string;
  readonly timezone: string;
  /** Default 28. */
  readonly days?: number;
  /** Whether all that was received is stored. */
  readonly isStored: () => boolean;
  /** Has the closed days of a period aggregated. */
  readonly aggregate: (period: Period) => Promise<void>;
}

/**
 * Gives the imitated station a past: at the first start it publishes some weeks of readings as a sensor with a memory
 * would, each with its own time, and has their days aggregated. Interrupted, it begins anew at the next start, and the
 * same readings overwrite themselves.
 */
export function startStationPast(options: StationPastOptions): Station {
  const stopping = new AbortController();
  const made = makePast(options, stopping.signal).catch((error: Error) => {
    if (!stopping.signal.aborted)
      options.log.warn({ reason: error.message }, "the imitated station's past is not made");
  });
  return {
    async stop() {
      stopping.abort();
      await made;
    },
  };
}

async function makePast(options: StationPastOptions, signal: AbortSignal): Promise<void> {
  const { markerFile, timezone, days = DAYS, isStored, aggregate, log } = options;
  const isMade = await access(markerFile).then(
    () => true,
    () => false,
  );
  if (isMade) return;
  const to = Math.floor(Date.now() / STEP_MS) * STEP_MS;
  const from = startOfDay(to - days * DAY_MS, timezone);
  log.info({ days }, "the imitated station's past is published");
  const client = await connectAsync(options.url, {
    ...loginOf(options),
    clientId: `fogwhisk-station-past-${randomUUID()}`,
    clean: true,
  });
  try {
    client.on('error', () => {}); // it connects again by itself, and sends again what was not acknowledged
    await publish(client, options, { from, to }, signal);
  } finally {
    await client.endAsync(true);
  }
  while (!isStored()) await sleep(ASK_EVERY_MS, undefined, { signal });
  await aggregate({ from, to: startOfDay(to, timezone) });
  await writeFileAtomically(markerFile, `${JSON.stringify({ from: new Date(from), to: new Date(to) })}\n`);
  log.info({ days }, "the imitated station's past is published, and its days are being aggregated");
}

/** Resolves when all is acknowledged. */
async function publish(
  client: MqttClient,
  { topic, datacenterId, log }: StationPastOptions,
  { from, to }: Period,
  signal: AbortSignal,
): Promise<void> {
  const underWay = new Set<Promise<unknown>>();
  const send = (message: object) => {
    const sent = client.publishAsync(topic, JSON.stringify(message), { qos: 1 });
    underWay.add(sent);
    void sent.finally(() => underWay.delete(sent)).catch(() => {});
  };
  let quarter = 0;
  for (let at = from; at < to; ) {
    await sleep(1_000 / TICKS_PER_SECOND, undefined, { signal });
    for (let n = 0; n < MESSAGES_PER_SECOND / TICKS_PER_SECOND && at < to; n += 2, at += STEP_MS) {
      if (underWay.size >= MAX_UNACKNOWLEDGED) break;
      const { buoy, room } = messagesAt(at, datacenterId);
      send(buoy);
      send({ ...room, time: new Date(at).toISOString() });
    }
    const done = Math.floor((4 * (at - from)) / (to - from));
    if (done > quarter) log.info(`the imitated station's past: ${done * 25} %`);
    quarter = done;
  }
  await Promise.race([Promise.all(underWay), aborted(signal)]);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
